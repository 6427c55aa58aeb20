// main: signs in, then shows the frame.
import { render } from "preact";
import { signal } from "@preact/signals";
import { type Session, call, signIn, signedIn } from "./api.ts";
import { Frame, applyTheme } from "./frame.tsx";
import { session } from "./session.ts";
import { SignIn } from "./signin.tsx";
import "./style.css";

const entering = signal(false);
const refused = signal<unknown>(null);

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

function App() {
  if (session.value) return <Frame />;
  return <SignIn busy={entering.value} error={refused.value} enter={(how) => void enter(() => signIn(how))} />;
}

applyTheme();
const link = /^#link=([\w-]+)$/.exec(location.hash)?.[1];
if (link) {
  history.replaceState(null, "", location.pathname); // a used link is nothing to bookmark
  void enter(() => signIn({ link }));
} else if (signedIn()) {
  void enter(() => call<Session>("GET", "/v1/session"));
}
render(<App />, document.getElementById("app")!);
