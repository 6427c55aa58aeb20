// palette: Ctrl-K, some letters, Enter. Pages are known; functions and buckets are asked for when it
// opens, and searched as they come.
import { computed, signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { signOut } from "./api.ts";
import { buckets, everyFunction } from "./aws.ts";
import { switchTheme } from "./frame.tsx";
import { go, part } from "./router.ts";
import { session } from "./session.ts";
import { PLACES } from "./views.tsx";

interface Entry {
  label: string;
  kind: string;
  run: () => void;
}

const SHOWN = 12;

const open = signal(false);
const query = signal("");
const chosen = signal(0);
const found = signal<Entry[]>([]);

const to = (kind: string, label: string, path: string): Entry => ({ kind, label, run: () => go(path) });

const FIXED: Entry[] = [
  ...PLACES.map((p) => to("page", p.label, p.path)),
  { kind: "do", label: "Switch between light and dark", run: switchTheme },
  { kind: "do", label: "Sign out", run: () => void signOut() },
];

// Every word must occur; those that begin with the query come first.
const matches = computed(() => {
  const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
  const first: Entry[] = [];
  const rest: Entry[] = [];
  for (const e of [...FIXED, ...found.value]) {
    const name = e.label.toLowerCase();
    if (!words.every((w) => name.includes(w) || e.kind.includes(w))) continue;
    (words.length && name.startsWith(words[0]!) ? first : rest).push(e);
    if (first.length >= SHOWN) break;
  }
  return [...first, ...rest].slice(0, SHOWN);
});

export function openPalette() {
  if (!session.value) return;
  query.value = "";
  chosen.value = 0;
  open.value = true;
  void ask();
}

// A place that cannot be listed is left out here; its own page says why.
async function ask() {
  const all: Entry[] = (found.value = []);
  const show = (some: Entry[]) => {
    for (const e of some) all.push(e);
    found.value = all.slice();
  };
  await Promise.allSettled([
    everyFunction(
      (some) => show(some.map((f) => to("function", f.FunctionName, `/functions/${part(f.FunctionName)}`))),
      () => !open.value,
    ),
    buckets().then((some) => show(some.map((b) => to("bucket", b.name, `/buckets/${part(b.name)}`)))),
  ]);
}

addEventListener("keydown", (e) => {
  if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === "k") {
    e.preventDefault();
    openPalette();
  }
});

export function Palette() {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    if (open.value) dialog.current?.showModal();
  }, [open.value]);
  const close = () => dialog.current?.close();
  const pick = (e: Entry | undefined) => {
    close();
    e?.run();
  };
  const key = (e: KeyboardEvent) => {
    const step = e.key === "ArrowDown" ? 1 : e.key === "ArrowUp" ? -1 : 0;
    if (step) {
      e.preventDefault();
      const n = matches.value.length || 1;
      chosen.value = (chosen.value + step + n) % n;
    } else if (e.key === "Enter") {
      e.preventDefault();
      pick(matches.value[chosen.value]);
    }
  };
  return (
    <dialog ref={dialog} class="palette" aria-label="Go to" onClose={() => (open.value = false)} onClick={(e) => e.target === dialog.current && close()}>
      {open.value && (
        <>
          <input
            role="combobox"
            aria-expanded="true"
            aria-controls="palette"
            aria-activedescendant={matches.value.length ? `palette-${chosen.value}` : undefined}
            aria-label="Go to a page, function or bucket"
            placeholder="A page, function or bucket"
            autofocus
            autocomplete="off"
            value={query.value}
            onInput={(e) => {
              query.value = e.currentTarget.value;
              chosen.value = 0;
            }}
            onKeyDown={key}
          />
          <ul id="palette" role="listbox" aria-label="Matches">
            {matches.value.map((e, i) => (
              <li id={`palette-${i}`} role="option" aria-selected={i === chosen.value} onClick={() => pick(e)}>
                <span>{e.label}</span> <span class="faint">{e.kind}</span>
              </li>
            ))}
          </ul>
          {!matches.value.length && <p class="faint pad">Nothing of that name.</p>}
        </>
      )}
    </dialog>
  );
}
