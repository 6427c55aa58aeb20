// runs: what ran, runs and is to run: of all functions, or as one function's tab. Newest first.
import { type Run, STATES, duration, failure, runPage, stateKind, stateWord, useStirred, when } from "../runs.ts";
import { go, here, part, withQuery } from "../router.ts";
import { AsCommand, Busy, Empty, Head, Live, Problem, Time, line, useLoad } from "../ui.tsx";
import type { TabProps } from "./function.tsx";

const SOURCES = ["invoke", "url", "s3", "lambda", "events", "scheduler", "replay"];
const SPANS: [string, number][] = [
  ["15 minutes", 900_000],
  ["1 hour", 3_600_000],
  ["1 day", 86_400_000],
  ["1 week", 604_800_000],
];

export const runPath = (id: string) => `/runs/${part(id)}`;

export const StateTag = ({ run }: { run: Run }) => <span class={`tag ${stateKind(run)}`}>{stateWord(run)}</span>;

// Rows of runs; `pick` adds a column of its own in front.
export function RunTable(p: { rows: Run[]; plain?: boolean; pick?: (r: Run) => preact.ComponentChild; picked?: (r: Run) => boolean; head?: preact.ComponentChild }) {
  return (
    <table class="runs-table">
      <thead>
        <tr>
          {p.pick && <th class="pick">{p.head}</th>}
          <th>When</th>
          {!p.plain && <th>Function</th>}
          <th class="wide">Source</th>
          <th>State</th>
          <th class="wide num">Tries</th>
          <th class="num">Took</th>
          <th class="wide">Error</th>
        </tr>
      </thead>
      <tbody>
        {p.rows.map((r) => (
          <tr key={r.id} class={p.picked?.(r) ? "picked" : undefined}>
            {p.pick && <td class="pick">{p.pick(r)}</td>}
            <td>
              <a href={runPath(r.id)}>
                <Time at={r.accepted} format={when(r.accepted)} />
              </a>
            </td>
            {!p.plain && (
              <td class="break">
                <a href={`/functions/${part(r.function)}/runs`}>{r.function}</a>
              </td>
            )}
            <td class="wide">{r.source}</td>
            <td>
              <StateTag run={r} />
            </td>
            <td class="wide num">{r.attempts}</td>
            <td class="num">{duration(r.duration_ms)}</td>
            <td class="wide clip bad" title={failure(r)}>
              {failure(r).slice(0, 200)}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function List({ name }: { name: string }) {
  const q = here.value.searchParams;
  const [state, source, since, until, after] = ["state", "source", "since", "until", "after"].map((n) => q.get(n) ?? "") as [string, string, string, string, string];
  const spanMs = Number(q.get("span")) || 0;
  const from = spanMs ? Date.now() - spanMs : since ? Date.parse(since) : 0;
  const got = useLoad(
    () => runPage("runs", { function: name, state, source, since: from || undefined, until: until ? Date.parse(until) : undefined, cursor: after }),
    [name, state, source, spanMs, since, until, after],
  );
  const live = useStirred(`/v1/activity?follow=1${name && `&function=${part(name)}`}`, () => after || got.reload());
  const set = (what: string, value: string) => {
    const u = new URL(here.value);
    u.searchParams.delete("after");
    if (value) u.searchParams.set(what, value);
    else u.searchParams.delete(what);
    if (what === "span") for (const other of ["since", "until"]) u.searchParams.delete(other);
    go(u.pathname + u.search, true);
  };
  const custom = !!(since || until);
  const filtered = state || source || spanMs || custom;
  const rows = got.data?.rows;
  return (
    <>
      <div class="row bar">
        <select aria-label="State" value={state} onChange={(e) => set("state", e.currentTarget.value)}>
          <option value="">Any state</option>
          {STATES.map((s) => (
            <option value={s}>{s === "waiting" ? "waiting to retry" : s}</option>
          ))}
        </select>
        <select aria-label="Source" value={source} onChange={(e) => set("source", e.currentTarget.value)}>
          <option value="">Any source</option>
          {SOURCES.map((s) => (
            <option value={s}>{s}</option>
          ))}
        </select>
        <select aria-label="Since" value={custom ? "custom" : String(spanMs || "")} onChange={(e) => (e.currentTarget.value === "custom" ? set("since", new Date(Date.now() - 3_600_000).toISOString()) : set("span", e.currentTarget.value))}>
          <option value="">Any time</option>
          {SPANS.map(([label, ms]) => (
            <option value={String(ms)}>Last {label}</option>
          ))}
          <option value="custom">From … to …</option>
        </select>
        {custom && (
          <>
            <Moment label="From" at={since} set={(v) => set("since", v)} />
            <Moment label="To" at={until} set={(v) => set("until", v)} />
          </>
        )}
        <span class="grow" />
        {!after && <Live on={live.value} />}
      </div>
      <Problem what="The runs could not be listed." error={got.error} retry={got.reload} />
      {got.busy && !rows && <Busy />}
      {rows && !rows.length && !filtered && !after && (
        <Empty title="Nothing has run yet">
          Each event is kept here with its tries; of runs that somebody waited for, the failures and the last hundred.{" "}
          <a href={name ? `/functions/${part(name)}/test` : "/functions"}>{name ? "Send a test event" : "Choose a function"}</a>
        </Empty>
      )}
      {rows && !rows.length && (filtered || after) && <p class="empty">{after ? "There are no more." : "No run is like that. Widen the filters."}</p>}
      {!!rows?.length && <RunTable rows={rows} plain={!!name} />}
      <nav class="row end" aria-label="Pages">
        {after && <a href={withQuery("after", null)}>Newest</a>}
        {got.data?.cursor && <a href={withQuery("after", got.data.cursor)}>Older</a>}
      </nav>
      <AsCommand perilune={line("perilune", "runs", "list", ...(name ? [name] : []), ...(state ? ["--state", state] : []), ...(source ? ["--source", source] : []))} />
    </>
  );
}

// A local time, kept in the address as an instant.
function Moment(p: { label: string; at: string; set: (iso: string) => void }) {
  const d = new Date(p.at);
  const local = Number.isNaN(+d) ? "" : new Date(+d - d.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  return (
    <label class="check">
      {p.label}
      <input
        type="datetime-local"
        value={local}
        onChange={(e) => {
          const v = new Date(e.currentTarget.value);
          p.set(Number.isNaN(+v) ? "" : v.toISOString());
        }}
      />
    </label>
  );
}

export function RunsTab({ fn }: TabProps) {
  return <List name={fn.FunctionName} />;
}

export default function Runs() {
  const name = here.value.searchParams.get("function") ?? "";
  return (
    <>
      <Head title="Runs">
        <a class="button" href="/queue">
          Queue
        </a>
      </Head>
      <List name={name} />
    </>
  );
}
