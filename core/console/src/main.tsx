// main: signs in, and shows what the server says of itself.
import { render } from "preact";
import { signal } from "@preact/signals";
import { ApiError, type Session, call, onSignedOut, signIn, signOut, signedIn } from "./api.ts";
import "./style.css";

const session = signal<Session | null>(null);
const status = signal("");
const problem = signal("");

async function enter(begin: () => Promise<Session>) {
  problem.value = "";
  try {
    session.value = await begin();
    status.value = JSON.stringify(await call("GET", "/v1/status"), null, 2);
  } catch (e) {
    problem.value = e instanceof ApiError ? e.message : String(e);
  }
}

function SignIn() {
  const submit = (e: SubmitEvent) => {
    e.preventDefault();
    const f = new FormData(e.target as HTMLFormElement);
    void enter(() =>
      signIn({ access_key: String(f.get("id")).trim(), secret_key: String(f.get("secret")).trim() }),
    );
  };
  return (
    <form onSubmit={submit}>
      <h1>Perilune</h1>
      <label>
        Access key ID <input name="id" autocomplete="username" required />
      </label>
      <label>
        Secret access key <input name="secret" type="password" autocomplete="current-password" required />
      </label>
      <button>Sign in</button>
      <p role="alert">{problem}</p>
      <p>
        On the server's machine, <code>perilune console-link</code> prints a link that signs in.
      </p>
    </form>
  );
}

function Status() {
  return (
    <main>
      <h1>Perilune</h1>
      <p>
        {session.value?.identity.arn} <button onClick={() => void signOut()}>Sign out</button>
      </p>
      <p role="alert">{problem}</p>
      <pre>{status}</pre>
    </main>
  );
}

const App = () => (session.value ? <Status /> : <SignIn />);

onSignedOut(() => (session.value = null));
const link = /^#link=([\w-]+)$/.exec(location.hash)?.[1];
if (link) {
  history.replaceState(null, "", location.pathname);
  void enter(() => signIn({ link }));
} else if (signedIn()) {
  void enter(() => call<Session>("GET", "/v1/session"));
}
render(<App />, document.getElementById("app")!);
