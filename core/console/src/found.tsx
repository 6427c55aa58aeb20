// found: a list that comes in pages, however long it is, and those of it in which the words occur.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { here, go, withQuery } from "./router.ts";
import { useSieve } from "./slices.ts";
import { Busy, Problem, Rows } from "./ui.tsx";

// The words that the page's address asks for, and where they are typed.
export const findWords = () => here.value.searchParams.get("find") ?? "";

export const FindBox = ({ label }: { label: string }) => (
  <div class="row bar">
    <input type="search" aria-label={label} placeholder="Find" value={findWords()} onInput={(e) => go(withQuery("find", e.currentTarget.value), true)} />
  </div>
);

export function Found<T>(p: {
  ask: (each: (some: T[]) => void, gone: () => boolean) => Promise<void>;
  of: unknown[]; // asked anew when one of them changes
  words: string;
  text: (item: T) => string; // where the words are looked for
  label: string;
  empty?: ComponentChildren;
  row: (item: T) => ComponentChildren;
}) {
  const list = useRef<T[]>([]);
  const count = useSignal(0);
  const busy = useSignal(true);
  const error = useSignal<unknown>(null);
  useEffect(() => {
    let gone = false;
    const mine: T[] = (list.current = []);
    count.value = 0;
    busy.value = true;
    error.value = null;
    p.ask(
      (some) => {
        if (gone) return;
        for (const item of some) mine.push(item);
        count.value = mine.length;
      },
      () => gone,
    ).then(
      () => gone || (busy.value = false),
      (e) => gone || ((busy.value = false), (error.value = e)),
    );
    return () => {
      gone = true;
    };
  }, p.of);
  const words = p.words.toLowerCase();
  const keep = words ? (item: T) => p.text(item).toLowerCase().includes(words) : null;
  const { rows, busy: sieving } = useSieve(list.current, count.value, keep, [words]);
  const more = busy.value || sieving;
  return (
    <>
      <Problem what={`${p.label} could not be listed.`} error={error.value} />
      {busy.value && !count.value && <Busy />}
      {!busy.value && !count.value && !error.value && p.empty}
      {(words || count.value > 50) && (
        <p class="faint" role="status">
          {words ? `${rows.length} of ${count.value}` : count.value}
          {more && " so far"}
        </p>
      )}
      {rows.length > 0 && <Rows rows={rows} count={rows.length} height={40} label={p.label} row={p.row} />}
    </>
  );
}
