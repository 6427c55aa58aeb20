// chart: a small picture of numbers over time. Bars stand on each other's base, so that errors show
// within requests; lines connect. The same numbers are there as a table.
import type { ComponentChildren } from "preact";
import { Time } from "./ui.tsx";

export interface Series {
  label: string;
  class: string; // of style.css
  of: readonly number[];
}

const HIGH = 40;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

// Places: `room` of them, the newest at the right.
export function Chart(p: {
  title: string;
  times: readonly number[];
  room: number;
  bars?: Series[];
  lines?: Series[];
  show: (n: number) => string;
  children?: ComponentChildren;
}) {
  const { bars = [], lines = [], times, room } = p;
  const all = [...bars, ...lines];
  const most = Math.max(...all.map((s) => s.of.reduce((a, b) => Math.max(a, b), 0)), 0);
  const high = (n: number) => (most ? (n / most) * (HIGH - 2) : 0);
  const x = (i: number) => room - times.length + i;
  // Where nothing ran there is no line; a point on its own is a short one.
  const path = (s: Series) =>
    s.of
      .map((n, i) => {
        if (!n) return "";
        const y = (HIGH - high(n)).toFixed(2);
        return s.of[i - 1] ? `L${x(i) + 0.5} ${y}` : `M${x(i) + 0.1} ${y}L${x(i) + (s.of[i + 1] ? 0.5 : 0.9)} ${y}`;
      })
      .join("");
  return (
    <figure class="chart">
      <figcaption>
        <strong>{p.title}</strong>
        {all.map((s) => (
          <span class={`key ${s.class}`}>{s.label}</span>
        ))}
        <span class="grow" />
        <span class="faint">{most ? `highest ${p.show(most)}` : "nothing yet"}</span>
      </figcaption>
      <svg viewBox={`0 0 ${room} ${HIGH}`} preserveAspectRatio="none" role="img" aria-label={`${p.title}: ${most ? `at most ${p.show(most)}` : "nothing yet"}`}>
        {bars.map((s) => s.of.map((n, i) => n > 0 && <rect x={x(i) + 0.1} width="0.8" y={HIGH - high(n)} height={high(n)} class={s.class} />))}
        {lines.map((s) => (
          <path d={path(s)} class={`stroke ${s.class}`} vector-effect="non-scaling-stroke" />
        ))}
      </svg>
      {times.length > 1 && (
        <div class="row faint span">
          <Time at={times.at(-1)! - (room - 1) * (times[1]! - times[0]!)} format={clock} />
          <span class="grow" />
          <Time at={times.at(-1)!} format={clock} />
        </div>
      )}
      {p.children}
    </figure>
  );
}

// The numbers themselves, newest first; only where there are any.
export function Numbers(p: { times: readonly number[]; series: Series[]; show: (n: number, of: Series) => string }) {
  const rows = p.times.map((t, i) => ({ t, i })).filter(({ i }) => p.series.some((s) => s.of[i]));
  if (!rows.length) return null;
  return (
    <details>
      <summary>As a table</summary>
      <table>
        <thead>
          <tr>
            <th>At</th>
            {p.series.map((s) => (
              <th class="num">{s.label}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.reverse().map(({ t, i }) => (
            <tr key={t}>
              <td>
                <Time at={t} format={clock} />
              </td>
              {p.series.map((s) => (
                <td class="num">{p.show(s.of[i]!, s)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
