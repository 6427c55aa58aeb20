// metrics: a function's last hour, minute by minute.
import { useEffect } from "preact/hooks";
import { call } from "../api.ts";
import { Chart, Numbers, type Series } from "../chart.tsx";
import { part } from "../router.ts";
import { Busy, Empty, Figure, Problem, bytes, millis, useLoad } from "../ui.tsx";
import type { TabProps } from "./function.tsx";

interface Point {
  t: number;
  requests: number;
  errors: number;
  p50_ms: number;
  p99_ms: number;
  max_ms: number;
  memory_bytes: number;
}

const POINTS = 60;
const EVERY_MS = 10_000;

export default function Metrics({ fn }: TabProps) {
  const name = fn.FunctionName;
  const got = useLoad(() => call<{ points: Point[] }>("GET", `/v1/functions/${part(name)}/metrics`).then((d) => d.points), [name]);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || got.reload(), EVERY_MS);
    return () => clearInterval(timer);
  }, [name]);
  const points = got.data;
  if (!points) return got.error ? <Problem what="The metrics could not be read." error={got.error} retry={got.reload} /> : <Busy />;
  const of = (label: string, style: string, value: (p: Point) => number): Series => ({ label, class: style, of: points.map(value) });
  const times = points.map((p) => p.t);
  const requests = of("runs", "runs", (p) => p.requests);
  const errors = of("failed", "errors", (p) => p.errors);
  const half = of("half are faster than", "runs", (p) => p.p50_ms);
  const most = of("99 %", "slow", (p) => p.p99_ms);
  const longest = of("longest", "errors", (p) => p.max_ms);
  const memory = of("peak memory", "runs", (p) => p.memory_bytes);
  const sum = (s: Series) => s.of.reduce((a, b) => a + b, 0);
  const top = (s: Series) => s.of.reduce((a, b) => Math.max(a, b), 0);
  const total = sum(requests);
  const show = (n: number, s: Series) => (s === requests || s === errors ? String(n) : s === memory ? bytes(n) : millis(n));
  return (
    <>
      {!total && (
        <Empty title="It has not run this past hour">
          A <a href={`/functions/${part(name)}/test`}>test event</a> runs it now. What it used by day is kept for good.
        </Empty>
      )}
      <div class="figures">
        <Figure label="Runs" value={String(total)} more="this past hour" />
        <Figure label="Failed" value={String(sum(errors))} bad={sum(errors) > 0} more={total ? `${((sum(errors) / total) * 100).toFixed(1)} %` : ""} />
        <Figure label="Longest" value={millis(top(longest))} more={`of at most ${fn.Timeout} s`} />
        <Figure label="Peak memory" value={bytes(top(memory))} more={`of ${fn.MemorySize} MB`} />
      </div>
      <Chart title="Runs a minute" times={times} room={POINTS} bars={[requests, errors]} show={String} />
      <Chart title="How long they take" times={times} room={POINTS} lines={[half, most, longest]} show={millis} />
      <Chart title="Memory" times={times} room={POINTS} bars={[memory]} show={bytes} />
      <Numbers times={times} series={[requests, errors, half, most, longest, memory]} show={show} />
    </>
  );
}
