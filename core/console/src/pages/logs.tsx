// logs: a function's lines as they come. Where a bucket calls the function, a file dropped here goes
// there, and its line appears below.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { follow } from "../api.ts";
import { here, withQuery, go } from "../router.ts";
import { s3Triggers } from "../triggers.ts";
import { AsCommand, DropZone, Empty, Live, Problem, Rows, Time, copy, line, useLoad } from "../ui.tsx";
import { send, uploads } from "../upload.ts";
import { server } from "../session.ts";
import { useSieve } from "../slices.ts";
import { made } from "../made.ts";
import type { TabProps } from "./function.tsx";
import { UploadRow } from "./uploads.tsx";

interface Line {
  timestamp: number;
  level: string;
  request_id: string;
  message: string;
}

const KEPT = 200_000; // then the oldest go
const SPANS: [string, number][] = [
  ["15 minutes", 900_000],
  ["1 hour", 3_600_000],
  ["1 day", 86_400_000],
  ["1 week", 604_800_000],
];
const LEVELS = ["debug", "info", "warn", "error"];
const PLATFORM = /^(START|END|REPORT) RequestId: /;

// In the list; the whole line is one click away.
const short = (message: string) =>
  PLATFORM.test(message) ? message.replace(/ RequestId: \S+/, "").replaceAll("\t", "  ") : message.slice(0, 400);

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false });

export function LogsTab({ fn }: TabProps) {
  const q = here.value.searchParams;
  const span = Number(q.get("span")) || 3_600_000;
  const level = q.get("level") ?? "";
  const request = q.get("request") ?? "";
  const all = useRef<Line[]>([]);
  const count = useSignal(0);
  const live = useSignal(false);
  const settled = useSignal(false);
  const error = useSignal<unknown>(null);
  const filter = useSignal("");
  const platform = useSignal(true);
  const picked = useSignal<Line | null>(null);

  useEffect(() => {
    const stop = new AbortController();
    let batch: Line[] = [];
    let soon = 0;
    all.current = [];
    count.value = 0;
    error.value = null;
    picked.value = null;
    // Lines come in bursts; the page is drawn once for each. The list grows in place, so that what was
    // looked through before need not be again.
    const flush = () => {
      soon = 0;
      for (const l of batch) all.current.push(l);
      batch = [];
      if (all.current.length > KEPT) all.current = all.current.slice(-KEPT * 0.9);
      count.value = all.current.length;
    };
    const query = new URLSearchParams({ follow: "1", since: String(Date.now() - span) });
    if (level) query.set("level", level.toUpperCase());
    if (request) query.set("request", request);
    follow(
      `/v1/logs/${encodeURIComponent(fn.FunctionName)}?${query}`,
      stop.signal,
      (e) => {
        batch.push(JSON.parse(e.data) as Line);
        soon ||= setTimeout(flush, 30) as unknown as number;
      },
      (on) => {
        live.value = on;
        if (on) setTimeout(() => (settled.value = true), 400);
      },
    ).catch((e) => (error.value = e));
    return () => {
      stop.abort();
      clearTimeout(soon);
    };
  }, [fn.FunctionName, span, level, request]);

  const words = filter.value.toLowerCase();
  const whole = platform.value;
  const keep = !words && whole ? null : (l: Line) => (whole || !PLATFORM.test(l.message)) && (!words || l.message.toLowerCase().includes(words));
  const { rows, busy } = useSieve(all.current, count.value, keep, [words, whole]);
  const set = (name: string, value: string) => go(withQuery(name, value), true);
  return (
    <>
      <TryIt fn={fn} />
      <div class="row bar">
        <input type="search" aria-label="Filter the lines" placeholder="Filter" value={filter.value} onInput={(e) => (filter.value = e.currentTarget.value)} />
        <select aria-label="Level" value={level} onChange={(e) => set("level", e.currentTarget.value)}>
          <option value="">All levels</option>
          {LEVELS.slice(1).map((l) => (
            <option value={l}>{l} and above</option>
          ))}
        </select>
        <select aria-label="Since" value={String(span)} onChange={(e) => set("span", e.currentTarget.value)}>
          {SPANS.map(([label, ms]) => (
            <option value={String(ms)}>Last {label}</option>
          ))}
        </select>
        <label class="check">
          <input type="checkbox" checked={platform.value} onChange={(e) => (platform.value = e.currentTarget.checked)} /> Start and report lines
        </label>
        {request && (
          <button type="button" onClick={() => set("request", "")}>
            One request only ✕
          </button>
        )}
        <span class="grow" />
        {words && (
          <span class="faint" role="status">
            {rows.length} of {count.value}
          </span>
        )}
        <Live on={live.value} />
      </div>
      <Problem what="The log could not be followed." error={error.value} />
      {settled.value && !all.current.length && !error.value && (
        <Empty title="No lines yet">
          Each run writes here the moment it happens. <a href={`/functions/${encodeURIComponent(fn.FunctionName)}/test`}>Send a test event</a>
        </Empty>
      )}
      {all.current.length > 0 && (
        <Rows
          rows={rows}
          count={rows.length}
          height={24}
          tail
          label="Log lines, newest last"
          row={(l) => (
            <button type="button" class={`line ${l.level} ${PLATFORM.test(l.message) ? "platform" : ""}`} onClick={() => (picked.value = l)}>
              <Time at={l.timestamp} format={clock} />
              <span class="level">{l.level}</span>
              <span class="message">{short(l.message)}</span>
            </button>
          )}
        />
      )}
      {all.current.length > 0 && !rows.length && !busy && <p class="faint">No line matches the filter.</p>}
      {picked.value && (
        <aside class="panel" aria-label="The line">
          <div class="row">
            <strong class={picked.value.level}>{picked.value.level}</strong>
            <Time at={picked.value.timestamp} />
            <span class="grow" />
            <button type="button" onClick={() => set("request", picked.value!.request_id)}>
              This request only
            </button>
            <button type="button" onClick={() => void copy(picked.value!.message)}>
              Copy
            </button>
            <button type="button" onClick={() => (picked.value = null)}>
              Close
            </button>
          </div>
          <pre class="wrap">{picked.value.message}</pre>
          <code class="faint">{picked.value.request_id}</code>
        </aside>
      )}
      <AsCommand
        perilune={line("perilune", "logs", fn.FunctionName, "--follow")}
        aws={line("aws", "logs", "tail", `/aws/lambda/${fn.FunctionName}`, "--follow")}
        endpoint={server().endpoint}
      />
    </>
  );
}

// What to do with a function that nothing has called yet.
function TryIt({ fn }: { fn: TabProps["fn"] }) {
  const name = fn.FunctionName;
  const got = useLoad(() => s3Triggers(name, fn.FunctionArn).catch(() => []), [fn.FunctionArn]);
  const t = got.data?.find((x) => x.events.some((e) => e.startsWith("s3:ObjectCreated")));
  const command = made.value?.name === name ? made.value.try : undefined;
  return (
    <>
      {here.value.searchParams.has("new") && (
        <p class="good" role="status">
          {name} is live.
        </p>
      )}
      {t && (
        <DropZone label={`Files for ${t.bucket}`} onFiles={(files) => send(t.bucket, t.prefix, files)}>
          <strong>Drop a file here to try it</strong>
          <span class="faint">
            It goes into <a href={`/buckets/${encodeURIComponent(t.bucket)}`}>{t.bucket}</a>
            {t.prefix && `, below ${t.prefix}`}
            {t.suffix && `; only names that end in ${t.suffix} call the function`}
          </span>
        </DropZone>
      )}
      {!t && command && (
        <section class="panel">
          <strong>Try it</strong>
          <pre class="wrap">{command}</pre>
          <button type="button" onClick={() => void copy(command)}>
            Copy
          </button>
        </section>
      )}
      {t && uploads.value.some((u) => u.bucket === t.bucket) && (
        <div class="uploads">
          {uploads.value.filter((u) => u.bucket === t.bucket).map((u) => (
            <UploadRow u={u} />
          ))}
        </div>
      )}
    </>
  );
}
