// aws: the AWS calls that pages make, as functions. Paths and shapes are AWS's; see ../README.md.
import { call, orNull, request } from "./api.ts";
import { part } from "./router.ts";
import { breathe } from "./slices.ts";

// --- Lambda ----------------------------------------------------------------------------------

const LAMBDA = "/v1/aws/lambda/2015-03-31/functions";

export interface Fn {
  FunctionName: string;
  FunctionArn: string;
  Role: string;
  Handler: string;
  CodeSize: number;
  Description: string;
  Timeout: number;
  MemorySize: number;
  LastModified: string;
  Version: string;
  CodeSha256: string;
  Environment?: { Variables: Record<string, string> };
  DeadLetterConfig?: { TargetArn?: string };
  LoggingConfig?: { LogFormat?: string };
}

export const fnPath = (name: string, rest = "") => `${LAMBDA}/${part(name)}${rest}`;

export const functionPage = (marker = "", most = 50) =>
  call<{ Functions: Fn[]; NextMarker?: string }>(
    "GET",
    `${LAMBDA}/?MaxItems=${most}${marker && `&Marker=${part(marker)}`}`,
  );

// All functions there are, a page at a time; `each` hears what every page brought.
export async function everyFunction(each: (some: Fn[]) => void, gone: () => boolean) {
  for (let marker = ""; !gone(); ) {
    const page = await functionPage(marker, 500);
    each(page.Functions);
    if (!page.NextMarker) return;
    marker = page.NextMarker;
  }
}

export const functionConfig = (name: string) => call<Fn>("GET", fnPath(name, "/configuration"));

export interface Outcome {
  ok: boolean;
  error: string; // "Unhandled" and the like; "" when it answered
  requestId: string;
  version: string;
  log: string;
  body: string;
  duration: string;
  memory: string;
  took_ms: number; // as this browser saw it
}

// Base64 of UTF-8, as text.
export const fromBase64 = (text: string) =>
  new TextDecoder().decode(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));

export async function invoke(name: string, event: string, qualifier = ""): Promise<Outcome> {
  const began = performance.now();
  const query = qualifier && `?Qualifier=${part(qualifier)}`;
  const r = await request(fnPath(name, `/invocations${query}`), {
    method: "POST",
    body: event,
    headers: { "x-amz-log-type": "Tail", "content-type": "application/json" },
  });
  const log = fromBase64(r.headers.get("x-amz-log-result") ?? "");
  const error = r.headers.get("x-amz-function-error") ?? "";
  return {
    ok: !error,
    error,
    requestId: r.headers.get("x-amzn-requestid") ?? "",
    version: r.headers.get("x-amz-executed-version") ?? "",
    log,
    body: await r.text(),
    duration: /\tDuration: ([^\t]+)/.exec(log)?.[1] ?? "",
    memory: /\tMax Memory Used: ([^\t]+)/.exec(log)?.[1] ?? "",
    took_ms: performance.now() - began,
  };
}

// --- Logs ------------------------------------------------------------------------------------

export async function logsCall<T>(target: string, body: unknown): Promise<T> {
  const r = await request("/v1/aws/logs/", {
    method: "POST",
    headers: { "content-type": "application/x-amz-json-1.1", "x-amz-target": `Logs_20140328.${target}` },
    body: JSON.stringify(body),
  });
  const answer = await r.text();
  return (answer ? JSON.parse(answer) : undefined) as T;
}

// --- S3 --------------------------------------------------------------------------------------

export const xml = async (r: Response) =>
  new DOMParser().parseFromString(await r.text(), "application/xml");

export const text = (e: Element | Document, name: string) =>
  e.getElementsByTagName(name)[0]?.textContent ?? "";

export const all = (e: Element | Document, name: string) => [...e.getElementsByTagName(name)];

// A key is one segment here: its slashes are escaped, so that "../x" is a key like any other.
export const s3Path = (bucket: string, key = "") => `/v1/aws/s3/${part(bucket)}${key && `/${part(key)}`}`;

export interface Bucket {
  name: string;
  created: string;
}

export async function buckets(): Promise<Bucket[]> {
  const doc = await xml(await request("/v1/aws/s3/"));
  return all(doc, "Bucket").map((b) => ({ name: text(b, "Name"), created: text(b, "CreationDate") }));
}

export interface Item {
  key: string;
  size: number;
  modified: string;
}

export interface Page {
  folders: string[];
  items: Item[];
  next: string;
}

const plain = (escaped: string) => decodeURIComponent(escaped.replaceAll("+", " "));

// `deep` looks into folders instead of naming them.
export async function objects(bucket: string, prefix: string, next: string, most = 100, deep = false): Promise<Page> {
  const q = new URLSearchParams({
    "list-type": "2",
    ...(!deep && { delimiter: "/" }),
    "encoding-type": "url", // keys may hold what XML cannot
    "max-keys": String(most),
    prefix,
  });
  if (next) q.set("continuation-token", next);
  const doc = await xml(await request(`${s3Path(bucket)}?${q}`));
  return {
    folders: all(doc, "CommonPrefixes").map((p) => plain(text(p, "Prefix"))),
    items: all(doc, "Contents").map((c) => ({
      key: plain(text(c, "Key")),
      size: Number(text(c, "Size")),
      modified: text(c, "LastModified"),
    })),
    next: text(doc, "NextContinuationToken"),
  };
}

// All objects below a prefix, a page at a time.
export async function everyObject(bucket: string, prefix: string, each: (some: Item[]) => void, gone: () => boolean) {
  for (let next = ""; !gone(); ) {
    const page = await objects(bucket, prefix, next, 500, true);
    each(page.items);
    if (!page.next) return;
    next = page.next;
    await breathe();
  }
}

// --- documents -------------------------------------------------------------------------------

// Adds an element to another, with a text of its own.
export function add(to: Element, tag: string, value?: string): Element {
  const e = to.appendChild(to.ownerDocument.createElementNS(to.namespaceURI, tag));
  if (value !== undefined) e.textContent = value;
  return e;
}

const S3_NS = "http://s3.amazonaws.com/doc/2006-03-01/";

export const newDocument = (root: string) => document.implementation.createDocument(S3_NS, root);

// What is configured on a bucket, or null where nothing is.
export const getConf = async (bucket: string, what: string) => {
  const r = await orNull(request(`${s3Path(bucket)}?${what}`));
  return r && xml(r);
};

export const putConf = (bucket: string, what: string, doc: Document) =>
  request(`${s3Path(bucket)}?${what}`, { method: "PUT", body: new XMLSerializer().serializeToString(doc) });

export const deleteConf = (bucket: string, what: string) => request(`${s3Path(bucket)}?${what}`, { method: "DELETE" });
