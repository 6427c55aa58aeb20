// queue: what waits, runs, waits to be tried again, and was given up; depth and age are live.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { follow, request } from "../api.ts";
import { drop, redrive, runPage, span } from "../runs.ts";
import { here, part, withQuery } from "../router.ts";
import { AsCommand, Busy, Confirm, Empty, Head, Live, Problem, line, say, useAction, useLoad } from "../ui.tsx";
import { RunTable } from "./runs.tsx";

interface Depth {
  queued: number;
  running: number;
  waiting: number;
  dead: number;
  oldest_ms: number;
}

type Place = "queued" | "running" | "waiting" | "dead";

const PLACES: [Place, string, string][] = [
  ["queued", "Waiting", "Nothing waits: each event is being worked on the moment it comes."],
  ["running", "Running", "No event runs at this moment."],
  ["waiting", "To be retried", "No event waits for another try."],
  ["dead", "Dead", "Nothing was given up. What fails for good comes here, and can be run again."],
];

export default function Queue() {
  const depth = useSignal<Depth | null>(null);
  const live = useSignal(true);
  const error = useSignal<unknown>(null);
  const turn = useSignal(0);
  useEffect(() => {
    const stop = new AbortController();
    let before = "";
    follow(
      "/v1/overview?follow=1",
      stop.signal,
      (e) => {
        const q = (JSON.parse(e.data) as { queue: Depth }).queue;
        depth.value = q;
        const now = [q.queued, q.running, q.waiting, q.dead].join();
        if (before && now !== before) turn.value++;
        before = now;
      },
      (on) => (live.value = on),
    ).catch((e) => (error.value = e));
    return () => stop.abort();
  }, []);
  const q = here.value.searchParams;
  const d = depth.value;
  const place = PLACES.find(([p]) => p === q.get("state")) ?? PLACES.find(([p]) => d && d[p] > 0) ?? PLACES[0]!;
  return (
    <>
      <Head title="Queue">{d && <Live on={live.value} />}</Head>
      <Problem what="The queue could not be read." error={error.value} />
      <nav class="figures" aria-label="Places">
        {PLACES.map(([p, label]) => (
          <a class="figure" href={`/queue?state=${p}`} aria-current={p === place[0] ? "page" : undefined}>
            <span class="faint">{label}</span>
            <strong class={p === "dead" && d && d.dead > 0 ? "bad" : ""}>{d ? d[p].toLocaleString() : "…"}</strong>
            {p === "queued" && <span class="faint">{d?.oldest_ms ? `oldest is due for ${span(d.oldest_ms)}` : "none is late"}</span>}
          </a>
        ))}
      </nav>
      <List key={place[0]} place={place[0]} none={place[2]} turn={turn.value} />
    </>
  );
}

function List({ place, none, turn }: { place: Place; none: string; turn: number }) {
  const q = here.value.searchParams;
  const name = q.get("function") ?? "";
  const after = q.get("after") ?? "";
  const got = useLoad(
    () => runPage(place === "dead" ? "dead" : "runs", { state: place === "dead" ? undefined : place, function: name, cursor: after }),
    [place, name, after],
  );
  useEffect(() => {
    if (turn) got.reload();
  }, [turn]);
  const picked = useSignal<ReadonlySet<string>>(new Set());
  const rows = got.data?.rows;
  const chosen = rows?.filter((r) => picked.value.has(r.id)) ?? [];
  const pick = (ids: string[], on: boolean) => {
    const next = new Set(picked.value);
    for (const id of ids) on ? next.add(id) : next.delete(id);
    picked.value = next;
  };
  const everything = !!rows?.length && chosen.length === rows.length;
  return (
    <>
      <div class="row bar">
        {name && (
          <a class="button" href={withQuery("function", null)}>
            Only {name} ✕
          </a>
        )}
        {place === "dead" && !!rows?.length && <Dead chosen={chosen} name={name} done={() => ((picked.value = new Set()), got.reload())} />}
      </div>
      <Problem what="The events could not be listed." error={got.error} retry={got.reload} />
      {got.busy && !rows && <Busy />}
      {rows && !rows.length && (after ? <p class="empty">There are no more.</p> : <Empty title={place === "dead" ? "The dead list is empty" : "It is empty"}>{none}</Empty>)}
      {!!rows?.length && (
        <RunTable
          rows={rows}
          picked={(r) => picked.value.has(r.id)}
          head={place === "dead" && <input type="checkbox" aria-label="Choose all of this page" checked={everything} onChange={(e) => pick(rows.map((r) => r.id), e.currentTarget.checked)} />}
          pick={
            place === "dead"
              ? (r) => <input type="checkbox" aria-label={`Choose ${r.id} of ${r.function}`} checked={picked.value.has(r.id)} onChange={(e) => pick([r.id], e.currentTarget.checked)} />
              : undefined
          }
        />
      )}
      <nav class="row end" aria-label="Pages">
        {after && <a href={withQuery("after", null)}>First page</a>}
        {got.data?.cursor && <a href={withQuery("after", got.data.cursor)}>Next page</a>}
      </nav>
      <AsCommand perilune={place === "dead" ? line("perilune", "dead", "list", ...(name ? [name] : [])) : line("perilune", "runs", "list", ...(name ? [name] : []), "--state", place)} />
    </>
  );
}

const counted = (n: number) => (n === 1 ? "1 event" : `${n} events`);

// Functions of some rows, each once: "a, b and 3 more".
function named(names: string[]) {
  const all = [...new Set(names)];
  return all.length > 3 ? `${all.slice(0, 3).join(", ")} and ${all.length - 3} more` : all.join(", ");
}

function Dead({ chosen, name, done }: { chosen: { id: string; function: string }[]; name: string; done: () => void }) {
  const action = useAction();
  const at = useSignal(0);
  // One after the other, so that the first failure stops it and says which.
  const each = async (what: (id: string) => Promise<unknown>, word: string) => {
    at.value = 0;
    try {
      for (const r of chosen) {
        await what(r.id);
        at.value++;
      }
      say(`${counted(chosen.length)} ${word}.`);
    } finally {
      done();
    }
  };
  const whose = name ? `of ${name}` : "of all functions";
  const which = name ? `function=${part(name)}` : "all=1";
  const all = async (method: string, path: string, member: string, word: string) => {
    const answer = await (await request(`/v1/dead${path}?${which}`, { method })).json();
    say(`${counted(answer[member])} ${word}${answer.skipped ? `; ${answer.skipped} stay: their function is gone` : ""}.`);
    done();
  };
  const n = chosen.length;
  return (
    <>
      <button type="button" class="primary" disabled={!n || action.busy} onClick={() => void action.run(() => each(redrive, "back in the queue"))}>
        {action.busy ? `${at.value} of ${n}…` : n ? `Re-drive ${counted(n)}` : "Re-drive the chosen"}
      </button>
      {n > 0 && (
        <Confirm label={`Drop ${counted(n)}…`} title={`Drop ${counted(n)}?`} act={`Drop ${counted(n)} of ${named(chosen.map((r) => r.function))}`} run={() => each(drop, "dropped")}>
          <p>They cannot be replayed any more:</p>
          <ul class="plain ids">
            {chosen.slice(0, 10).map((r) => (
              <li>
                <code>{r.id}</code> {r.function}
              </li>
            ))}
            {n > 10 && <li>and {n - 10} more</li>}
          </ul>
        </Confirm>
      )}
      <span class="grow" />
      <Confirm class="" label="Re-drive all…" title={`Re-drive every dead event ${whose}?`} act={`Re-drive all ${whose}`} run={() => all("POST", "/redrive", "redriven", "back in the queue")}>
        <p>Each runs again, as if it were new. What still fails comes back here.</p>
      </Confirm>
      <Confirm label="Drop all…" title={`Drop every dead event ${whose}?`} act={`Drop all ${whose}`} run={() => all("DELETE", "", "dropped", "dropped")}>
        <p>They cannot be replayed any more.</p>
      </Confirm>
      <Problem what="Not all went." error={action.error} />
    </>
  );
}
