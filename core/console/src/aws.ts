// aws: the AWS calls that pages make, as functions. Paths and shapes are AWS's; see ../README.md.
import { call, request } from "./api.ts";
import { part } from "./router.ts";

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
}

export const fnPath = (name: string, rest = "") => `${LAMBDA}/${part(name)}${rest}`;

export const functionPage = (marker = "", most = 50) =>
  call<{ Functions: Fn[]; NextMarker?: string }>(
    "GET",
    `${LAMBDA}/?MaxItems=${most}${marker && `&Marker=${part(marker)}`}`,
  );

// All functions there are, a page at a time, for searches by name; `each` hears what came so far.
export async function everyFunction(each: (found: Fn[]) => void, gone: () => boolean) {
  const found: Fn[] = [];
  for (let marker = ""; !gone(); ) {
    const page = await functionPage(marker, 1000);
    found.push(...page.Functions);
    each(found);
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

export async function objects(bucket: string, prefix: string, next: string, most = 100): Promise<Page> {
  const q = new URLSearchParams({
    "list-type": "2",
    delimiter: "/",
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

// --- IAM -------------------------------------------------------------------------------------

export async function iam(action: string, fields: Record<string, string>): Promise<Document> {
  const body = new URLSearchParams({ Action: action, Version: "2010-05-08", ...fields });
  return xml(await request("/v1/aws/iam/", { method: "POST", body }));
}

export interface Statement {
  Sid?: string;
  Effect: string;
  Action?: string | string[];
  NotAction?: string | string[];
  Resource?: string | string[];
  NotResource?: string | string[];
  Condition?: unknown;
}

export interface RolePolicy {
  name: string;
  statements: Statement[];
  document: string;
}

const list = <T>(v: T | T[]) => (Array.isArray(v) ? v : [v]);

export async function rolePolicies(role: string): Promise<RolePolicy[]> {
  const names = all(await iam("ListRolePolicies", { RoleName: role }), "member");
  return Promise.all(
    names.map(async (n) => {
      const name = n.textContent!;
      const doc = await iam("GetRolePolicy", { RoleName: role, PolicyName: name });
      const document = decodeURIComponent(text(doc, "PolicyDocument"));
      return { name, document, statements: list(JSON.parse(document).Statement) };
    }),
  );
}

export const roleName = (arn: string) => arn.slice(arn.lastIndexOf("/") + 1);
