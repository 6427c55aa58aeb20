// runs: the ledger's calls, and how a run is told.
import { call, follow, request } from "./api.ts";
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { part } from "./router.ts";

export const STATES = ["queued", "running", "waiting", "done", "dead"] as const;
export type State = (typeof STATES)[number];

export interface Try {
  started: string;
  ended: string;
  duration_ms: number;
  error_type?: string;
}

export interface Run {
  id: string;
  function: string;
  qualifier?: string;
  source: string;
  source_arn?: string;
  state: State;
  attempts: number;
  request_id: string;
  synchronous: boolean;
  accepted: string;
  ended?: string;
  due?: string;
  duration_ms?: number;
  bytes: number;
  hops: number;
  replay_of?: string;
  error_type?: string;
  error?: string;
}

export interface WholeRun extends Run {
  chain?: string;
  tries: Try[];
  result?: unknown;
  result_text?: string;
  result_bytes?: number;
  event: string; // pretty, every number as it was written
}

export interface RunPage {
  rows: Run[];
  cursor: string | null;
}

const query = (fields: Record<string, string | number | undefined>) => {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) if (value) q.set(name, String(value));
  return q;
};

// A page may be empty and still have a next one (the server looks at so many rows at a time): asked
// for until there is something to show.
export async function runPage(kind: "runs" | "dead", fields: Record<string, string | number | undefined>): Promise<RunPage> {
  const limit = Number(fields.limit ?? 50);
  const rows: Run[] = [];
  let cursor: string | null = String(fields.cursor ?? "");
  for (let pages = 0; cursor !== null && rows.length < limit && pages < 20; pages++) {
    const q = query({ ...fields, cursor, limit: limit - rows.length });
    const page: { runs?: Run[]; dead?: Run[]; cursor: string | null } = await call("GET", `/v1/${kind}?${q}`);
    rows.push(...(page[kind] ?? []));
    cursor = page.cursor;
  }
  return { rows, cursor };
}

type Exact = JSON & { rawJSON?: (text: string) => unknown };

// JSON with the numbers that a double cannot hold left as they were written, where the browser can.
const exact = (text: string) =>
  JSON.parse(text, function (this: unknown, _key: string, v: unknown, more?: { source?: string }) {
    const raw = (JSON as Exact).rawJSON;
    return raw && typeof v === "number" && more?.source !== undefined && String(v) !== more.source ? raw(more.source) : v;
  } as (this: unknown, key: string, value: unknown) => unknown);

export const pretty = (v: unknown) => JSON.stringify(v, null, 2) ?? "null";

export async function wholeRun(id: string): Promise<WholeRun> {
  const text = await (await request(`/v1/runs/${part(id)}`)).text();
  return { ...(JSON.parse(text) as WholeRun), event: pretty((exact(text) as { event: unknown }).event) };
}

export async function replay(id: string, event?: string): Promise<{ id: string; function: string }> {
  const init: RequestInit = { method: "POST" };
  if (event !== undefined) init.body = event;
  return (await request(`/v1/runs/${part(id)}/replay`, init)).json();
}

export const redrive = (id: string) => request(`/v1/dead/${part(id)}/redrive`, { method: "POST" });
export const drop = (id: string) => request(`/v1/dead/${part(id)}`, { method: "DELETE" });

// Calls `changed` soon after something happened on the stream, at most once each `every_ms`: samples of
// runs that were waited for are stored a second after them. True while connected.
export function useStirred(path: string, changed: () => void, every_ms = 1500) {
  const live = useSignal(false);
  useEffect(() => {
    const stop = new AbortController();
    let soon = 0;
    follow(
      path,
      stop.signal,
      () => {
        soon ||= setTimeout(() => ((soon = 0), changed()), every_ms) as unknown as number;
      },
      (on) => (live.value = on),
    ).catch(() => (live.value = false)); // the page's own request says why
    return () => {
      stop.abort();
      clearTimeout(soon);
    };
  }, [path]);
  return live;
}

// --- words -----------------------------------------------------------------------------------

const KIND: Record<State, string> = { queued: "", running: "", waiting: "warn", done: "ok", dead: "bad" };

export const stateKind = (r: Run) => (r.state === "done" && r.error_type ? "bad" : KIND[r.state]);
export const stateWord = (r: Run) =>
  r.state === "done" ? (r.error_type ? "failed" : "done") : r.state === "waiting" ? "retry waits" : r.state;

// What went wrong, in a line: the function's own words where it had some.
export function failure(r: Run) {
  if (!r.error && !r.error_type) return "";
  try {
    const e = JSON.parse(r.error ?? "") as { errorType?: string; errorMessage?: string };
    if (e.errorMessage) return `${e.errorType ?? r.error_type}: ${e.errorMessage}`;
  } catch {
    // cut, or no JSON: as it is
  }
  return r.error ? `${r.error_type}: ${r.error}` : r.error_type!;
}

const TODAY = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const EARLIER = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" });

// In lists: the time of today's, the day of others'.
export const when = (at: string) => (new Date(at).toDateString() === new Date().toDateString() ? TODAY : EARLIER);

export function duration(ms: number | undefined) {
  if (ms === undefined) return "";
  return ms < 1000 ? `${ms.toFixed(ms && ms < 10 ? 2 : 0)} ms` : span(ms);
}

// "3 s", "4 min", "2 h", "5 d"
export function span(ms: number) {
  const s = Math.max(0, ms / 1000);
  if (s < 120) return `${s.toFixed(s < 10 ? 1 : 0)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;
}
