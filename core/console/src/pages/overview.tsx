// overview: what runs, what fails, what waits; live.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { follow } from "../api.ts";
import { functionPage } from "../aws.ts";
import { Chart, type Series } from "../chart.tsx";
import { part } from "../router.ts";
import { Busy, Empty, Figure, Head, Live, Problem, Time, bytes, millis, useLoad } from "../ui.tsx";

interface Point {
  t: number;
  requests: number;
  errors: number;
  p50_ms: number;
  p99_ms: number;
}

interface Snapshot {
  now_ms: number;
  status: string;
  rate: number;
  error_rate: number;
  p50_ms: number;
  p99_ms: number;
  queue: { queued: number; running: number; waiting: number; dead: number; oldest_ms: number };
  runners: { running: number; spare: number; busy: number };
  disk: { free_bytes: number; total_bytes: number; store_bytes: number } | null;
  memory: { server_bytes: number; runners_bytes: number };
  series: { step_ms: number; points: Point[] };
  failures: { timestamp: number; function: string; request_id: string; error: string; message: string }[];
}

const KEPT = 180; // half an hour of points

function Charts({ points }: { points: Point[] }) {
  const of = (label: string, style: string, value: (p: Point) => number): Series => ({ label, class: style, of: points.map(value) });
  const times = points.map((p) => p.t);
  return (
    <div class="charts">
      <Chart
        title="Runs in ten seconds"
        times={times}
        room={KEPT}
        bars={[of("runs", "runs", (p) => p.requests), of("failed", "errors", (p) => p.errors)]}
        show={String}
      />
      <Chart
        title="How long they take"
        times={times}
        room={KEPT}
        lines={[of("half are faster than", "runs", (p) => p.p50_ms), of("99 %", "slow", (p) => p.p99_ms)]}
        show={millis}
      />
    </div>
  );
}

export default function Overview() {
  const now = useSignal<Snapshot | null>(null);
  const live = useSignal(true);
  const error = useSignal<unknown>(null);
  const any = useLoad(() => functionPage("", 1), []);
  useEffect(() => {
    const stop = new AbortController();
    const points: Snapshot["series"]["points"] = [];
    follow(
      "/v1/overview?follow=1",
      stop.signal,
      (e) => {
        const s = JSON.parse(e.data) as Snapshot;
        const last = points.at(-1)?.t ?? 0;
        points.push(...s.series.points.filter((x) => x.t > last));
        points.splice(0, points.length - KEPT);
        now.value = { ...s, series: { ...s.series, points: [...points] } };
      },
      (on) => (live.value = on),
    ).catch((e) => (error.value = e));
    return () => stop.abort();
  }, []);
  const s = now.value;
  return (
    <>
      <Head title="Overview">{s && <Live on={live.value} />}</Head>
      <Problem what="The overview could not be read." error={error.value} />
      {any.data && !any.data.Functions.length && (
        <Empty title="Nothing runs here yet">
          Choose a blueprint, say what it shall watch, and it is live. <a href="/create">Create a function</a>
        </Empty>
      )}
      {!s && !error.value && <Busy />}
      {s && (
        <>
          <div class="figures">
            <Figure label="Runs a second" value={s.rate.toFixed(s.rate < 10 ? 2 : 0)} more="last minute" />
            <Figure label="Failing" value={`${(s.error_rate * 100).toFixed(1)} %`} bad={s.error_rate > 0} more="of runs" />
            <Figure label="Half are faster than" value={millis(s.p50_ms)} more={`99 %: ${millis(s.p99_ms)}`} />
            <Figure
              label="Waiting events"
              value={String(s.queue.queued + s.queue.waiting)}
              more={s.queue.oldest_ms ? `oldest ${(s.queue.oldest_ms / 1000).toFixed(0)} s` : "none is old"}
            />
            <Figure label="Given up" value={String(s.queue.dead)} bad={s.queue.dead > 0} more="dead events" />
            <Figure label="Runners" value={`${s.runners.busy} of ${s.runners.running}`} more="busy" />
            <Figure label="Memory" value={bytes(s.memory.server_bytes + s.memory.runners_bytes)} more="server and runners" />
            {s.disk && <Figure label="Disk free" value={bytes(s.disk.free_bytes)} more={`of ${bytes(s.disk.total_bytes)}; ${bytes(s.disk.store_bytes)} of records`} />}
          </div>
          {s.status !== "ok" && (
            <div class="problem" role="alert">
              <strong>The server takes no writes.</strong>
              <span>Its disk is full or failed. Reads and deletes go on; make room, and it goes on by itself.</span>
            </div>
          )}
          <Charts points={s.series.points} />
          <h2>Newest failures</h2>
          {s.failures.length ? (
            <ul class="list">
              {s.failures.map((f) => (
                <li>
                  <a href={`/functions/${part(f.function)}/logs?request=${part(f.request_id ?? "")}`}>{f.function}</a>{" "}
                  <span class="bad">{f.error}</span> <span class="clip">{f.message}</span>
                  <span class="faint">
                    <Time at={f.timestamp} />
                  </span>
                </li>
              ))}
            </ul>
          ) : (
            <p class="faint">None since the server started.</p>
          )}
        </>
      )}
    </>
  );
}
