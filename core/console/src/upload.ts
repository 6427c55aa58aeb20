// upload: files into a bucket, a few at a time, each with its progress. A large one goes in parts, so
// that it can be paused, and goes on where it was after a connection was lost: what a part's PUT has
// answered is kept by the server until the upload is completed or aborted.
import { signal, type Signal } from "@preact/signals";
import { ApiError, request, upload as put } from "./api.ts";
import { s3Path, text, xml } from "./aws.ts";

const PART = 8 * 1024 * 1024;
const PARTS_MAX = 10_000; // S3's
const FILES_AT_ONCE = 3;
const PARTS_AT_ONCE = 3; // of one file
const BACK_MS = [500, 2000, 5000]; // a part's tries after the first

export type State = "waiting" | "sending" | "paused" | "done" | "failed";

export interface Upload {
  bucket: string;
  key: string;
  file: File;
  sent: Signal<number>;
  state: Signal<State>;
  error: Signal<unknown>;
  stop: AbortController;
  id: string; // of a multipart upload, once begun
  etags: Map<number, string>; // of the parts that have arrived
}

export const uploads = signal<Upload[]>([]);
export const isLarge = (u: Upload) => u.file.size > PART;
let running = 0;

// --- parts -----------------------------------------------------------------------------------

const partSize = (u: Upload) => Math.max(PART, Math.ceil(u.file.size / PARTS_MAX / PART) * PART);

const uploadPath = (u: Upload) => `${s3Path(u.bucket, u.key)}?uploadId=${encodeURIComponent(u.id)}`;

// Waits, unless the upload is stopped first.
const pause = (ms: number, stop: AbortSignal) =>
  new Promise<void>((done) => {
    const timer = setTimeout(done, ms);
    stop.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
  });

// What may pass by itself: a lost connection, a server that is busy or starts anew.
const passes = (e: unknown) => e instanceof TypeError || (e instanceof ApiError && (e.status >= 500 || e.status === 429));

// One part, tried again when that may help.
async function sendPart(u: Upload, n: number, piece: Blob, told: (bytes: number) => void) {
  const stop = u.stop.signal;
  for (let tries = 0; ; tries++) {
    try {
      return await put(`${uploadPath(u)}&partNumber=${n}`, piece, told, stop);
    } catch (e) {
      told(0);
      if (stop.aborted || tries >= BACK_MS.length || !passes(e)) throw e;
      await pause(BACK_MS[tries]!, stop);
    }
  }
}

async function inParts(u: Upload) {
  const path = s3Path(u.bucket, u.key);
  const size = partSize(u);
  const count = Math.ceil(u.file.size / size);
  const sizeOf = (n: number) => Math.min(size, u.file.size - (n - 1) * size);
  const onTheWay = new Map<number, number>();
  const told = () => {
    let sum = 0;
    for (const n of u.etags.keys()) sum += sizeOf(n);
    for (const bytes of onTheWay.values()) sum += bytes;
    u.sent.value = sum;
  };
  if (!u.id) {
    const begun = await request(`${path}?uploads`, { method: "POST", headers: { "content-type": u.file.type } });
    u.id = text(await xml(begun), "UploadId");
  }
  let next = 1;
  const work = async () => {
    while (next <= count && !u.stop.signal.aborted) {
      const n = next++;
      if (u.etags.has(n)) continue;
      const piece = u.file.slice((n - 1) * size, n * size);
      try {
        const etag = await sendPart(u, n, piece, (bytes) => (onTheWay.set(n, bytes), told()));
        u.etags.set(n, etag);
      } catch (e) {
        next = count + 1; // those on their way arrive, no other is begun
        throw e;
      } finally {
        onTheWay.delete(n);
        told();
      }
    }
  };
  // All are awaited: none is on its way when the upload is said to have ended.
  const ends = await Promise.allSettled(Array.from({ length: PARTS_AT_ONCE }, work));
  for (const e of ends) if (e.status === "rejected") throw e.reason;
  u.stop.signal.throwIfAborted();
  let parts = "";
  for (let n = 1; n <= count; n++) parts += `<Part><PartNumber>${n}</PartNumber><ETag>${u.etags.get(n)}</ETag></Part>`;
  await request(uploadPath(u), { method: "POST", body: `<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>` });
}

// --- a file ----------------------------------------------------------------------------------

async function run(u: Upload) {
  running++;
  u.state.value = "sending";
  u.error.value = null;
  u.stop = new AbortController();
  try {
    if (isLarge(u)) await inParts(u);
    else await put(s3Path(u.bucket, u.key), u.file, (bytes) => (u.sent.value = bytes), u.stop.signal);
    u.sent.value = u.file.size;
    u.state.value = "done";
  } catch (e) {
    // Stopped by pause or cancel: those say what it is now.
    if (!u.stop.signal.aborted) {
      u.error.value = e;
      u.state.value = "failed";
      // The server has forgotten the upload: the next try begins it anew.
      if (e instanceof ApiError && e.code === "NoSuchUpload") forget(u);
    }
  }
  running--;
  next();
}

function forget(u: Upload) {
  u.id = "";
  u.etags.clear();
  u.sent.value = 0;
}

function next() {
  const waiting = uploads.value.find((u) => u.state.value === "waiting");
  if (waiting && running < FILES_AT_ONCE) {
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
    state: signal<State>("waiting"),
    error: signal<unknown>(null),
    stop: new AbortController(),
    id: "",
    etags: new Map(),
  }));
  uploads.value = [...uploads.value.filter((u) => u.state.value !== "done"), ...added];
  next();
  return added;
}

// The parts that have arrived stay at the server; those on their way are sent again.
export function hold(u: Upload) {
  u.state.value = "paused";
  u.stop.abort();
}

// After a pause or a failure: what has arrived is not sent again.
export function resume(u: Upload) {
  u.state.value = "waiting";
  next();
}

// Nothing of it stays at the server.
export function cancel(u: Upload) {
  u.stop.abort();
  uploads.value = uploads.value.filter((x) => x !== u);
  if (u.id && u.state.value !== "done") void request(uploadPath(u), { method: "DELETE" }).catch(() => {});
}

addEventListener("beforeunload", (e) => {
  if (uploads.value.some((u) => u.state.value === "sending" || u.state.value === "waiting")) e.preventDefault();
});

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
