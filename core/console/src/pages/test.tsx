// test: an event, sent; the answer, how long it took, what it used, and its log beside it.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { call, request } from "../api.ts";
import { type Outcome, invoke } from "../aws.ts";
import { DenialCard, type Denial, lastDenial } from "../denial.tsx";
import { part } from "../router.ts";
import { SAMPLES } from "../samples.ts";
import { server } from "../session.ts";
import { s3Triggers } from "../triggers.ts";
import { AsCommand, Problem, line, say, useAction, useLoad } from "../ui.tsx";
import type { TabProps } from "./function.tsx";

interface Saved {
  name: string;
  event: unknown;
}

const pretty = (text: string) => {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
};

export default function Test({ fn }: TabProps) {
  const path = `/v1/functions/${part(fn.FunctionName)}/test-events`;
  const saved = useLoad(() => call<{ events: Saved[] }>("GET", path).then((d) => d.events), [path]);
  const triggers = useLoad(() => s3Triggers(fn.FunctionName, fn.FunctionArn).catch(() => []), [fn.FunctionArn]);
  const event = useSignal("{}");
  const name = useSignal("");
  const result = useSignal<Outcome | null>(null);
  const denial = useSignal<Denial | null>(null);
  const action = useAction();
  const saving = useAction();

  useEffect(() => {
    if (event.value === "{}" && saved.data?.[0]) pick(`saved:${saved.data[0].name}`);
  }, [saved.data]);

  function pick(what: string) {
    const [kind, key] = [what.slice(0, what.indexOf(":")), what.slice(what.indexOf(":") + 1)];
    if (kind === "saved") {
      const s = saved.data!.find((x) => x.name === key);
      if (!s) return;
      event.value = typeof s.event === "string" ? pretty(s.event) : JSON.stringify(s.event, null, 2);
      name.value = key;
    } else {
      const sample = SAMPLES.find((x) => x.name === key)!;
      event.value = JSON.stringify(sample.event(triggers.data?.[0]?.bucket ?? "BUCKET", server().region), null, 2);
      name.value = "";
    }
  }

  const run = () =>
    action.run(async () => {
      try {
        JSON.parse(event.value);
      } catch (e) {
        throw new Error(`The event is no JSON: ${(e as Error).message}`);
      }
      const began = Date.now();
      denial.value = null;
      result.value = null;
      result.value = await invoke(fn.FunctionName, event.value);
      if (result.value.ok) return;
      const d = await lastDenial(fn.FunctionName).catch(() => null);
      if (d && (d.request_id === result.value.requestId || d.timestamp >= began - 1000)) denial.value = d;
    });
  const save = () =>
    saving.run(async () => {
      const body = JSON.stringify(JSON.parse(event.value));
      await request(`${path}/${part(name.value)}`, { method: "PUT", body, headers: { "content-type": "application/json" } });
      say(`Saved ${name.value}.`);
      saved.reload();
    });
  const forget = () =>
    saving.run(async () => {
      await request(`${path}/${part(name.value)}`, { method: "DELETE" });
      name.value = "";
      saved.reload();
    });
  const r = result.value;
  return (
    <div class="two">
      <section aria-label="Event">
        <div class="row bar">
          <select aria-label="Take an event" value="" onChange={(e) => (pick(e.currentTarget.value), (e.currentTarget.value = ""))}>
            <option value="" disabled>
              Take an event…
            </option>
            {!!saved.data?.length && (
              <optgroup label="Saved">
                {saved.data.map((s) => (
                  <option value={`saved:${s.name}`}>{s.name}</option>
                ))}
              </optgroup>
            )}
            <optgroup label="Samples">
              {SAMPLES.map((s) => (
                <option value={`sample:${s.name}`}>{s.name}</option>
              ))}
            </optgroup>
          </select>
          <span class="grow" />
          <button type="button" class="primary" disabled={action.busy} onClick={() => void run()}>
            {action.busy ? "Running…" : "Run"}
          </button>
        </div>
        <textarea
          class="code"
          aria-label="Event, JSON"
          spellcheck={false}
          value={event.value}
          onInput={(e) => (event.value = e.currentTarget.value)}
          onKeyDown={(e) => e.key === "Enter" && (e.ctrlKey || e.metaKey) && void run()}
        />
        <Problem what="It was not run." error={action.error} />
        <div class="row">
          <input class="grow" aria-label="Name to save the event as" placeholder="Save as…" maxLength={64} value={name.value} onInput={(e) => (name.value = e.currentTarget.value)} />
          <button type="button" disabled={!name.value || saving.busy} onClick={() => void save()}>
            Save the event
          </button>
          {saved.data?.some((s) => s.name === name.value) && (
            <button type="button" class="danger" disabled={saving.busy} onClick={() => void forget()}>
              Forget it
            </button>
          )}
        </div>
        <Problem what="It was not saved." error={saving.error} />
        <AsCommand
          perilune={line("perilune", "invoke", fn.FunctionName, "--event", "event.json")}
          aws={line("aws", "lambda", "invoke", "--function-name", fn.FunctionName, "--payload", "file://event.json", "answer.json")}
          endpoint={server().endpoint}
        />
      </section>
      <section aria-label="Result" aria-live="polite">
        {!r && <p class="empty">Take an event, or write one, and run it (Ctrl Enter). The answer and the log appear here.</p>}
        {r && (
          <>
            <div class="facts">
              <strong class={r.ok ? "good-text" : "bad"}>{r.ok ? "Answered" : "Failed"}</strong>
              <span>{r.duration || `${r.took_ms.toFixed(0)} ms`}</span>
              {r.memory && <span>{r.memory}</span>}
              <span class="faint">{r.version}</span>
              <a href={`/functions/${part(fn.FunctionName)}/logs?request=${part(r.requestId)}`}>In the log</a>
            </div>
            {denial.value && <DenialCard denial={denial.value} granted={() => void run()} />}
            <h2>Answer</h2>
            <pre class="wrap preview answer">{pretty(r.body)}</pre>
            <h2>Log</h2>
            <pre class="wrap preview">{r.log}</pre>
          </>
        )}
      </section>
    </div>
  );
}
