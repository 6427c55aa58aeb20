// schedule: one rule or schedule: its next times, its last runs, what it calls; making one.
import { useEffect } from "preact/hooks";
import { type Signal, useSignal } from "@preact/signals";
import { functionPage } from "../aws.ts";
import {
  type Kind, type Schedule, type Wanted, MISSED, OVERLAP, changeSchedule, checkExpression, createSchedule, deleteSchedule, functionArn,
  inputOf, roleFor, schedule, setPolicy,
} from "../schedules.ts";
import { runPage, useStirred } from "../runs.ts";
import { functionOf } from "../notifications.ts";
import { go, part } from "../router.ts";
import { server } from "../session.ts";
import { AsCommand, Busy, Confirm, Field, Head, Problem, Time, bound, line, say, submits, useAction, useLoad } from "../ui.tsx";
import type { ViewProps } from "../views.tsx";
import { RunTable } from "./runs.tsx";
import { Actions, OnTag, Targets, schedulePath } from "./schedules.tsx";

const LOCAL = Intl.DateTimeFormat().resolvedOptions().timeZone;

export default function SchedulePage({ params: [kind, name] }: ViewProps) {
  if (!kind || !name) return <New />;
  return <One kind={kind as Kind} name={name} key={`${kind}/${name}`} />;
}

const formatters = new Map<string, Intl.DateTimeFormat>();

// A time on the clock of a zone.
function inZone(at: string, timeZone: string) {
  let f = formatters.get(timeZone);
  if (!f) {
    try {
      f = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short", timeZone });
    } catch {
      f = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short", timeZone: "UTC" });
    }
    formatters.set(timeZone, f);
  }
  return f.format(new Date(at));
}

export function Times({ next, zone }: { next: string[]; zone: string }) {
  if (!next.length) return <p class="faint">It is not due any more.</p>;
  const foreign = zone !== LOCAL;
  return (
    <table class="times">
      <thead>
        <tr>
          <th>Next runs{foreign ? `, ${zone}` : ""}</th>
          {foreign && <th>Here, {LOCAL}</th>}
        </tr>
      </thead>
      <tbody>
        {next.map((at) => (
          <tr>
            <td>{foreign ? inZone(at, zone) : <Time at={at} />}</td>
            {foreign && (
              <td>
                <Time at={at} />
              </td>
            )}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function One({ kind, name }: { kind: Kind; name: string }) {
  const got = useLoad(() => schedule(kind, name), [kind, name]);
  const changing = useSignal(false);
  const s = got.data;
  return (
    <>
      <Head title={name} above={<a href="/schedules">Schedules</a>}>
        {s && <OnTag s={s} />}
        {s && <Actions s={s} done={got.reload} />}
      </Head>
      <Problem what="The schedule could not be read." error={got.error} retry={got.reload} />
      {!s && got.busy && <Busy />}
      {s && (
        <>
          <dl class="facts-list">
            <dt>When</dt>
            <dd>
              <code>{s.expression || "no expression"}</code> <span class="faint">{s.timezone}</span>
            </dd>
            <dt>Calls</dt>
            <dd>
              <Targets s={s} />
            </dd>
            {s.description && (
              <>
                <dt>About</dt>
                <dd>{s.description}</dd>
              </>
            )}
          </dl>
          {s.state === "ENABLED" ? <Times next={s.next} zone={s.timezone} /> : <p class="faint">It is paused: nothing is due until it is resumed.</p>}
          <h2>Last runs</h2>
          <LastRuns s={s} />
          <details onToggle={(e) => (changing.value = e.currentTarget.open)}>
            <summary>Change it</summary>
            {changing.value && <Change s={s} done={got.reload} />}
          </details>
          <Policies s={s} done={got.reload} />
          <Confirm label="Delete…" title={`Delete ${s.name}?`} act={`Delete ${s.name}`} run={() => deleteSchedule(s).then(() => (go("/schedules"), say(`Deleted ${s.name}.`)))}>
            <p>It is not due any more. The function that it calls stays.</p>
          </Confirm>
          <AsCommand
            perilune={line("perilune", "schedule", "next", s.name)}
            aws={s.kind === "rule" ? line("aws", "events", "describe-rule", "--name", s.name) : line("aws", "scheduler", "get-schedule", "--name", s.name)}
            endpoint={server().endpoint}
          />
        </>
      )}
    </>
  );
}

function LastRuns({ s }: { s: Schedule }) {
  const name = s.targets[0] && functionOf(s.targets[0]);
  const got = useLoad(() => (name ? runPage("runs", { function: name, source_arn: s.arn, limit: 5 }) : Promise.resolve({ rows: [], cursor: null })), [s.arn, name]);
  useStirred(`/v1/activity?follow=1&function=${part(name ?? "none")}`, got.reload, 500);
  return (
    <>
      <Problem what="Its runs could not be listed." error={got.error} />
      {got.busy && !got.data && <Busy />}
      {got.data && !got.data.rows.length && <p class="faint">It has not run yet.</p>}
      {!!got.data?.rows.length && <RunTable rows={got.data.rows} plain />}
    </>
  );
}

function Policies({ s, done }: { s: Schedule; done: () => void }) {
  const missed = useSignal(s.missed);
  const overlap = useSignal(s.overlap);
  const action = useAction();
  const save = () => action.run(() => setPolicy(s, missed.value, overlap.value).then(() => (say("Saved."), done())));
  return (
    <details>
      <summary>Missed runs and overlap</summary>
      <form class="narrow" onSubmit={submits(() => void save())}>
        <Choice label="Runs missed while the server was off" of={MISSED} value={missed} />
        <Choice label="When its last run is still on its way" of={OVERLAP} value={overlap} />
        <Problem what="It was not saved." error={action.error} />
        <button disabled={action.busy}>Save</button>
        <AsCommand perilune={line("perilune", "schedule", "policy", s.name, "--missed", missed.value, "--overlap", overlap.value)} />
      </form>
    </details>
  );
}

const Choice = (p: { label: string; of: [string, string][]; value: Signal<string> }) => (
  <div class="field">
    <label for={p.label}>{p.label}</label>
    <select id={p.label} value={p.value.value} onChange={(e) => (p.value.value = e.currentTarget.value)}>
      {p.of.map(([v, words]) => (
        <option value={v}>{words}</option>
      ))}
    </select>
  </div>
);

// --- forms -----------------------------------------------------------------------------------

interface Form {
  name: Signal<string>;
  expression: Signal<string>;
  timezone: Signal<string>;
  description: Signal<string>;
  function: Signal<string>;
  input: Signal<string>;
}

const wanted = (f: Form): Wanted => ({
  name: f.name.value,
  expression: f.expression.value.trim(),
  timezone: f.timezone.value,
  description: f.description.value,
  function: f.function.value.trim(),
  input: f.input.value.trim(),
});

function checkInput(text: string) {
  if (!text.trim()) return;
  try {
    JSON.parse(text);
  } catch (e) {
    throw new Error(`The event is no JSON: ${(e as Error).message}`);
  }
}

const EXAMPLES = ["rate(5 minutes)", "cron(0 9 ? * MON-FRI *)", "cron(0 0 1 * ? *)", "0 9 * * 1-5"];

// The expression, its zone, and what they come to: asked for as one types.
function When({ f, zoned }: { f: Form; zoned: boolean }) {
  const error = useSignal("");
  const next = useSignal<string[]>([]);
  const [expression, timezone] = [f.expression.value.trim(), f.timezone.value.trim()];
  useEffect(() => {
    let gone = false;
    if (!expression) {
      error.value = "";
      next.value = [];
      return;
    }
    const timer = setTimeout(() => {
      checkExpression(expression, timezone).then(
        (r) => gone || ((error.value = r.error ?? ""), (next.value = r.next)),
        (e) => gone || (error.value = (e as Error).message),
      );
    }, 250);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [expression, timezone]);
  return (
    <>
      <Field label="When" required list="expressions" error={error.value} hint={`Such as ${EXAMPLES.slice(0, 2).join(" or ")}`} {...bound(f.expression)} />
      <datalist id="expressions">
        {EXAMPLES.map((e) => (
          <option value={e} />
        ))}
      </datalist>
      {zoned && (
        <>
          <Field label="Time zone" required list="zones" {...bound(f.timezone)} />
          <datalist id="zones">
            {["UTC", ...Intl.supportedValuesOf("timeZone")].map((z) => (
              <option value={z} />
            ))}
          </datalist>
        </>
      )}
      <div aria-live="polite">{!error.value && next.value.length > 0 && <Times next={next.value} zone={timezone || "UTC"} />}</div>
    </>
  );
}

function Target({ f }: { f: Form }) {
  const names = useSignal<string[]>([]);
  useEffect(() => {
    functionPage("", 500).then(
      (page) => (names.value = page.Functions.map((x) => x.FunctionName)),
      () => {}, // a name can be typed as well
    );
  }, []);
  return (
    <>
      <Field label="Function to call" required list="functions" {...bound(f.function)} />
      <datalist id="functions">
        {names.value.map((n) => (
          <option value={n} />
        ))}
      </datalist>
      <div class="field">
        <label for="input">Event to send</label>
        <textarea id="input" class="code short" spellcheck={false} aria-describedby="input-hint" {...bound(f.input)} />
        <div id="input-hint" class="faint">
          JSON; empty: the event of AWS, with its time
        </div>
      </div>
      <Field label="Description" maxLength={512} {...bound(f.description)} />
    </>
  );
}

function New() {
  const f: Form = {
    name: useSignal(""), expression: useSignal(""), timezone: useSignal(LOCAL), description: useSignal(""), function: useSignal(""), input: useSignal(""),
  };
  const missed = useSignal("once");
  const overlap = useSignal("run");
  const action = useAction();
  const make = async () => {
    const w = wanted(f);
    checkInput(w.input);
    await createSchedule(w);
    if (missed.value !== "once" || overlap.value !== "run") await setPolicy({ kind: "schedule", name: w.name }, missed.value, overlap.value);
    say(`${w.name} is on.`);
    go(schedulePath({ kind: "schedule", name: w.name }));
  };
  const name = f.name.value || "NAME";
  return (
    <>
      <Head title="New schedule" above={<a href="/schedules">Schedules</a>} />
      <form class="narrow" onSubmit={submits(() => void action.run(make))}>
        <Field label="Name" required pattern="[0-9a-zA-Z\-_.]{1,64}" title="1 to 64 letters, digits, - _ and ." {...bound(f.name)} />
        <When f={f} zoned />
        <Target f={f} />
        <Choice label="Runs missed while the server was off" of={MISSED} value={missed} />
        <Choice label="When its last run is still on its way" of={OVERLAP} value={overlap} />
        <p class="faint">
          A role <code>{roleFor(name)}</code> is made with it, which may invoke that function and nothing else.
        </p>
        <Problem what="It was not made." error={action.error} />
        <button class="primary" disabled={action.busy}>
          {action.busy ? "Making it…" : "Make the schedule"}
        </button>
        <AsCommand
          aws={line(
            "aws", "scheduler", "create-schedule", "--name", name, "--schedule-expression", f.expression.value || "EXPRESSION",
            "--schedule-expression-timezone", f.timezone.value, "--flexible-time-window", "Mode=OFF", "--target",
            `Arn=${functionArn(f.function.value || "FUNCTION")},RoleArn=arn:aws:iam::${server().account}:role/${roleFor(name)}`,
          )}
          endpoint={server().endpoint}
        />
      </form>
    </>
  );
}

function Change({ s, done }: { s: Schedule; done: () => void }) {
  const target = s.targets[0] ?? "";
  const plain = target === functionArn(functionOf(target));
  const f: Form = {
    name: useSignal(s.name), expression: useSignal(s.expression), timezone: useSignal(s.timezone), description: useSignal(s.description),
    function: useSignal(plain ? functionOf(target) : target), input: useSignal(""),
  };
  const read = useLoad(() => inputOf(s), [s.arn]);
  useEffect(() => {
    if (read.data !== undefined) f.input.value = read.data;
  }, [read.data]);
  const action = useAction();
  const save = async () => {
    const w = wanted(f);
    checkInput(w.input);
    await changeSchedule(s, w);
    say("Saved; it counts from now.");
    done();
  };
  if (s.targets.length > 1) return <p class="faint">It calls several functions: change it with the aws command, which names each target.</p>;
  return (
    <form class="narrow" onSubmit={submits(() => void action.run(save))}>
      <When f={f} zoned={s.kind === "schedule"} />
      <Target f={f} />
      <Problem what="It was not saved." error={action.error ?? read.error} />
      <button class="primary" disabled={action.busy || read.data === undefined}>
        {action.busy ? "Saving…" : "Save the schedule"}
      </button>
    </form>
  );
}
