// api: how the console talks to its server. See ../README.md for the calls themselves.
//
// The session is a token in this origin's storage, sent as a bearer: no cookie, so no other origin
// can use it. Event streams are read with fetch because EventSource cannot send it; they come back by
// themselves with Last-Event-ID and so miss nothing.

import { slice } from "./slices.ts";

const STORE = "perilune.session";

export interface Identity {
  kind: "root" | "user" | "role";
  arn: string;
  name: string;
}

export interface Session {
  id: string;
  identity: Identity;
  server: { version: string; region: string; account: string; endpoint: string };
  created_ms: number;
  expires_ms: number;
}

// What went wrong, in the server's words. code is AWS's name of the error.
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

let token = localStorage.getItem(STORE) ?? "";
let signedOut = () => {};

export const signedIn = () => token !== "";

// Called whenever the server no longer knows this session.
export function onSignedOut(call: () => void) {
  signedOut = call;
}

function forget() {
  token = "";
  localStorage.removeItem(STORE);
  signedOut();
}

// Another tab has signed in or out.
addEventListener("storage", (e) => {
  if (e.key !== STORE) return;
  token = e.newValue ?? "";
  if (!token) signedOut();
});

async function failure(r: Response): Promise<ApiError> {
  const text = await r.text();
  let code = r.headers.get("x-amzn-errortype") ?? "";
  let message = text;
  try {
    const o = JSON.parse(text);
    message = o.message ?? o.Message ?? text;
  } catch {
    // What is no XML would become a document of the parser's own, whose styles the policy blocks aloud.
    if (!/^\s*<(\?xml|Error)/.test(text)) return new ApiError(r.status, code || `HTTP ${r.status}`, text.slice(0, 500) || r.statusText);
    const doc = new DOMParser().parseFromString(text, "application/xml");
    code ||= doc.querySelector("Code")?.textContent ?? "";
    message = doc.querySelector("Message")?.textContent ?? text;
  }
  return new ApiError(r.status, code || `HTTP ${r.status}`, message || r.statusText);
}

// Any request with the session's token. Answers that are no success are thrown as ApiError.
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (token) headers.set("authorization", `Bearer ${token}`);
  const r = await fetch(path, { ...init, headers, credentials: "omit", cache: "no-store" });
  if (r.ok) return r;
  if (r.status === 401 && token) forget();
  throw await failure(r);
}

// PUTs data, telling how many bytes are out: fetch does not say. Answers the ETag.
export function upload(path: string, data: Blob, sent: (bytes: number) => void, signal: AbortSignal) {
  return new Promise<string>((done, failed) => {
    const x = new XMLHttpRequest();
    x.open("PUT", path);
    x.setRequestHeader("authorization", `Bearer ${token}`);
    x.setRequestHeader("content-type", data.type || "application/octet-stream");
    x.upload.onprogress = (e) => sent(e.loaded);
    x.onload = () => {
      if (x.status < 300) return done(x.getResponseHeader("etag") ?? "");
      if (x.status === 401) forget();
      const type = x.getResponseHeader("x-amzn-errortype") ?? "";
      const headers = { "x-amzn-errortype": type };
      void failure(new Response(x.response, { status: x.status, headers })).then(failed);
    };
    x.onerror = () => failed(new TypeError("the connection was lost"));
    x.onabort = () => failed(new DOMException("stopped", "AbortError"));
    signal.addEventListener("abort", () => x.abort());
    x.send(data);
  });
}

export async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "content-type": "application/json" };
  }
  const r = await request(path, init);
  const text = await r.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

// What a thing is, or null where there is none.
export async function orNull<T>(wanted: Promise<T>): Promise<T | null> {
  try {
    return await wanted;
  } catch (e) {
    if (e instanceof ApiError && e.status === 404) return null;
    throw e;
  }
}

export type SignIn = { link: string } | { access_key: string; secret_key: string };

export async function signIn(how: SignIn): Promise<Session> {
  const s = await call<Session & { token: string }>("POST", "/v1/session", how);
  token = s.token;
  localStorage.setItem(STORE, token);
  return s;
}

export async function signOut() {
  try {
    await call("DELETE", "/v1/session");
  } finally {
    forget();
  }
}

export interface StreamEvent {
  id: string;
  event: string;
  data: string;
}

const BACK_MS = [250, 1000, 2000, 5000];

// Follows an event stream until the signal aborts. `state` hears true when connected.
export async function follow(
  path: string,
  signal: AbortSignal,
  each: (e: StreamEvent) => void,
  state: (connected: boolean) => void = () => {},
) {
  let last = "";
  for (let tries = 0; !signal.aborted; tries++) {
    try {
      const headers: HeadersInit = last ? { "last-event-id": last } : {};
      const r = await request(path, { signal, headers });
      state(true);
      const reader = r.body!.pipeThrough(new TextDecoderStream()).getReader();
      const rest = slice();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        await rest(); // what is buffered comes without a pause
        tries = 0;
        text += value;
        let end: number;
        while ((end = text.indexOf("\n\n")) >= 0) {
          const e: StreamEvent = { id: last, event: "message", data: "" };
          for (const line of text.slice(0, end).split("\n")) {
            const colon = line.indexOf(": ");
            if (colon <= 0) continue;
            const field = line.slice(0, colon);
            const told = line.slice(colon + 2);
            if (field === "id") e.id = last = told;
            else if (field === "event") e.event = told;
            else if (field === "data") e.data += (e.data ? "\n" : "") + told;
          }
          text = text.slice(end + 2);
          if (e.data) each(e);
          await rest();
          if (signal.aborted) return;
        }
      }
    } catch (e) {
      if (signal.aborted) return;
      if (e instanceof ApiError && e.status < 500 && e.status !== 429) throw e;
    }
    state(false);
    await new Promise((go) => setTimeout(go, BACK_MS[Math.min(tries, BACK_MS.length - 1)]));
  }
}
