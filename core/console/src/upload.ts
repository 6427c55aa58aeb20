// upload: files into a bucket, each with its progress; large ones in parts, a few files at a time.
import { signal, type Signal } from "@preact/signals";
import { request, upload as put } from "./api.ts";
import { s3Path, text, xml } from "./aws.ts";

const PART = 16 * 1024 * 1024; // S3 takes 10,000 of them
const AT_ONCE = 3;

export interface Upload {
  bucket: string;
  key: string;
  file: File;
  sent: Signal<number>;
  state: Signal<"waiting" | "sending" | "done" | "failed">;
  error: Signal<unknown>;
  stop: AbortController;
}

export const uploads = signal<Upload[]>([]);
let running = 0;

async function inParts(u: Upload) {
  const path = s3Path(u.bucket, u.key);
  const begun = await request(`${path}?uploads`, { method: "POST", headers: { "content-type": u.file.type } });
  const id = encodeURIComponent(text(await xml(begun), "UploadId"));
  try {
    let parts = "";
    const size = Math.max(PART, Math.ceil(u.file.size / 9999));
    for (let n = 1, at = 0; at < u.file.size; n++, at += size) {
      const piece = u.file.slice(at, at + size);
      const sent = (bytes: number) => (u.sent.value = at + bytes);
      const etag = await put(`${path}?partNumber=${n}&uploadId=${id}`, piece, sent, u.stop.signal);
      parts += `<Part><PartNumber>${n}</PartNumber><ETag>${etag}</ETag></Part>`;
    }
    const body = `<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`;
    await request(`${path}?uploadId=${id}`, { method: "POST", body });
  } catch (e) {
    await request(`${path}?uploadId=${id}`, { method: "DELETE" }).catch(() => {});
    throw e;
  }
}

async function run(u: Upload) {
  running++;
  u.state.value = "sending";
  try {
    const sent = (bytes: number) => (u.sent.value = bytes);
    if (u.file.size > 2 * PART) await inParts(u);
    else await put(s3Path(u.bucket, u.key), u.file, sent, u.stop.signal);
    u.sent.value = u.file.size;
    u.state.value = "done";
  } catch (e) {
    u.error.value = e;
    u.state.value = "failed";
  }
  running--;
  next();
}

function next() {
  const waiting = uploads.value.find((u) => u.state.value === "waiting");
  if (waiting && running < AT_ONCE) {
    void run(waiting);
    next();
  }
}

export function send(bucket: string, prefix: string, files: Dropped[]) {
  const added = files.map(({ path, file }): Upload => ({
    bucket,
    key: prefix + path,
    file,
    sent: signal(0),
    state: signal("waiting"),
    error: signal(null),
    stop: new AbortController(),
  }));
  uploads.value = [...uploads.value.filter((u) => u.state.value !== "done"), ...added];
  next();
  return added;
}

export function retry(u: Upload) {
  u.stop = new AbortController();
  u.error.value = null;
  u.state.value = "waiting";
  next();
}

export const dismiss = (u: Upload) => (uploads.value = uploads.value.filter((x) => x !== u));

// --- what was dropped ------------------------------------------------------------------------

export interface Dropped {
  path: string; // below the folder that was dropped
  file: File;
}

export const chosen = (files: FileList | null): Dropped[] =>
  [...(files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));

const read = (dir: FileSystemDirectoryReader) =>
  new Promise<FileSystemEntry[]>((done, failed) => dir.readEntries(done, failed));

async function walk(e: FileSystemEntry, out: Dropped[]) {
  if (e.isFile) {
    const file = await new Promise<File>((done, failed) => (e as FileSystemFileEntry).file(done, failed));
    out.push({ path: e.fullPath.slice(1), file });
    return;
  }
  const dir = (e as FileSystemDirectoryEntry).createReader();
  for (let some = await read(dir); some.length; some = await read(dir))
    for (const inner of some) await walk(inner, out);
}

// Files and whole folders. Entries must be taken before the first wait: the list is emptied then.
export async function dropped(data: DataTransfer): Promise<Dropped[]> {
  const entries = [...data.items].map((i) => i.webkitGetAsEntry?.() ?? null);
  const out = chosen(data.files);
  if (!entries.some((e) => e?.isDirectory)) return out;
  out.length = 0;
  for (const e of entries) if (e) await walk(e, out);
  return out;
}
