// run: one run: what it was given, each try, what came of it; send it again, as it was or changed.
import { useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type WholeRun, drop, duration, failure, pretty, redrive, replay, span, useStirred, when, wholeRun } from "../runs.ts";
import { go, part } from "../router.ts";
import { AsCommand, Busy, Confirm, Head, Problem, Time, bytes, line, say, useAction, useLoad } from "../ui.tsx";
import type { ViewProps } from "../views.tsx";
import { StateTag, runPath } from "./runs.tsx";

const log = (r: WholeRun) => `/functions/${part(r.function)}/logs?request=${part(r.request_id)}&span=604800000`;

export default function RunPage({ params: [id] }: ViewProps) {
  const got = useLoad(() => wholeRun(id!), [id]);
  const r = got.data;
  const open = r && r.state !== "done" && r.state !== "dead";
  return (
    <>
      <Head title={r ? `Run of ${r.function}` : "Run"} above={<a href={r ? `/functions/${part(r.function)}/runs` : "/runs"}>Runs</a>}>
        {r && <StateTag run={r} />}
      </Head>
      <Problem what="The run could not be read." error={got.error} retry={got.reload} />
      {!r && got.busy && <Busy />}
      {open && <Watch run={r} reload={got.reload} />}
      {r && <Whole key={r.id} run={r} reload={got.reload} />}
    </>
  );
}

// While it is not over: asked again when a run of its function ends, and when its retry is due.
function Watch({ run, reload }: { run: WholeRun; reload: () => void }) {
  useStirred(`/v1/activity?follow=1&function=${part(run.function)}`, reload, 300);
  useEffect(() => {
    const wait = run.state === "waiting" && run.due ? Date.parse(run.due) - Date.now() + 500 : 2000;
    const timer = setTimeout(reload, Math.min(Math.max(wait, 1000), 60_000));
    return () => clearTimeout(timer);
  }, [run]);
  return null;
}

function Whole({ run: r, reload }: { run: WholeRun; reload: () => void }) {
  const editing = useSignal(false);
  const again = useAction();
  const send = () =>
    again.run(async () => {
      const sent = await replay(r.id);
      say("Sent again, as a new run.");
      go(runPath(sent.id));
    });
  const back = () =>
    again.run(async () => {
      await redrive(r.id);
      say(`Back in the queue of ${r.function}.`);
      reload();
    });
  return (
    <>
      <div class="row bar">
        {r.state === "dead" && (
          <button type="button" class="primary" disabled={again.busy} onClick={() => void back()}>
            Re-drive
          </button>
        )}
        <button type="button" class={r.state === "dead" ? "" : "primary"} disabled={again.busy} onClick={() => void send()}>
          Replay
        </button>
        <button type="button" aria-expanded={editing.value} onClick={() => (editing.value = !editing.value)}>
          Replay edited…
        </button>
        <a class="button" href={log(r)}>
          Log lines
        </a>
        <span class="grow" />
        {r.state === "dead" && (
          <Confirm label="Drop…" title="Drop this event?" act={`Drop the event of ${r.function}`} run={() => drop(r.id).then(() => (go("/queue?state=dead"), say("Dropped.")))}>
            <p>
              The event <code>{r.id}</code> for {r.function} is forgotten: it cannot be replayed any more.
            </p>
          </Confirm>
        )}
      </div>
      <Problem what="It was not sent again." error={again.error} />
      {editing.value && <Edit run={r} />}
      <Facts run={r} />
      {r.chain && <Chain run={r} />}
      <Tries run={r} />
      <div class="two even">
        <section aria-label="Event">
          <h2>Event</h2>
          <pre class="wrap preview event" tabIndex={0}>
            {r.event}
          </pre>
        </section>
        <section aria-label="Outcome">
          <Outcome run={r} />
        </section>
      </div>
      <AsCommand perilune={line("perilune", "runs", "show", r.id)} />
    </>
  );
}

function Facts({ run: r }: { run: WholeRun }) {
  const wait = r.due && r.state === "waiting" ? Date.parse(r.due) - Date.now() : 0;
  return (
    <dl class="facts-list">
      <dt>Function</dt>
      <dd>
        <a href={`/functions/${part(r.function)}`}>{r.function}</a>
        {r.qualifier && <span class="faint">:{r.qualifier}</span>}
      </dd>
      <dt>From</dt>
      <dd>
        {r.source}
        {r.source_arn && <code> {r.source_arn}</code>}
        {r.synchronous && <span class="faint"> (its caller waited for the answer)</span>}
      </dd>
      <dt>Accepted</dt>
      <dd>
        <Time at={r.accepted} />
      </dd>
      {r.ended && (
        <>
          <dt>Ended</dt>
          <dd>
            <Time at={r.ended} /> <span class="faint">after {duration(Date.parse(r.ended) - Date.parse(r.accepted))}</span>
          </dd>
        </>
      )}
      {r.state === "waiting" && r.due && (
        <>
          <dt>Next try</dt>
          <dd>
            <Time at={r.due} /> <span class="faint">{wait > 0 ? `in ${span(wait)}` : "now"}</span>
          </dd>
        </>
      )}
      <dt>Request</dt>
      <dd>
        <a href={log(r)}>
          <code>{r.request_id}</code>
        </a>
      </dd>
      {r.replay_of && (
        <>
          <dt>Replay of</dt>
          <dd>
            <a href={runPath(r.replay_of)}>
              <code>{r.replay_of}</code>
            </a>
          </dd>
        </>
      )}
    </dl>
  );
}

// What led here: "f > s3://bucket > g".
const Chain = ({ run: r }: { run: WholeRun }) => (
  <section aria-label="Chain">
    <h2>
      What led here <span class="faint">({r.hops} of 16 hops)</span>
    </h2>
    <p class="chain">
      {r.chain!.split(" > ").map((link) => (
        <>
          <span class="node">{link}</span> <span class="arrow" />{" "}
        </>
      ))}
      <span class="node own">{r.function}</span>
    </p>
  </section>
);

function Tries({ run: r }: { run: WholeRun }) {
  const first = Math.max(0, r.attempts - r.tries.length);
  return (
    <>
      <h2>Tries</h2>
      {!r.tries.length && <p class="faint">None has ended yet.</p>}
      {first > 0 && <p class="faint">The first {first} are no longer kept.</p>}
      {!!r.tries.length && (
        <table>
          <thead>
            <tr>
              <th>#</th>
              <th>Began</th>
              <th class="num">Took</th>
              <th>Ended with</th>
              <th class="wide">Request</th>
            </tr>
          </thead>
          <tbody>
            {r.tries.map((t, i) => (
              <tr>
                <td>{first + i + 1}</td>
                <td>
                  <Time at={t.started} format={when(t.started)} />
                </td>
                <td class="num">{duration(t.duration_ms)}</td>
                <td>{t.error_type ? <span class="bad">{t.error_type}</span> : <span class="good-text">an answer</span>}</td>
                <td class="wide">
                  <a href={log(r)}>
                    <code>{r.request_id}</code>
                  </a>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

function Outcome({ run: r }: { run: WholeRun }) {
  if (r.error || r.error_type)
    return (
      <>
        <h2>Error</h2>
        <p class="bad break">
          <strong>{failure(r).slice(0, 400)}</strong>
        </p>
        {r.state === "dead" && <p class="faint">Given up: {r.error_type}</p>}
        {r.error && (
          <pre class="wrap preview" tabIndex={0}>
            {laidOut(r.error)}
          </pre>
        )}
      </>
    );
  const cut = r.result_text !== undefined;
  return (
    <>
      <h2>Result</h2>
      {r.state === "done" ? (
        <>
          <pre class="wrap preview answer" tabIndex={0}>
            {cut ? r.result_text : pretty(r.result ?? null)}
          </pre>
          {cut && <p class="faint">Its beginning; it had {bytes(r.result_bytes ?? 0)}.</p>}
        </>
      ) : (
        <p class="faint">None yet.</p>
      )}
    </>
  );
}

// An error object with its lines; what is none (it may be cut) as it is.
function laidOut(text: string) {
  try {
    return pretty(JSON.parse(text));
  } catch {
    return text;
  }
}

// "Unexpected token … at position 17": where that is, for people.
function fault(text: string): string {
  try {
    JSON.parse(text);
    return "";
  } catch (e) {
    const message = (e as Error).message;
    const at = /position (\d+)/.exec(message)?.[1];
    if (/line \d+/.test(message) || at === undefined) return message;
    const before = text.slice(0, Number(at)).split("\n");
    return `${message} (line ${before.length}, column ${before.at(-1)!.length + 1})`;
  }
}

function Edit({ run: r }: { run: WholeRun }) {
  const text = useSignal(r.event);
  const drops = useSignal(r.state === "dead");
  const wrong = useComputed(() => fault(text.value));
  const action = useAction();
  const send = () =>
    action.run(async () => {
      const sent = await replay(r.id, text.value);
      if (r.state === "dead" && drops.value) await drop(r.id);
      say("Sent, as a new run.");
      go(runPath(sent.id));
    });
  return (
    <section class="panel" aria-label="Replay edited">
      <h2>Replay edited</h2>
      <textarea
        class="code"
        aria-label="Event to send, JSON"
        aria-invalid={!!wrong.value}
        aria-describedby="edit-wrong"
        spellcheck={false}
        value={text.value}
        onInput={(e) => (text.value = e.currentTarget.value)}
        onKeyDown={(e) => e.key === "Enter" && (e.ctrlKey || e.metaKey) && !wrong.value && void send()}
      />
      <p id="edit-wrong" class={wrong.value ? "bad" : "faint"} role="status">
        {wrong.value ? `No JSON: ${wrong.value}` : "Valid JSON."}
      </p>
      {r.state === "dead" && (
        <label class="check">
          <input type="checkbox" checked={drops.value} onChange={(e) => (drops.value = e.currentTarget.checked)} /> Drop the dead event once this one is queued
        </label>
      )}
      <Problem what="It was not sent." error={action.error} />
      <div class="row">
        <button type="button" class="primary" disabled={!!wrong.value || action.busy} onClick={() => void send()}>
          Send
        </button>
        <button type="button" disabled={text.value === r.event} onClick={() => (text.value = r.event)}>
          As it was
        </button>
      </div>
      <AsCommand perilune={line("perilune", "runs", "replay", r.id, "--file", "event.json")} />
    </section>
  );
}
