// objects: what a bucket holds, a page of a hundred at a time below a prefix. Previews are inert: pictures by
// blob URL, everything else as text; nothing that is stored is ever run or rendered as a page.
import { useEffect } from "preact/hooks";
import { useComputed, useSignal } from "@preact/signals";
import { call, request } from "../api.ts";
import { type Item, type Page, everyObject, objects, s3Path } from "../aws.ts";
import { Found } from "../found.tsx";
import { go, here, part, withQuery } from "../router.ts";
import { server } from "../session.ts";
import { AsCommand, Busy, Confirm, DropZone, Empty, Problem, Time, bytes, copy, line, say, submits, useAction, useLoad } from "../ui.tsx";
import { send, uploads } from "../upload.ts";
import { UploadRow } from "./uploads.tsx";

const UPLOADS_SHOWN = 50;
const MOST = 256 * 1024; // of a text that is shown
const MOST_PICTURE = 16 * 1024 * 1024;
const PICTURES = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];

function Crumbs({ bucket, prefix }: { bucket: string; prefix: string }) {
  const parts = prefix.split("/").slice(0, -1);
  if (!parts.length) return null;
  return (
    <nav class="crumbs" aria-label="Folder">
      <a href={withQuery("prefix", null)}>{bucket}</a>
      {parts.map((p, i) => (
        <>
          {" / "}
          <a href={`${here.value.pathname}?prefix=${encodeURIComponent(`${parts.slice(0, i + 1).join("/")}/`)}`}>{p || "(empty)"}</a>
        </>
      ))}
    </nav>
  );
}

export function Objects({ bucket }: { bucket: string }) {
  const q = here.value.searchParams;
  const prefix = q.get("prefix") ?? "";
  const after = q.get("after") ?? "";
  const key = q.get("object");
  const words = q.get("find") ?? "";
  const got = useLoad(() => objects(bucket, prefix, after), [bucket, prefix, after]);
  const mine = uploads.value.filter((u) => u.bucket === bucket);
  const done = useComputed(() => uploads.value.filter((u) => u.bucket === bucket && u.state.value === "done").length);
  useEffect(() => {
    if (done.value) got.reload();
  }, [done.value]);
  const any = got.data && (got.data.items.length > 0 || got.data.folders.length > 0);
  return (
    <>
      <Crumbs bucket={bucket} prefix={prefix} />
      <DropZone label={`Files for ${bucket}`} onFiles={(files) => send(bucket, prefix, files)}>
        <strong>Drop files or folders here</strong>
        <span class="faint">They go into {prefix || "the bucket"}.</span>
      </DropZone>
      <div class="uploads">
        {mine.slice(0, UPLOADS_SHOWN).map((u) => (
          <UploadRow key={u.key} u={u} />
        ))}
        {mine.length > UPLOADS_SHOWN && <p class="faint">And {mine.length - UPLOADS_SHOWN} more.</p>}
      </div>
      <Problem what="The objects could not be listed." error={got.error} retry={got.reload} />
      {!got.data && got.busy && <Busy />}
      {got.data && !any && (
        <Empty title={prefix ? "Nothing is below this folder" : "The bucket is empty"}>Drop a file above, or put one with the command below.</Empty>
      )}
      {(any || words) && (
        <div class="row bar">
          <input
            type="search"
            aria-label="Find objects"
            placeholder={prefix ? `Find below ${prefix}` : "Find"}
            value={words}
            onInput={(e) => go(withQuery("find", e.currentTarget.value), true)}
          />
        </div>
      )}
      {words && (
        <Found<Item>
          ask={(each, gone) => everyObject(bucket, prefix, each, gone)}
          of={[bucket, prefix]}
          words={words}
          text={(i) => i.key.slice(prefix.length)}
          label="Objects"
          row={(i) => (
            <div class="item">
              <a class="clip" href={withQuery("object", i.key)}>
                {i.key.slice(prefix.length)}
              </a>
              <span class="faint num">{bytes(i.size)}</span>
            </div>
          )}
        />
      )}
      {any && !words && <Listing page={got.data!} prefix={prefix} picked={key} />}
      {!words && (
        <nav class="row end" aria-label="Pages">
          {after && <a href={withQuery("after", null)}>First page</a>}
          {got.data?.next && <a href={withQuery("after", got.data.next)}>Next page</a>}
        </nav>
      )}
      {key !== null && <ObjectPanel key={key} bucket={bucket} name={key} turn={done.value} gone={got.reload} />}
      <AsCommand
        perilune={line("perilune", "bucket", "cp", "FILE", `s3://${bucket}/${prefix}FILE`)}
        aws={line("aws", "s3", "ls", `s3://${bucket}/${prefix}`)}
        endpoint={server().endpoint}
      />
    </>
  );
}

function Listing({ page, prefix, picked }: { page: Page; prefix: string; picked: string | null }) {
  const folder = (p: string) => `${here.value.pathname}?prefix=${part(p)}`;
  return (
    <table>
      <thead>
        <tr>
          <th>Name</th>
          <th class="num">Size</th>
          <th class="wide">Changed</th>
        </tr>
      </thead>
      <tbody>
        {page.folders.map((f) => (
          <tr key={f}>
            <td colSpan={3}>
              <a href={folder(f)}>{f.slice(prefix.length)}</a>
            </td>
          </tr>
        ))}
        {page.items.map((i) => (
          <tr key={i.key} class={i.key === picked ? "picked" : undefined}>
            <td>
              <a href={withQuery("object", i.key)}>{i.key.slice(prefix.length) || "(this folder's own object)"}</a>
            </td>
            <td class="num">{bytes(i.size)}</td>
            <td class="wide">
              <Time at={i.modified} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

// --- one object ------------------------------------------------------------------------------

interface Preview {
  type: string;
  size: number;
  modified: string;
  picture?: string;
  text?: string;
}

async function preview(bucket: string, key: string): Promise<Preview> {
  const head = await request(s3Path(bucket, key), { method: "HEAD" });
  const type = (head.headers.get("content-type") ?? "").split(";")[0]!;
  const size = Number(head.headers.get("content-length"));
  const about = { type, size, modified: head.headers.get("last-modified") ?? "" };
  if (!size) return { ...about, text: "" };
  if (PICTURES.includes(type) && size <= MOST_PICTURE) {
    const data = await (await request(s3Path(bucket, key))).arrayBuffer();
    return { ...about, picture: URL.createObjectURL(new Blob([data], { type })) };
  }
  const r = await request(s3Path(bucket, key), { headers: { range: `bytes=0-${MOST - 1}` } });
  const data = new Uint8Array(await r.arrayBuffer());
  return data.subarray(0, 8192).includes(0) ? about : { ...about, text: new TextDecoder().decode(data) };
}

const SPANS: [number, string][] = [
  [900, "15 minutes"],
  [3600, "an hour"],
  [86_400, "a day"],
  [604_800, "a week"],
];

// A link for whoever has it, for a while.
function Share({ bucket, name }: { bucket: string; name: string }) {
  const span = useSignal(3600);
  const link = useSignal("");
  const action = useAction();
  const make = async () => {
    const answer = await call<{ url: string }>("POST", "/v1/share", { bucket, key: name, expires_s: span.value });
    link.value = answer.url;
    await copy(answer.url);
  };
  return (
    <details>
      <summary>Share</summary>
      <form class="row" onSubmit={submits(() => void action.run(make))}>
        <select aria-label="For how long" value={String(span.value)} onChange={(e) => (span.value = Number(e.currentTarget.value))}>
          {SPANS.map(([s, label]) => (
            <option value={String(s)}>for {label}</option>
          ))}
        </select>
        <button disabled={action.busy}>Make a link</button>
      </form>
      <Problem what="There is no link." error={action.error} />
      {link.value && <input readOnly aria-label="Link to share" value={link.value} onFocus={(e) => e.currentTarget.select()} />}
      <AsCommand aws={line("aws", "s3", "presign", `s3://${bucket}/${name}`, "--expires-in", String(span.value))} endpoint={server().endpoint} />
    </details>
  );
}

function ObjectPanel({ bucket, name, turn, gone }: { bucket: string; name: string; turn: number; gone: () => void }) {
  const got = useLoad(() => preview(bucket, name), [name, turn]);
  const action = useAction();
  useEffect(() => () => void (got.data?.picture && URL.revokeObjectURL(got.data.picture)), [got.data]);
  const close = () => go(withQuery("object", null), true);
  const remove = async () => {
    await request(s3Path(bucket, name), { method: "DELETE" });
    close();
    say(`Deleted ${name}.`);
    gone();
  };
  const download = async () => {
    const data = await (await request(s3Path(bucket, name))).blob();
    const a = document.createElement("a");
    a.href = URL.createObjectURL(new Blob([data], { type: "application/octet-stream" }));
    a.download = name.slice(name.lastIndexOf("/") + 1) || "object";
    a.click();
    setTimeout(() => URL.revokeObjectURL(a.href), 60_000);
  };
  const p = got.data;
  return (
    <section class="panel" aria-label="The object">
      <div class="row">
        <strong class="break">{name}</strong>
        <span class="faint">{p && `${bytes(p.size)} ${p.type}`}</span>
        <span class="faint">{p && <Time at={p.modified} />}</span>
        <span class="grow" />
        <button type="button" disabled={action.busy || !p} onClick={() => void action.run(download)}>
          Download
        </button>
        <Confirm label="Delete" title={`Delete ${name}?`} act="Delete it" run={remove}>
          <p>
            The object is gone from {bucket} at once. It cannot be undone.
          </p>
        </Confirm>
        <button type="button" onClick={close}>
          Close
        </button>
      </div>
      <Problem what="It was not done." error={action.error} />
      <Problem what="There is no preview." error={got.error} />
      {got.busy && !p && <Busy />}
      {p && <Share bucket={bucket} name={name} />}
      {p?.picture && <img src={p.picture} alt={`Preview of ${name}`} />}
      {p?.text !== undefined && (p.text ? <pre class="wrap preview">{p.text}</pre> : <p class="faint">It is empty.</p>)}
      {p && !p.picture && p.text === undefined && <p class="faint">No text and no picture: download it to look inside.</p>}
      {p?.text !== undefined && p.size > MOST && <p class="faint">The first {bytes(MOST)} are shown.</p>}
    </section>
  );
}
