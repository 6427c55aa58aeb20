// kv: the key-value store's and the secrets' calls. Keys and values are bytes; what is no text is shown
// as base64 and never rewritten here.
import { call, request } from "./api.ts";
import { part } from "./router.ts";

export interface Entry {
  key?: string;
  key_base64?: string;
  version: number;
  size: number;
  expires?: string;
}

export interface Value {
  bytes: Uint8Array;
  text: string | null; // null: no text
  version: string;
  expires: string;
}

export interface Secret {
  name: string;
  created: string;
  changed: string;
}

export const namespaces = (cursor: string) =>
  call<{ namespaces: string[]; cursor: string | null }>("GET", `/v1/kv${cursor && `?cursor=${part(cursor)}`}`);

export function entries(ns: string, prefix: string, cursor: string) {
  const q = new URLSearchParams({ limit: "100" });
  if (prefix) q.set("prefix", prefix);
  if (cursor) q.set("cursor", cursor);
  return call<{ items: Entry[]; cursor: string | null }>("GET", `/v1/kv/${part(ns)}?${q}`);
}

// A key as the address writes it: its bytes, escaped.
export const keyOf = (e: Entry) =>
  e.key !== undefined ? part(e.key) : [...atob(e.key_base64!)].map((c) => `%${c.charCodeAt(0).toString(16).padStart(2, "0")}`).join("");
export const keyText = (e: Entry) => e.key ?? `base64:${e.key_base64}`;

const at = (ns: string, key: string) => `/v1/kv/${part(ns)}/${key}`;

export async function value(ns: string, key: string): Promise<Value> {
  const r = await request(at(ns, key));
  const bytes = new Uint8Array(await r.arrayBuffer());
  let text: string | null = null;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    // bytes
  }
  return { bytes, text, version: (r.headers.get("etag") ?? "").replaceAll('"', ""), expires: r.headers.get("x-perilune-expires") ?? "" };
}

// `version`: only if it is still that one; "new": only if there is none.
export async function put(ns: string, key: string, body: string, ttl: string, version: string) {
  const q = new URLSearchParams();
  if (ttl) q.set("ttl", ttl);
  if (version === "new") q.set("if_absent", "1");
  else q.set("if_version", version);
  await request(`${at(ns, key)}?${q}`, { method: "PUT", body, headers: { "content-type": "application/octet-stream" } });
}

export const remove = (ns: string, key: string, version: string) => request(`${at(ns, key)}?if_version=${version}`, { method: "DELETE" });

export async function secrets(): Promise<Secret[]> {
  const all: Secret[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const page: { secrets: Secret[]; cursor: string | null } = await call("GET", `/v1/secrets${cursor && `?cursor=${part(cursor)}`}`);
    all.push(...page.secrets);
    cursor = page.cursor;
  }
  return all;
}

export const setSecret = (name: string, value: string) =>
  request(`/v1/secrets/${part(name)}`, { method: "PUT", body: value, headers: { "content-type": "application/octet-stream" } });
export const removeSecret = (name: string) => request(`/v1/secrets/${part(name)}`, { method: "DELETE" });
