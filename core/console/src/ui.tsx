// ui: the pieces that every page is made of. Whatever comes from the server is put in as text.
import type { AllHTMLAttributes, ComponentChildren } from "preact";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { type Signal, signal } from "@preact/signals";
import { ApiError } from "./api.ts";
import { type Dropped, chosen, dropped } from "./upload.ts";

// --- loading ---------------------------------------------------------------------------------

export interface Loaded<T> {
  data: T | undefined;
  error: unknown;
  busy: boolean;
  reload: () => void;
}

// What `load` answers, asked again when one of `of` changes. What was there stays until then.
export function useLoad<T>(load: () => Promise<T>, of: unknown[]): Loaded<T> {
  const [state, set] = useState<{ data?: T; error?: unknown; busy: boolean }>({ busy: true });
  const [turn, again] = useState(0);
  const shown = useRef<unknown[]>(of);
  useEffect(() => {
    let gone = false;
    const same = shown.current.every((v, i) => v === of[i]);
    shown.current = of;
    set((s) => ({ data: same ? s.data : undefined, busy: true }));
    load().then(
      (data) => gone || set({ data, busy: false }),
      (error) => gone || set({ error, busy: false }),
    );
    return () => {
      gone = true;
    };
  }, [...of, turn]);
  return { data: state.data, error: state.error, busy: state.busy, reload: () => again((n) => n + 1) };
}

// Runs what a button asks for: one at a time, its failure beside it.
export function useAction() {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const run = async (what: () => Promise<unknown>) => {
    if (busy) return false;
    setBusy(true);
    setError(null);
    try {
      await what();
      return true;
    } catch (e) {
      setError(e);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, error, run, setError };
}

// --- what went wrong -------------------------------------------------------------------------

const ADVICE: [RegExp, string][] = [
  [/AccessDenied/, "Sign in as somebody who may, or ask an administrator for the action named above."],
  [/Throttl|TooManyRequests|SlowDown/, "Wait a moment, then try again."],
  [/NoSuch|NotFound/, "It may have been removed or renamed. Go back to the list and look again."],
  [/Conflict|AlreadyExists|AlreadyOwned/, "Choose another name, or change the one that is there."],
  [/BucketNotEmpty/, "Delete what the bucket holds first."],
  [/Invalid|Validation|Malformed|TooLong|EntityTooLarge/, "Correct what is named above, then try again."],
  [/Service|Internal|HTTP 5/, "Try again. If it stays so, the server's own log says more."],
];

function advice(e: unknown) {
  if (e instanceof ApiError) return ADVICE.find(([code]) => code.test(e.code))?.[1] ?? "";
  if (e instanceof TypeError) return "Is the server running, and is this machine still connected to it?";
  return "";
}

// What, why, and what to do.
export function Problem(p: { what: string; error: unknown; retry?: () => void }) {
  if (!p.error) return null;
  const e = p.error;
  const why = e instanceof TypeError ? `The server did not answer (${e.message}).` : String((e as Error).message ?? e);
  return (
    <div class="problem" role="alert">
      <strong>{p.what}</strong>
      <span class="why">{why}</span>
      {e instanceof ApiError && <code class="faint">{e.code}</code>}
      <span>{advice(e)}</span>
      {p.retry && (
        <button type="button" onClick={p.retry}>
          Try again
        </button>
      )}
    </div>
  );
}

export const Busy = () => <p class="busy faint">Loading…</p>;

export function Empty(p: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <strong>{p.title}</strong>
      <div>{p.children}</div>
    </div>
  );
}

// Whether what is shown still moves.
export const Live = (p: { on: boolean }) => (
  <span class={p.on ? "live on" : "live"} role="status">
    {p.on ? "Live" : "Connecting…"}
  </span>
);

// --- words and numbers -----------------------------------------------------------------------

const TIME: Intl.DateTimeFormatOptions = { dateStyle: "medium", timeStyle: "medium" };
const clock = new Intl.DateTimeFormat(undefined, TIME);

// Local; UTC on hover.
export function Time(p: { at: number | string; format?: Intl.DateTimeFormat }) {
  const d = new Date(typeof p.at === "string" ? p.at.replace(/([+-]\d\d)(\d\d)$/, "$1:$2") : p.at);
  if (Number.isNaN(+d)) return <span>{String(p.at)}</span>;
  return (
    <time dateTime={d.toISOString()} title={`${d.toISOString().replace("T", " ").replace("Z", "")} UTC`}>
      {(p.format ?? clock).format(d)}
    </time>
  );
}

export const millis = (n: number) => `${n < 1 ? n.toFixed(2) : n < 10 ? n.toFixed(1) : Math.round(n)} ms`;

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(n: number) {
  let u = 0;
  for (; n >= 1024 && u < UNITS.length - 1; u++) n /= 1024;
  return `${u && n < 100 ? n.toFixed(1) : Math.round(n)} ${UNITS[u]}`;
}

// One number that matters.
export function Figure(p: { label: string; value: string; more?: string; bad?: boolean }) {
  return (
    <div class="figure">
      <span class="faint">{p.label}</span>
      <strong class={p.bad ? "bad" : ""}>{p.value}</strong>
      <span class="faint">{p.more}</span>
    </div>
  );
}

// --- said once, for a moment -----------------------------------------------------------------

export const said = signal("");
let quiet = 0;

export function say(text: string) {
  said.value = text;
  clearTimeout(quiet);
  quiet = setTimeout(() => (said.value = ""), 5000) as unknown as number;
}

export const Said = () => (
  <div class="said" role="status">
    {said.value && <p>{said.value}</p>}
  </div>
);

export async function copy(text: string) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  } catch {
    say("The browser did not let it be copied: select it and copy by hand.");
  }
}

// --- forms -----------------------------------------------------------------------------------

interface FieldProps extends Omit<AllHTMLAttributes<HTMLInputElement>, "label" | "size"> {
  label: string;
  hint?: ComponentChildren;
  error?: string;
}

export function Field({ label, hint, error, ...input }: FieldProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input id={id} autocomplete="off" spellcheck={false} {...(input as object)} aria-invalid={!!error} aria-describedby={`${id}-h`} />
      <div id={`${id}-h`} class={error ? "bad" : "faint"}>
        {error || hint}
      </div>
    </div>
  );
}

// The first field that is wrong is where the person goes on.
export const submits = (done: (data: FormData) => void) => (e: SubmitEvent) => {
  e.preventDefault();
  done(new FormData(e.currentTarget as HTMLFormElement));
};

const BARE = /^[\w@%+=:,./-]+$/;
export const shell = (word: string) => (BARE.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);
export const line = (...words: string[]) => words.map(shell).join(" ");

// The same by command, for scripts and for learning.
export function AsCommand(p: { perilune?: string; aws?: string; endpoint?: string }) {
  const aws = p.aws && p.endpoint ? `${p.aws} --endpoint-url ${p.endpoint}` : p.aws;
  return (
    <details class="command">
      <summary>Show as command</summary>
      {[p.perilune, aws].map(
        (text) =>
          text && (
            <div>
              <pre>{text}</pre>
              <button type="button" onClick={() => void copy(text)} aria-label="Copy the command">
                Copy
              </button>
            </div>
          ),
      )}
    </details>
  );
}

// Asks before what cannot be undone; the button names the thing.
export function Confirm(p: {
  label: string;
  title: string;
  children: ComponentChildren;
  act: string;
  class?: string;
  run: () => Promise<unknown>;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const action = useAction();
  const close = () => dialog.current?.close();
  return (
    <>
      <button type="button" class={p.class ?? "danger"} onClick={() => dialog.current?.showModal()}>
        {p.label}
      </button>
      <dialog ref={dialog} aria-label={p.title}>
        <h2>{p.title}</h2>
        {p.children}
        <Problem what="It was not done." error={action.error} />
        <div class="row end">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button
            type="button"
            class="danger"
            disabled={action.busy}
            onClick={() => void action.run(p.run).then((ok) => ok && close())}
          >
            {p.act}
          </button>
        </div>
      </dialog>
    </>
  );
}

// --- a place for files -----------------------------------------------------------------------

export function DropZone(p: { children: ComponentChildren; label: string; folders?: boolean; onFiles: (f: Dropped[]) => void }) {
  const [over, setOver] = useState(false);
  const pick = useRef<HTMLInputElement>(null);
  const drop = async (e: DragEvent) => {
    e.preventDefault();
    setOver(false);
    if (e.dataTransfer) p.onFiles(await dropped(e.dataTransfer));
  };
  const drag = (e: DragEvent) => {
    e.preventDefault();
    setOver(true);
  };
  return (
    <div class={over ? "drop over" : "drop"} onDrop={(e) => void drop(e)} onDragOver={drag} onDragLeave={() => setOver(false)}>
      {p.children}
      <button type="button" onClick={() => pick.current?.click()}>
        Choose files
      </button>
      <input
        ref={pick}
        type="file"
        multiple
        hidden
        aria-label={p.label}
        onChange={(e) => {
          p.onFiles(chosen(e.currentTarget.files));
          e.currentTarget.value = "";
        }}
      />
    </div>
  );
}

// --- long lists ------------------------------------------------------------------------------

// Rows of one height, of which only those in view exist. `tail` keeps the newest in view while the
// reader is at the end.
export function Rows<T>(p: {
  rows: readonly T[];
  count: number; // rows may grow in place
  height: number;
  label: string;
  tail?: boolean;
  row: (item: T, i: number) => ComponentChildren;
}) {
  const box = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const [top, setTop] = useState(0);
  const [size, setSize] = useState(600);
  useLayoutEffect(() => {
    const watch = new ResizeObserver(() => setSize(box.current!.clientHeight));
    watch.observe(box.current!);
    return () => watch.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (p.tail && atEnd.current) box.current!.scrollTop = p.count * p.height;
  }, [p.count, size]);
  const from = Math.max(0, Math.min(Math.floor(top / p.height), p.count) - 10);
  const to = Math.min(p.count, from + Math.ceil(size / p.height) + 20);
  const scrolled = () => {
    const b = box.current!;
    atEnd.current = b.scrollTop + b.clientHeight >= b.scrollHeight - p.height;
    setTop(b.scrollTop);
  };
  return (
    <div ref={box} class="rows" tabIndex={0} role="list" aria-label={p.label} onScroll={scrolled}>
      <div style={{ height: `${p.count * p.height}px`, position: "relative" }} role="presentation">
        {p.rows.slice(from, to).map((item, i) => (
          <div
            key={from + i}
            role="listitem"
            style={{ position: "absolute", top: `${(from + i) * p.height}px`, height: `${p.height}px`, left: 0, right: 0 }}
          >
            {p.row(item, from + i)}
          </div>
        ))}
      </div>
    </div>
  );
}

// --- views of a thing ------------------------------------------------------------------------

export function Tabs(p: { base: string; now: string; tabs: [string, string][] }) {
  const bar = useRef<HTMLElement>(null);
  useEffect(() => bar.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }), [p.now]);
  return (
    <nav class="tabs" aria-label="Views" ref={bar}>
      {p.tabs.map(([path, label]) => (
        <a href={`${p.base}/${path}`} aria-current={p.now === path ? "page" : undefined}>
          {label}
        </a>
      ))}
    </nav>
  );
}

// A page's head: what it is, what can be done.
export function Head(p: { title: string; above?: ComponentChildren; children?: ComponentChildren }) {
  const h = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${p.title} · Perilune`;
    if (document.activeElement === document.body || !document.activeElement) h.current?.focus();
  }, [p.title]);
  return (
    <header class="head">
      {p.above && <div class="above">{p.above}</div>}
      <div class="row">
        <h1 ref={h} tabIndex={-1}>
          {p.title}
        </h1>
        <div class="row end grow">{p.children}</div>
      </div>
    </header>
  );
}

export const bound = (s: Signal<string>) => ({
  value: s.value,
  onInput: (e: { currentTarget: HTMLInputElement | HTMLTextAreaElement }) => {
    s.value = e.currentTarget.value;
  },
});
