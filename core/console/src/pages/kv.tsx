// kv: namespaces; the keys of one by prefix; one value: look, edit, delete.
import { useSignal } from "@preact/signals";
import { type Value, entries, keyOf, keyText, namespaces, put, remove, value } from "../kv.ts";
import { go, here, part, withQuery } from "../router.ts";
import { AsCommand, Busy, Confirm, Empty, Field, Head, Problem, Time, bound, bytes, line, say, submits, useAction, useLoad } from "../ui.tsx";
import type { ViewProps } from "../views.tsx";

const nsPath = (ns: string) => `/kv/${part(ns)}`;

export default function Kv({ params: [ns] }: ViewProps) {
  if (!ns) return <Namespaces />;
  return <Namespace key={ns} ns={ns} />;
}

function Namespaces() {
  const after = here.value.searchParams.get("after") ?? "";
  const got = useLoad(() => namespaces(after), [after]);
  const name = useSignal("");
  return (
    <>
      <Head title="Key-value" />
      <Problem what="The namespaces could not be listed." error={got.error} retry={got.reload} />
      {got.busy && !got.data && <Busy />}
      {got.data && !got.data.namespaces.length && !after && (
        <Empty title="Nothing is stored yet">
          Functions keep small things here with <code>kv.set(namespace, key, value)</code>. Open a namespace below to store the first by hand.
        </Empty>
      )}
      {!!got.data?.namespaces.length && (
        <ul class="list">
          {got.data.namespaces.map((n) => (
            <li>
              <a href={nsPath(n)}>{n}</a>
            </li>
          ))}
        </ul>
      )}
      <nav class="row end" aria-label="Pages">
        {after && <a href={withQuery("after", null)}>First page</a>}
        {got.data?.cursor && <a href={withQuery("after", got.data.cursor)}>Next page</a>}
      </nav>
      <h2>Open a namespace</h2>
      <form class="narrow" onSubmit={submits(() => go(nsPath(name.value)))}>
        <Field label="Namespace" required pattern="[A-Za-z0-9._\-]{1,64}" title="1 to 64 letters, digits, . - and _" hint="It is there once it holds a key" {...bound(name)} />
        <button>Open</button>
      </form>
    </>
  );
}

function Namespace({ ns }: { ns: string }) {
  const q = here.value.searchParams;
  const [prefix, after, chosen] = [q.get("prefix") ?? "", q.get("after") ?? "", q.get("key")];
  const got = useLoad(() => entries(ns, prefix, after), [ns, prefix, after]);
  const rows = got.data?.items;
  const find = (text: string) => go(`${nsPath(ns)}${text && `?prefix=${part(text)}`}`, true);
  const closed = () => go(withQuery("key", null), true);
  return (
    <>
      <Head title={ns} above={<a href="/kv">Key-value</a>}>
        <a class="button" href={withQuery("key", "")} onClick={(e) => (e.preventDefault(), go(`${here.value.pathname}?${new URLSearchParams([...q].filter(([n]) => n !== "key"))}&key=`))}>
          New key
        </a>
      </Head>
      <div class="row bar">
        <input type="search" aria-label="Keys that begin with" placeholder="Keys that begin with" value={prefix} onInput={(e) => find(e.currentTarget.value)} />
      </div>
      <Problem what="The keys could not be listed." error={got.error} retry={got.reload} />
      {chosen !== null && <One key={chosen} ns={ns} k={chosen} close={closed} changed={got.reload} />}
      {got.busy && !rows && <Busy />}
      {rows && !rows.length && (prefix ? <p class="empty">No key begins so.</p> : <Empty title="The namespace is empty">Store a key here, or let a function do it.</Empty>)}
      {!!rows?.length && (
        <table>
          <thead>
            <tr>
              <th>Key</th>
              <th class="num">Size</th>
              <th class="wide num">Version</th>
              <th class="wide">Expires</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((e) => (
              <tr key={keyText(e)} class={chosen === keyOf(e) ? "picked" : undefined}>
                <td class="break">
                  <a href={withQuery("key", keyOf(e))}>{keyText(e)}</a>
                </td>
                <td class="num">{bytes(e.size)}</td>
                <td class="wide num">{e.version}</td>
                <td class="wide">{e.expires ? <Time at={e.expires} /> : <span class="faint">never</span>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <nav class="row end" aria-label="Pages">
        {after && <a href={withQuery("after", null)}>First page</a>}
        {got.data?.cursor && <a href={withQuery("after", got.data.cursor)}>Next page</a>}
      </nav>
      <AsCommand perilune={line("perilune", "kv", "list", ns, ...(prefix ? ["--prefix", prefix] : []))} />
    </>
  );
}

interface OneProps {
  ns: string;
  k: string; // escaped; "": a new one
  close: () => void;
  changed: () => void;
}

function One({ ns, k, close, changed }: OneProps) {
  const got = useLoad<Value | null>(() => (k ? value(ns, k) : Promise.resolve(null)), [ns, k]);
  if (k && got.error) return <Problem what="The value could not be read." error={got.error} retry={got.reload} />;
  if (got.data === undefined) return <Busy />;
  return <Edit key={got.data?.version ?? "new"} ns={ns} k={k} v={got.data} close={close} changed={() => (changed(), got.reload())} />;
}

// JSON is shown with its lines; it is stored as it is then.
function shown(text: string) {
  try {
    const v: unknown = JSON.parse(text);
    return typeof v === "object" && v !== null ? JSON.stringify(v, null, 2) : text;
  } catch {
    return text;
  }
}

function Edit({ ns, k, v, close, changed }: OneProps & { v: Value | null }) {
  const readable = v?.text ?? "";
  const name = useSignal("");
  const text = useSignal(readable);
  const ttl = useSignal("");
  const action = useAction();
  const label = v ? plain(k) : "New key";
  const save = async () => {
    const key = v ? k : part(name.value);
    await put(ns, key, text.value, ttl.value, v ? v.version : "new");
    say(`Saved ${plain(key)}.`);
    changed();
    if (!v) go(`${nsPath(ns)}?key=${part(key)}`, true);
  };
  return (
    <section class="panel" aria-label={label}>
      <div class="row">
        <h2 class="break">{label}</h2>
        <span class="grow" />
        {v && v.text !== null && text.value !== shown(v.text) && (
          <button type="button" onClick={() => (text.value = shown(v.text!))}>
            Lay out as JSON
          </button>
        )}
        {v && (
          <Confirm label="Delete…" title={`Delete ${label}?`} act={`Delete ${label}`} run={() => remove(ns, k, v.version).then(() => (close(), changed(), say(`Deleted ${label}.`)))}>
            <p>
              The key is gone from {ns} at once. It cannot be undone.
            </p>
          </Confirm>
        )}
        <button type="button" onClick={close}>
          Close
        </button>
      </div>
      {v && (
        <p class="faint">
          Version {v.version}, {bytes(v.bytes.length)}, {v.expires ? <>expires <Time at={v.expires} /></> : "does not expire"}
        </p>
      )}
      {v && v.text === null ? (
        <>
          <p class="faint">It is no text; in base64:</p>
          <pre class="wrap preview" tabIndex={0}>
            {btoa(Array.from(v.bytes.subarray(0, 49152), (b) => String.fromCharCode(b)).join(""))}
          </pre>
        </>
      ) : (
        <form onSubmit={submits(() => void action.run(save))}>
          {!v && <Field label="Key" required {...bound(name)} />}
          <textarea class="code short" aria-label="Value" spellcheck={false} {...bound(text)} />
          <div class="narrow">
            <Field label="Expires after, seconds" type="number" min="1" hint={v?.expires ? "Empty: it does not expire any more" : "Empty: never"} {...bound(ttl)} />
          </div>
          <Problem what="It was not saved." error={action.error} />
          <button class="primary" disabled={action.busy}>
            Save the value
          </button>
        </form>
      )}
      <AsCommand perilune={v ? line("perilune", "kv", "get", ns, label) : line("perilune", "kv", "set", ns, name.value || "KEY", text.value || "VALUE")} />
    </section>
  );
}

function plain(key: string) {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}
