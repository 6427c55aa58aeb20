// session: who is signed in, and the few things every page may ask about the server.
import { signal } from "@preact/signals";
import { type Session, onSignedOut } from "./api.ts";

export const session = signal<Session | null>(null);

onSignedOut(() => (session.value = null));

export const server = () => session.value!.server;
