// main: signs in, then shows the frame.
import { render } from "preact";
import { signal } from "@preact/signals";
import { type Session, call, signIn, signedIn } from "./api.ts";
import { Frame, applyTheme } from "./frame.tsx";
import { session } from "./session.ts";
import { SignIn } from "./signin.tsx";
import { Busy } from "./ui.tsx";
import "./style.css";

const entering = signal(false);
const refused = signal<unknown>(null);
const arriving = signal(false); // by a link or with an open session: the form has no part in it

async function enter(begin: () => Promise<Session>) {
  entering.value = true;
  refused.value = null;
  try {
    session.value = await begin();
  } catch (e) {
    refused.value = e;
  }
  entering.value = false;
}

async function arrive(begin: () => Promise<Session>) {
  arriving.value = true;
  await enter(begin);
  arriving.value = false;
}

function App() {
  if (session.value) return <Frame />;
  if (arriving.value) return <Busy />;
  return <SignIn busy={entering.value} error={refused.value} enter={(how) => void enter(() => signIn(how))} />;
}

applyTheme();
const link = /^#link=([\w-]+)$/.exec(location.hash)?.[1];
if (link) {
  history.replaceState(null, "", location.pathname); // a used link is nothing to bookmark
  void arrive(() => signIn({ link }));
} else if (signedIn()) {
  void arrive(() => call<Session>("GET", "/v1/session"));
}
render(<App />, document.getElementById("app")!);
