// slices: long work in pieces of a few milliseconds, so that the page goes on answering meanwhile.
import { useEffect, useRef, useState } from "preact/hooks";

const SLICE_MS = 6;
const STEP = 100; // items between two looks at the clock

export const breathe = () => new Promise<void>((go) => setTimeout(go));

// Says when it is time to let the page breathe.
export function slice() {
  let until = performance.now() + SLICE_MS;
  return async () => {
    if (performance.now() < until) return;
    await breathe();
    until = performance.now() + SLICE_MS;
  };
}

// Those of a list that are to be kept. The list may grow in place (count tells); another list, or
// another of `of`, begins anew. keep null: all of it.
export function useSieve<T>(list: readonly T[], count: number, keep: ((item: T) => boolean) | null, of: unknown[]) {
  const state = useRef({ key: [] as unknown[], rows: [] as T[], at: 0 });
  const [, again] = useState(0);
  const key = [list, ...of];
  if (key.some((v, i) => v !== state.current.key[i])) state.current = { key, rows: [], at: 0 };
  useEffect(() => {
    if (!keep) return;
    const s = state.current;
    let timer = 0;
    const step = () => {
      const until = performance.now() + SLICE_MS;
      while (s.at < list.length && performance.now() < until)
        for (const end = Math.min(s.at + STEP, list.length); s.at < end; s.at++)
          if (keep(list[s.at]!)) s.rows.push(list[s.at]!);
      again((n) => n + 1);
      if (s.at < list.length) timer = setTimeout(step) as unknown as number;
    };
    step();
    return () => clearTimeout(timer);
  }, [count, ...key]);
  const s = state.current;
  return keep ? { rows: s.rows as readonly T[], busy: s.at < list.length } : { rows: list, busy: false };
}
