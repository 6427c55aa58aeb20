// settings: what is set on one function, a form for each thing that is saved together, and its end.
import type { ComponentChildren } from "preact";
import { type Signal, useSignal } from "@preact/signals";
import { call, orNull, request } from "../api.ts";
import { type Fn, fnPath, logsCall } from "../aws.ts";
import { go, part } from "../router.ts";
import { server } from "../session.ts";
import { AsCommand, Busy, Confirm, Field, Problem, bound, line, say, submits, useAction, useLoad } from "../ui.tsx";
import type { TabProps } from "./function.tsx";

const at = (date: string, name: string, rest: string) => `/v1/aws/lambda/${date}/functions/${part(name)}/${rest}`;

export default function Settings({ fn, reload }: TabProps) {
  return (
    <div class="two even settings-of">
      <div>
        <section>
          <h2>The function</h2>
          <General fn={fn} reload={reload} />
        </section>
        <Concurrency name={fn.FunctionName} />
        <Tags fn={fn} />
      </div>
      <div>
        <Asynchronous fn={fn} reload={reload} />
        <Log fn={fn} reload={reload} />
        <Delete name={fn.FunctionName} />
      </div>
    </div>
  );
}

// One form: saved by its button, its failure beside it.
function Form(p: { save: () => Promise<unknown>; command?: string; said?: string; children: ComponentChildren }) {
  const action = useAction();
  const save = async () => {
    await p.save();
    say(p.said ?? "Saved; the next run has it.");
  };
  return (
    <form class="narrow" onSubmit={submits(() => void action.run(save))}>
      {p.children}
      <Problem what="It was not saved." error={action.error} />
      <button class="primary" disabled={action.busy}>
        {action.busy ? "Saving…" : "Save"}
      </button>
      {p.command && <AsCommand aws={p.command} endpoint={server().endpoint} />}
    </form>
  );
}

// Names and values.
function Pairs(p: { label: string; one: string; rows: Signal<[string, string][]>; pattern?: string }) {
  const { rows } = p;
  const change = (i: number, at: 0 | 1, to: string) => (rows.value = rows.value.map((r, n) => (n === i ? (at ? [r[0], to] : [to, r[1]]) : r)));
  return (
    <fieldset>
      <legend>{p.label}</legend>
      {rows.value.map(([key, value], i) => (
        <div class="row pair">
          <input aria-label={`${p.one} ${i + 1}`} value={key} pattern={p.pattern} placeholder="NAME" onInput={(e) => change(i, 0, e.currentTarget.value)} />
          <input aria-label={`Value ${i + 1}`} value={value} onInput={(e) => change(i, 1, e.currentTarget.value)} />
          <button type="button" class="quiet" aria-label={`Remove ${key || p.one}`} onClick={() => (rows.value = rows.value.filter((_, n) => n !== i))}>
            ✕
          </button>
        </div>
      ))}
      <button type="button" onClick={() => (rows.value = [...rows.value, ["", ""]])}>
        Add a {p.one.toLowerCase()}
      </button>
    </fieldset>
  );
}

const named = (rows: [string, string][]) => Object.fromEntries(rows.filter(([key]) => key));

const configure = (name: string, body: unknown) => call("PUT", fnPath(name, "/configuration"), body);

// --- the function itself ---------------------------------------------------------------------

function General({ fn, reload }: TabProps) {
  const description = useSignal(fn.Description);
  const handler = useSignal(fn.Handler);
  const role = useSignal(fn.Role);
  const memory = useSignal(String(fn.MemorySize));
  const timeout = useSignal(String(fn.Timeout));
  const rows = useSignal(Object.entries(fn.Environment?.Variables ?? {}));
  const save = async () => {
    await configure(fn.FunctionName, {
      Description: description.value,
      Handler: handler.value,
      Role: role.value,
      MemorySize: Number(memory.value),
      Timeout: Number(timeout.value),
      Environment: { Variables: named(rows.value) },
    });
    reload();
  };
  const command = line(
    "aws", "lambda", "update-function-configuration", "--function-name", fn.FunctionName, "--memory-size", memory.value, "--timeout", timeout.value,
    "--description", description.value, "--handler", handler.value, "--role", role.value,
  );
  return (
    <Form save={save} command={command}>
      <Field label="Description" maxLength={256} {...bound(description)} />
      <Field label="Memory, MB" type="number" min="1" required hint="At most this much, in each of its states" {...bound(memory)} />
      <Field label="Timeout, seconds" type="number" min="1" max="900" required {...bound(timeout)} />
      <Field label="Handler" required pattern="[^\s.]+(\.[^\s.]+)+" title="FILE.FUNCTION" hint="FILE.FUNCTION" {...bound(handler)} />
      <Field label="Role" required hint={<a href={`/access/roles/${part(role.value.slice(role.value.lastIndexOf("/") + 1))}`}>What it may do</a>} {...bound(role)} />
      <Pairs label="Environment" one="Variable" rows={rows} pattern="[A-Za-z][A-Za-z0-9_]+" />
    </Form>
  );
}

// --- how many at once ------------------------------------------------------------------------

function Concurrency({ name }: { name: string }) {
  const got = useLoad(() => call<{ ReservedConcurrentExecutions?: number }>("GET", at("2019-09-30", name, "concurrency")), [name]);
  return (
    <section>
      <h2>How many at once</h2>
      <Problem what="It could not be read." error={got.error} retry={got.reload} />
      {got.data && <Reserved key={String(got.data.ReservedConcurrentExecutions)} name={name} now={got.data.ReservedConcurrentExecutions} />}
    </section>
  );
}

function Reserved({ name, now }: { name: string; now?: number }) {
  const most = useSignal(now === undefined ? "" : String(now));
  const path = at("2017-10-31", name, "concurrency");
  const save = () =>
    most.value === "" ? request(path, { method: "DELETE" }) : call("PUT", path, { ReservedConcurrentExecutions: Number(most.value) });
  return (
    <Form save={save} command={line("aws", "lambda", "put-function-concurrency", "--function-name", name, "--reserved-concurrent-executions", most.value || "N")}>
      <Field label="Runs at the same time" type="number" min="0" hint="Empty: as many as there is room for. 0: none, it is switched off" {...bound(most)} />
    </Form>
  );
}

// --- events ----------------------------------------------------------------------------------

interface Invoke {
  MaximumRetryAttempts?: number;
  MaximumEventAgeInSeconds?: number;
  DestinationConfig?: { OnSuccess?: { Destination?: string }; OnFailure?: { Destination?: string } };
}

const EVENTS = "2019-09-25";

function Asynchronous(p: TabProps) {
  const name = p.fn.FunctionName;
  const got = useLoad(async () => {
    // The list is empty where one configuration would be an error.
    const all = await call<{ FunctionEventInvokeConfigs: (Invoke & { FunctionArn: string })[] }>("GET", at(EVENTS, name, "event-invoke-config/list"));
    const own = all.FunctionEventInvokeConfigs.find((c) => /:(function:[^:]+|\$LATEST)$/.test(c.FunctionArn));
    const loop = await call<{ RecursiveLoop: string }>("GET", at("2024-08-31", name, "recursion-config"));
    return { own, loops: loop.RecursiveLoop === "Allow" };
  }, [name]);
  return (
    <section>
      <h2>Events</h2>
      <p class="faint">What comes from buckets, schedules and calls that do not wait.</p>
      <Problem what="It could not be read." error={got.error} retry={got.reload} />
      {got.busy && !got.data && <Busy />}
      {got.data && <Events {...p} now={got.data.own ?? {}} loops={got.data.loops} />}
    </section>
  );
}

function Events({ fn, reload, now, loops }: TabProps & { now: Invoke; loops: boolean }) {
  const name = fn.FunctionName;
  const tries = useSignal(String(now.MaximumRetryAttempts ?? 2));
  const age = useSignal(String(now.MaximumEventAgeInSeconds ?? 21_600));
  const good = useSignal(now.DestinationConfig?.OnSuccess?.Destination ?? "");
  const bad = useSignal(now.DestinationConfig?.OnFailure?.Destination ?? "");
  const dead = useSignal(fn.DeadLetterConfig?.TargetArn ?? "");
  const loop = useSignal(loops);
  const save = async () => {
    await call("PUT", at(EVENTS, name, "event-invoke-config"), {
      MaximumRetryAttempts: Number(tries.value),
      MaximumEventAgeInSeconds: Number(age.value),
      DestinationConfig: {
        ...(good.value && { OnSuccess: { Destination: good.value } }),
        ...(bad.value && { OnFailure: { Destination: bad.value } }),
      },
    });
    await call("PUT", at("2024-08-31", name, "recursion-config"), { RecursiveLoop: loop.value ? "Allow" : "Terminate" });
    if (dead.value !== (fn.DeadLetterConfig?.TargetArn ?? "")) {
      await configure(name, { DeadLetterConfig: { TargetArn: dead.value } });
      reload();
    }
  };
  const hint = "ARN of a function; empty: nowhere";
  return (
    <Form save={save} command={line("aws", "lambda", "put-function-event-invoke-config", "--function-name", name, "--maximum-retry-attempts", tries.value, "--maximum-event-age-in-seconds", age.value)}>
      <Field label="Tries after the first" type="number" min="0" max="2" required {...bound(tries)} />
      <Field label="Given up after, seconds" type="number" min="60" max="21600" required {...bound(age)} />
      <Field label="What succeeded goes to" hint={hint} {...bound(good)} />
      <Field label="What was given up goes to" hint={hint} {...bound(bad)} />
      <Field label="Dead letters go to" hint={hint} {...bound(dead)} />
      <label class="check">
        <input type="checkbox" checked={loop.value} onChange={(e) => (loop.value = e.currentTarget.checked)} /> It may set itself off, without end
      </label>
    </Form>
  );
}

// --- the log ---------------------------------------------------------------------------------

const DAYS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653];

interface Groups {
  logGroups: { logGroupName: string; retentionInDays?: number; storedBytes: number }[];
}

function Log({ fn, reload }: TabProps) {
  const logGroupName = `/aws/lambda/${fn.FunctionName}`;
  const got = useLoad(async () => {
    const all = await logsCall<Groups>("DescribeLogGroups", { logGroupNamePrefix: logGroupName });
    return all.logGroups.find((g) => g.logGroupName === logGroupName) ?? null;
  }, [logGroupName]);
  return (
    <section>
      <h2>Log</h2>
      <Problem what="It could not be read." error={got.error} retry={got.reload} />
      {got.data !== undefined && <LogForm key={String(got.data?.retentionInDays)} fn={fn} group={logGroupName} there={got.data !== null} days={got.data?.retentionInDays ?? 0} done={() => (got.reload(), reload())} />}
    </section>
  );
}

function LogForm(p: { fn: Fn; group: string; there: boolean; days: number; done: () => void }) {
  const days = useSignal(String(p.days));
  const format = useSignal(p.fn.LoggingConfig?.LogFormat ?? "Text");
  const save = async () => {
    const logGroupName = p.group;
    if (days.value !== String(p.days)) {
      if (!p.there) await logsCall("CreateLogGroup", { logGroupName });
      if (days.value === "0") await logsCall("DeleteRetentionPolicy", { logGroupName });
      else await logsCall("PutRetentionPolicy", { logGroupName, retentionInDays: Number(days.value) });
    }
    if (format.value !== (p.fn.LoggingConfig?.LogFormat ?? "Text")) await configure(p.fn.FunctionName, { LoggingConfig: { LogFormat: format.value } });
    p.done();
  };
  return (
    <Form save={save} said="Saved." command={line("aws", "logs", "put-retention-policy", "--log-group-name", p.group, "--retention-in-days", days.value === "0" ? "DAYS" : days.value)}>
      <div class="field">
        <label for="days">Lines are kept</label>
        <select id="days" value={days.value} onChange={(e) => (days.value = e.currentTarget.value)}>
          <option value="0">as long as there is room</option>
          {DAYS.map((d) => (
            <option value={String(d)}>{d === 1 ? "a day" : `${d} days`}</option>
          ))}
        </select>
      </div>
      <div class="field">
        <label for="format">Format</label>
        <select id="format" value={format.value} onChange={(e) => (format.value = e.currentTarget.value)}>
          <option value="Text">text</option>
          <option value="JSON">JSON</option>
        </select>
      </div>
    </Form>
  );
}

// --- tags ------------------------------------------------------------------------------------

function Tags({ fn }: { fn: Fn }) {
  const path = `/v1/aws/lambda/2017-03-31/tags/${part(fn.FunctionArn)}`;
  const got = useLoad(() => call<{ Tags: Record<string, string> }>("GET", path).then((d) => d.Tags), [path]);
  return (
    <section>
      <h2>Tags</h2>
      <Problem what="They could not be read." error={got.error} retry={got.reload} />
      {got.data && <TagForm key={JSON.stringify(got.data)} arn={fn.FunctionArn} path={path} now={got.data} done={got.reload} />}
    </section>
  );
}

function TagForm(p: { arn: string; path: string; now: Record<string, string>; done: () => void }) {
  const rows = useSignal(Object.entries(p.now));
  const save = async () => {
    const wanted = named(rows.value);
    const gone = Object.keys(p.now).filter((key) => !(key in wanted));
    if (gone.length) await request(`${p.path}?${gone.map((key) => `tagKeys=${part(key)}`).join("&")}`, { method: "DELETE" });
    if (Object.keys(wanted).length) await call("POST", p.path, { Tags: wanted });
    p.done();
  };
  return (
    <Form save={save} said="Saved." command={line("aws", "lambda", "tag-resource", "--resource", p.arn, "--tags", "NAME=VALUE")}>
      <Pairs label="For finding and counting" one="Tag" rows={rows} />
    </Form>
  );
}

// --- the end ---------------------------------------------------------------------------------

function Delete({ name }: { name: string }) {
  const made = useLoad(
    () => call<{ deployments: { name: string }[] }>("GET", "/v1/deployments").then((d) => d.deployments.some((x) => x.name === name)),
    [name],
  );
  const remove = async () => {
    const path = made.data ? `/v1/deployments/${part(name)}` : fnPath(name);
    await orNull(request(path, { method: "DELETE" }));
    go("/functions");
    say(`Deleted ${name}.`);
  };
  return (
    <section>
      <h2>Delete</h2>
      <p class="faint">
        {made.data
          ? "Its role, triggers and permissions go with it; a bucket that holds objects stays."
          : "Its code and versions go; its role and buckets stay."}
      </p>
      <Confirm label="Delete the function" title={`Delete ${name}?`} act={`Delete ${name}`} run={remove}>
        <p>Its code, versions and triggers are gone at once. It cannot be undone.</p>
        <AsCommand perilune={made.data ? line("perilune", "blueprint", "remove", name) : undefined} aws={line("aws", "lambda", "delete-function", "--function-name", name)} endpoint={server().endpoint} />
      </Confirm>
    </section>
  );
}
