// usage: what functions used, by function and by day, and AWS's list price for the same.
import { call } from "../api.ts";
import { go, here, part, withQuery } from "../router.ts";
import { AsCommand, Busy, Empty, Head, Problem, bytes, line, useLoad } from "../ui.tsx";

interface Row {
  function: string;
  deleted: boolean;
  day: string;
  requests: number;
  errors: number;
  billed_ms: number;
  gb_s: number;
  duration_ms: number;
  peak_bytes: number;
  list_usd: number;
}

interface Price {
  request: number;
  gb_second: number;
  least_mb: number;
}

const DAYS = [7, 30, 90, 365];
const DAY_MS = 86_400_000;
const dayOf = (ms: number) => new Date(ms).toISOString().slice(0, 10);

async function everything(from: string, name: string) {
  const rows: Row[] = [];
  let price: Price | undefined;
  for (let cursor: string | null = ""; cursor !== null; ) {
    const q = new URLSearchParams({ from, ...(name && { function: name }), ...(cursor && { cursor }) });
    const page: { usage: Row[]; list_price: Price; cursor: string | null } = await call("GET", `/v1/usage?${q}`);
    rows.push(...page.usage);
    price = page.list_price;
    cursor = page.cursor;
  }
  return { rows, price: price! };
}

function add(into: Row, r: Row) {
  for (const what of ["requests", "errors", "billed_ms", "gb_s", "duration_ms", "list_usd"] as const) into[what] += r[what];
  into.peak_bytes = Math.max(into.peak_bytes, r.peak_bytes);
  return into;
}

const none = (): Row => ({ function: "", deleted: false, day: "", requests: 0, errors: 0, billed_ms: 0, gb_s: 0, duration_ms: 0, peak_bytes: 0, list_usd: 0 });

function grouped(rows: Row[], by: "function" | "day"): Row[] {
  const found = new Map<string, Row>();
  for (const r of rows) {
    const sum = found.get(r[by]) ?? { ...none(), [by]: r[by], deleted: r.deleted };
    found.set(r[by], add(sum, r));
  }
  const all = [...found.values()];
  return by === "day" ? all.sort((a, b) => (a.day < b.day ? 1 : -1)) : all.sort((a, b) => b.gb_s - a.gb_s);
}

const count = (n: number) => n.toLocaleString();
const gbs = (n: number) => n.toLocaleString(undefined, n < 1 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: n < 100 ? 2 : 0 });
const usd = (n: number) => `$${n > 0 && n < 0.01 ? n.toFixed(7) : n.toFixed(2)}`;

// Functions' names hold no comma and no quote, and begin with nothing that a table would compute.
const csv = (rows: Row[]) =>
  ["function,day,requests,errors,billed_ms,gb_s,peak_bytes,list_usd", ...rows.map((r) => [r.function, r.day, r.requests, r.errors, r.billed_ms, r.gb_s.toFixed(6), r.peak_bytes, r.list_usd.toFixed(9)].join(","))].join("\n") + "\n";

function download(rows: Row[], from: string) {
  const a = document.createElement("a");
  a.href = URL.createObjectURL(new Blob([csv(rows)], { type: "text/csv" }));
  a.download = `perilune-usage-${from}.csv`;
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10_000);
}

// Requests a day as bars, errors in them.
function Days({ rows, days }: { rows: Row[]; days: number }) {
  const by = new Map(grouped(rows, "day").map((r) => [r.day, r]));
  const first = Date.now() - (days - 1) * DAY_MS;
  const all = Array.from({ length: days }, (_, i) => by.get(dayOf(first + i * DAY_MS)) ?? none());
  const most = Math.max(1, ...all.map((r) => r.requests));
  const total = all.reduce((n, r) => n + r.requests, 0);
  return (
    <figure class="chart">
      <svg viewBox={`0 0 ${days} 40`} preserveAspectRatio="none" role="img" aria-label={`${total} requests in ${days} days`}>
        {all.map((r, i) => {
          const high = (r.requests / most) * 38;
          const bad = (r.errors / most) * 38;
          return (
            <>
              <rect x={i + 0.1} width="0.8" y={40 - high} height={high} class="runs" />
              <rect x={i + 0.1} width="0.8" y={40 - bad} height={bad} class="errors" />
            </>
          );
        })}
      </svg>
      <figcaption class="faint">Requests a day, UTC. Highest: {count(most)}.</figcaption>
    </figure>
  );
}

const Figure = (p: { label: string; value: string; more: string }) => (
  <div class="figure">
    <span class="faint">{p.label}</span>
    <strong>{p.value}</strong>
    <span class="faint">{p.more}</span>
  </div>
);

const Name = ({ of: { function: name, deleted } }: { of: Row }) =>
  deleted ? (
    <>
      {name} <span class="faint">deleted</span>
    </>
  ) : (
    <a href={`/functions/${part(name)}`}>{name}</a>
  );

export default function Usage() {
  const q = here.value.searchParams;
  const days = DAYS.find((d) => d === Number(q.get("days"))) ?? 30;
  const by = q.get("by") === "day" ? "day" : "function";
  const name = q.get("function") ?? "";
  const from = dayOf(Date.now() - (days - 1) * DAY_MS);
  const got = useLoad(() => everything(from, name), [from, name]);
  const rows = got.data?.rows;
  const total = rows?.reduce(add, none());
  const price = got.data?.price;
  const set = (what: string, value: string) => go(withQuery(what, value), true);
  return (
    <>
      <Head title="Usage">
        {!!rows?.length && (
          <button type="button" onClick={() => download(rows, from)}>
            Download CSV
          </button>
        )}
      </Head>
      <div class="row bar">
        <select aria-label="Period" value={String(days)} onChange={(e) => set("days", e.currentTarget.value)}>
          {DAYS.map((d) => (
            <option value={String(d)}>Last {d} days</option>
          ))}
        </select>
        <select aria-label="One line for each" value={by} onChange={(e) => set("by", e.currentTarget.value)}>
          <option value="function">By function</option>
          <option value="day">By day</option>
        </select>
        {name && (
          <a class="button" href={withQuery("function", null)}>
            Only {name} ✕
          </a>
        )}
      </div>
      <Problem what="The usage could not be read." error={got.error} retry={got.reload} />
      {got.busy && !rows && <Busy />}
      {rows && !rows.length && (
        <Empty title="Nothing was used in these days">
          Each run is counted here a second after it ended. <a href="/functions">Run a function</a>
        </Empty>
      )}
      {rows && total && price && rows.length > 0 && (
        <>
          <div class="figures five">
            <Figure label="Requests" value={count(total.requests)} more={`${count(total.errors)} failed`} />
            <Figure label="Billed" value={`${count(total.billed_ms)} ms`} more={`${(total.billed_ms / Math.max(1, total.requests)).toFixed(1)} ms a request`} />
            <Figure label="GB-seconds" value={gbs(total.gb_s)} more="memory size × billed time" />
            <Figure label="Peak memory" value={bytes(total.peak_bytes)} more="of one run" />
            <Figure label="At AWS's list price" value={usd(total.list_usd)} more="here: nothing" />
          </div>
          <Days rows={rows} days={days} />
          <table>
            <thead>
              <tr>
                <th>{by === "day" ? "Day" : "Function"}</th>
                <th class="num">Requests</th>
                <th class="wide num">Failed</th>
                <th class="wide num">Billed ms</th>
                <th class="num">GB-s</th>
                <th class="wide num">Peak</th>
                <th class="num">At AWS</th>
              </tr>
            </thead>
            <tbody>
              {grouped(rows, by).map((r) => (
                <tr key={r[by]}>
                  <td class="break">{by === "day" ? r.day : <Name of={r} />}</td>
                  <td class="num">{count(r.requests)}</td>
                  <td class="wide num">{count(r.errors)}</td>
                  <td class="wide num">{count(r.billed_ms)}</td>
                  <td class="num">{gbs(r.gb_s)}</td>
                  <td class="wide num">{bytes(r.peak_bytes)}</td>
                  <td class="num">{usd(r.list_usd)}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <p class="faint">
            AWS Lambda's list price: ${(price.request * 1e6).toFixed(2)} for a million requests and ${price.gb_second.toFixed(10)} for a GB-second (x86, us-east-1), without the free tier; a
            function has {price.least_mb} MB there at least.
          </p>
        </>
      )}
      <AsCommand perilune={line("perilune", "usage", ...(name ? [name] : []), "--from", from, "--by", by)} />
    </>
  );
}
