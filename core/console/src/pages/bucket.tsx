// bucket: its objects, a page of a hundred at a time below a prefix. Previews are inert: pictures by
// blob URL, everything else as text; nothing that is stored is ever run or rendered as a page.
import { useEffect } from "preact/hooks";
import { useComputed, useSignal } from "@preact/signals";
import { call, request } from "../api.ts";
import { type Item, objects, s3Path } from "../aws.ts";
import { go, here, withQuery } from "../router.ts";
import { server } from "../session.ts";
import { AsCommand, Busy, Confirm, DropZone, Empty, Head, Problem, Time, bytes, copy, line, say, useAction, useLoad } from "../ui.tsx";
import { send, uploads } from "../upload.ts";
import type { ViewProps } from "../views.tsx";
import { UploadRow } from "./uploads.tsx";

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

export default function BucketPage({ params: [name] }: ViewProps) {
  const bucket = name!;
  const q = here.value.searchParams;
  const prefix = q.get("prefix") ?? "";
  const after = q.get("after") ?? "";
  const key = q.get("object");
  const got = useLoad(() => objects(bucket, prefix, after), [bucket, prefix, after]);
  const mine = uploads.value.filter((u) => u.bucket === bucket);
  const done = useComputed(() => uploads.value.filter((u) => u.bucket === bucket && u.state.value === "done").length);
  useEffect(() => {
    if (done.value) got.reload();
  }, [done.value]);
  const picked = key !== null ? got.data?.items.find((i) => i.key === key) : undefined;
  const folder = (p: string) => `${here.value.pathname}?prefix=${encodeURIComponent(p)}`;
  const remove = async () => {
    await request(s3Path(bucket), { method: "DELETE" });
    go("/buckets");
  };
  return (
    <>
      <Head title={bucket} above={<a href="/buckets">Buckets</a>}>
        <Confirm label="Delete the bucket" title={`Delete the bucket ${bucket}?`} act={`Delete ${bucket}`} run={remove}>
          <p>Only an empty bucket can be deleted. It cannot be undone.</p>
        </Confirm>
      </Head>
      <Crumbs bucket={bucket} prefix={prefix} />
      <DropZone label={`Files for ${bucket}`} onFiles={(files) => send(bucket, prefix, files)}>
        <strong>Drop files or folders here</strong>
        <span class="faint">They go into {prefix || "the bucket"}.</span>
      </DropZone>
      <div class="uploads">
        {mine.map((u) => (
          <UploadRow u={u} />
        ))}
      </div>
      <Problem what="The objects could not be listed." error={got.error} retry={got.reload} />
      {!got.data && got.busy && <Busy />}
      {got.data && !got.data.items.length && !got.data.folders.length && (
        <Empty title={prefix ? "Nothing is below this folder" : "The bucket is empty"}>Drop a file above, or put one with the command below.</Empty>
      )}
      {got.data && (got.data.items.length > 0 || got.data.folders.length > 0) && (
        <table>
          <thead>
            <tr>
              <th>Name</th>
              <th class="num">Size</th>
              <th class="wide">Changed</th>
            </tr>
          </thead>
          <tbody>
            {got.data.folders.map((f) => (
              <tr key={f}>
                <td colSpan={3}>
                  <a href={folder(f)}>{f.slice(prefix.length)}</a>
                </td>
              </tr>
            ))}
            {got.data.items.map((i) => (
              <tr key={i.key} class={i === picked ? "picked" : undefined}>
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
      )}
      <nav class="row end" aria-label="Pages">
        {after && <a href={withQuery("after", null)}>First page</a>}
        {got.data?.next && <a href={withQuery("after", got.data.next)}>Next page</a>}
      </nav>
      {picked && <ObjectPanel key={picked.key} bucket={bucket} item={picked} gone={got.reload} />}
      <AsCommand
        perilune={line("perilune", "bucket", "cp", "FILE", `s3://${bucket}/${prefix}FILE`)}
        aws={line("aws", "s3", "ls", `s3://${bucket}/${prefix}`)}
        endpoint={server().endpoint}
      />
    </>
  );
}

// --- one object ------------------------------------------------------------------------------

interface Preview {
  type: string;
  picture?: string;
  text?: string;
  cut: boolean;
}

async function preview(bucket: string, item: Item): Promise<Preview> {
  if (!item.size) return { type: "", text: "", cut: false };
  const head = await request(s3Path(bucket, item.key), { method: "HEAD" });
  const type = (head.headers.get("content-type") ?? "").split(";")[0]!;
  if (PICTURES.includes(type) && item.size <= MOST_PICTURE) {
    const data = await (await request(s3Path(bucket, item.key))).arrayBuffer();
    return { type, picture: URL.createObjectURL(new Blob([data], { type })), cut: false };
  }
  const r = await request(s3Path(bucket, item.key), { headers: { range: `bytes=0-${MOST - 1}` } });
  const data = new Uint8Array(await r.arrayBuffer());
  const cut = item.size > MOST;
  if (data.subarray(0, 8192).includes(0)) return { type, cut };
  return { type, text: new TextDecoder().decode(data), cut };
}

function ObjectPanel({ bucket, item, gone }: { bucket: string; item: Item; gone: () => void }) {
  const got = useLoad(() => preview(bucket, item), [item.key, item.modified, item.size]);
  const action = useAction();
  const link = useSignal("");
  useEffect(() => () => got.data?.picture && URL.revokeObjectURL(got.data.picture), [got.data]);
  const share = async () => {
    const answer = await call<{ url: string }>("POST", "/v1/share", { bucket, key: item.key, expires_s: 3600 });
    link.value = answer.url;
    await copy(answer.url);
  };
  const remove = async () => {
    await request(s3Path(bucket, item.key), { method: "DELETE" });
    go(withQuery("object", null), true);
    say(`Deleted ${item.key}.`);
    gone();
  };
  const download = async () => {
    const data = await (await request(s3Path(bucket, item.key))).blob();
    const a = document.createElement("a");
    a.href = URL.createObjectURL(new Blob([data], { type: "application/octet-stream" }));
    a.download = item.key.slice(item.key.lastIndexOf("/") + 1) || "object";
    a.click();
    setTimeout(() => URL.revokeObjectURL(a.href), 60_000);
  };
  const p = got.data;
  return (
    <section class="panel" aria-label="The object">
      <div class="row">
        <strong class="break">{item.key}</strong>
        <span class="faint">
          {bytes(item.size)} {p?.type}
        </span>
        <span class="grow" />
        <button type="button" disabled={action.busy} onClick={() => void action.run(download)}>
          Download
        </button>
        <button type="button" disabled={action.busy} onClick={() => void action.run(share)}>
          Share for an hour
        </button>
        <Confirm label="Delete" title={`Delete ${item.key}?`} act="Delete it" run={remove}>
          <p>
            The object is gone from {bucket} at once. It cannot be undone.
          </p>
        </Confirm>
        <button type="button" onClick={() => go(withQuery("object", null), true)}>
          Close
        </button>
      </div>
      <Problem what="It was not done." error={action.error} />
      {link.value && <input readOnly aria-label="Link to share" value={link.value} onFocus={(e) => e.currentTarget.select()} />}
      <Problem what="There is no preview." error={got.error} />
      {got.busy && !p && <Busy />}
      {p?.picture && <img src={p.picture} alt={`Preview of ${item.key}`} />}
      {p?.text !== undefined && (p.text ? <pre class="wrap preview">{p.text}</pre> : <p class="faint">It is empty.</p>)}
      {p && !p.picture && p.text === undefined && <p class="faint">No text and no picture: download it to look inside.</p>}
      {p?.cut && <p class="faint">The first {bytes(MOST)} are shown.</p>}
    </section>
  );
}
