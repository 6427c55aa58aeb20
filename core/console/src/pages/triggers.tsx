// triggers: what calls the function; add and remove.
import { useSignal } from "@preact/signals";
import { buckets } from "../aws.ts";
import { EVENTS, addNotification, removeNotification, when } from "../notifications.ts";
import { part } from "../router.ts";
import { createSchedule } from "../schedules.ts";
import { server } from "../session.ts";
import { type Url, functionUrl, putUrl, removeSchedule, removeUrl, s3Triggers, schedulesOf } from "../triggers.ts";
import { AsCommand, Busy, Confirm, Empty, Field, Problem, Time, copy, line, say, submits, useAction, useLoad } from "../ui.tsx";
import type { TabProps } from "./function.tsx";

export default function Triggers({ fn }: TabProps) {
  const name = fn.FunctionName;
  const arn = fn.FunctionArn;
  const got = useLoad(
    async () => {
      const [s3, url, times] = await Promise.all([s3Triggers(name, arn), functionUrl(name), schedulesOf(arn)]);
      return { s3, url, times };
    },
    [arn],
  );
  const adding = useSignal("");
  if (!got.data) return got.error ? <Problem what="The triggers could not be read." error={got.error} retry={got.reload} /> : <Busy />;
  const { s3, url, times } = got.data;
  const done = () => {
    adding.value = "";
    got.reload();
  };
  const toggle = (what: string, label: string) => (
    <button type="button" aria-expanded={adding.value === what} onClick={() => (adding.value = adding.value === what ? "" : what)}>
      {label}
    </button>
  );
  return (
    <>
      {!s3.length && !url && !times.length && (
        <Empty title="Nothing calls this function by itself">
          Add a bucket below, and it runs for each upload; a schedule, and it runs on time; a URL, and it answers requests. A test event runs it now.
        </Empty>
      )}
      <ul class="flow">
        {s3.map((t) => (
          <li key={`${t.bucket} ${t.id}`}>
            <a class="node" href={`/buckets/${part(t.bucket)}/notifications`}>
              <span class="tag">bucket</span> {t.bucket}
            </a>
            <span class="arrow">{when(t)}</span>
            <span class="node own">{name}</span>
            <Confirm label="Remove" title="Remove the trigger?" act={`Remove ${t.bucket}`} run={() => removeNotification(t).then(got.reload)}>
              <p>
                Uploads into {t.bucket} no longer call {name}. Both stay.
              </p>
            </Confirm>
          </li>
        ))}
        {times.map((t) => (
          <li key={`${t.kind} ${t.name}`}>
            <a class="node" href={`/schedules/${t.kind}/${part(t.name)}`}>
              <span class="tag">{t.kind}</span> {t.name}
            </a>
            <span class="arrow">
              <code>{t.expression}</code> {t.timezone}
              {t.state !== "ENABLED" ? ", paused" : t.next[0] && (
                <>
                  , next <Time at={t.next[0]} />
                </>
              )}
            </span>
            <span class="node own">{name}</span>
            <Confirm label="Remove" title={`Remove the ${t.kind} ${t.name}?`} act={`Remove ${t.name}`} run={() => removeSchedule(t, arn).then(got.reload)}>
              <p>
                {name} no longer runs at {t.expression}. It stays.
              </p>
            </Confirm>
          </li>
        ))}
        {url && (
          <li>
            <span class="node">
              <span class="tag">url</span>{" "}
              <a href={url.FunctionUrl} target="_blank" rel="noopener noreferrer">
                {url.FunctionUrl}
              </a>
            </span>
            <span class="arrow">{url.AuthType === "NONE" ? "anybody" : "signed requests"}</span>
            <span class="node own">{name}</span>
            <button type="button" onClick={() => void copy(url.FunctionUrl)}>
              Copy
            </button>
            {toggle("url", "Change")}
            <Confirm label="Remove" title="Remove the URL?" act="Remove the URL" run={() => removeUrl(name).then(got.reload)}>
              <p>Requests to {url.FunctionUrl} are no longer answered.</p>
            </Confirm>
          </li>
        )}
      </ul>
      <div class="row">
        {toggle("s3", "Add a bucket")}
        {toggle("time", "Add a schedule")}
        {!url && toggle("url", "Add a URL")}
      </div>
      {adding.value === "s3" && <AddBucket fn={fn} done={done} />}
      {adding.value === "time" && <AddSchedule fn={fn} taken={times.map((t) => t.name)} done={done} />}
      {adding.value === "url" && <SetUrl name={name} url={url} done={done} />}
    </>
  );
}

function AddBucket({ fn, done }: { fn: TabProps["fn"]; done: () => void }) {
  const all = useLoad(buckets, []);
  const action = useAction();
  const add = submits((f) => {
    const get = (what: string) => String(f.get(what) ?? "").trim();
    const n = { bucket: get("bucket"), arn: fn.FunctionArn, events: [get("event")], prefix: get("prefix"), suffix: get("suffix") };
    void action.run(() => addNotification(n, server().account)).then((ok) => ok && done());
  });
  return (
    <form class="panel narrow" onSubmit={add}>
      <Field label="Bucket" name="bucket" list="buckets" required />
      <datalist id="buckets">
        {all.data?.slice(0, 500).map((b) => (
          <option value={b.name} />
        ))}
      </datalist>
      <div class="field">
        <label for="event">When an object is</label>
        <select id="event" name="event">
          {EVENTS.map(([value, label]) => (
            <option value={value}>{label}</option>
          ))}
        </select>
      </div>
      <Field label="Only keys that begin with" name="prefix" />
      <Field label="Only keys that end in" name="suffix" />
      <Problem what="It was not added." error={action.error} />
      <button class="primary" disabled={action.busy}>
        Add the bucket
      </button>
      <AsCommand
        aws={`aws s3api put-bucket-notification-configuration --bucket BUCKET --notification-configuration file://notification.json`}
        endpoint={server().endpoint}
      />
    </form>
  );
}

const OFTEN: [string, string][] = [
  ["rate(5 minutes)", "every five minutes"],
  ["rate(1 hour)", "every hour"],
  ["cron(0 9 ? * MON-FRI *)", "at nine on working days"],
  ["cron(0 3 * * ? *)", "at three in the night"],
];
const ZONES = ["UTC", ...Intl.supportedValuesOf("timeZone")];

function AddSchedule({ fn, taken, done }: { fn: TabProps["fn"]; taken: string[]; done: () => void }) {
  const action = useAction();
  const expression = useSignal("rate(1 hour)");
  const free = Array.from({ length: taken.length + 1 }, (_, i) => `${fn.FunctionName.slice(0, 58)}-at-${i + 1}`).find((n) => !taken.includes(n));
  const add = submits((f) => {
    const get = (what: string) => String(f.get(what) ?? "").trim();
    const wanted = { name: get("name"), expression: expression.value.trim(), timezone: get("zone"), description: "", function: fn.FunctionArn, input: get("input") };
    void action.run(() => createSchedule(wanted)).then((ok) => ok && (say("It is set."), done()));
  });
  return (
    <form class="panel narrow" onSubmit={add}>
      <div class="row bar" role="group" aria-label="Often wanted">
        {OFTEN.map(([e, label]) => (
          <button type="button" aria-pressed={expression.value === e} onClick={() => (expression.value = e)}>
            {label}
          </button>
        ))}
      </div>
      <Field
        label="When"
        required
        value={expression.value}
        onInput={(e) => (expression.value = e.currentTarget.value)}
        hint="rate(5 minutes), cron(minute hour day month weekday year), at(2027-01-31T09:00:00)"
      />
      <Field label="Time zone" name="zone" list="zones" required defaultValue={Intl.DateTimeFormat().resolvedOptions().timeZone} />
      <datalist id="zones">
        {ZONES.map((z) => (
          <option value={z} />
        ))}
      </datalist>
      <Field label="Event, JSON" name="input" hint="Empty: an event that says when it was due" />
      <Field label="Name" name="name" required pattern="[\w.\-]{1,64}" title="Letters, digits, - _ ." defaultValue={free} />
      <Problem what="It was not set." error={action.error} />
      <button class="primary" disabled={action.busy}>
        Add the schedule
      </button>
      <AsCommand
        aws={`aws scheduler create-schedule --name ${fn.FunctionName}-at-1 --schedule-expression '${expression.value}' --flexible-time-window Mode=OFF --target Arn=${fn.FunctionArn},RoleArn=ROLE`}
        endpoint={server().endpoint}
      />
    </form>
  );
}

function SetUrl({ name, url, done }: { name: string; url: Url | null; done: () => void }) {
  const action = useAction();
  const open = useSignal(url?.AuthType !== "AWS_IAM");
  const stream = useSignal(url?.InvokeMode === "RESPONSE_STREAM");
  const set = submits((f) => {
    const origins = String(f.get("origins") ?? "").split(/[\s,]+/).filter(Boolean);
    void action.run(() => putUrl(name, !!url, { open: open.value, stream: stream.value, origins })).then((ok) => ok && done());
  });
  return (
    <form class="panel narrow" onSubmit={set}>
      <label class="check">
        <input type="radio" name="auth" checked={open.value} onChange={() => (open.value = true)} /> Anybody may call it
      </label>
      <label class="check">
        <input type="radio" name="auth" checked={!open.value} onChange={() => (open.value = false)} /> Signed requests only
      </label>
      <label class="check">
        <input type="checkbox" checked={stream.value} onChange={(e) => (stream.value = e.currentTarget.checked)} /> Its answer is sent as it is made
      </label>
      <Field label="Pages that may call it" name="origins" defaultValue={url?.Cors?.AllowOrigins?.join(" ") ?? ""} hint="Origins, for CORS; * for all; empty for none" />
      <Problem what="It was not set." error={action.error} />
      <button class="primary" disabled={action.busy}>
        {url ? "Save the URL" : "Add the URL"}
      </button>
      <AsCommand
        aws={line("aws", "lambda", url ? "update-function-url-config" : "create-function-url-config", "--function-name", name, "--auth-type", open.value ? "NONE" : "AWS_IAM")}
        endpoint={server().endpoint}
      />
    </form>
  );
}
