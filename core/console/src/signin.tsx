// signin: by access key. A one-time link needs no page: main takes it from the address.
import type { SignIn as How } from "./api.ts";
import { Mark } from "./frame.tsx";
import { Field, Problem, submits } from "./ui.tsx";

export function SignIn(p: { busy: boolean; error: unknown; enter: (how: How) => void }) {
  const submit = submits((f) =>
    p.enter({ access_key: String(f.get("id")).trim(), secret_key: String(f.get("secret")).trim() }),
  );
  return (
    <main class="signin">
      <h1>
        <Mark /> Perilune
      </h1>
      <form onSubmit={submit}>
        <Field label="Access key ID" name="id" autocomplete="username" required />
        <Field label="Secret access key" name="secret" type="password" autocomplete="current-password" required />
        <Problem what="You are not signed in." error={p.error} />
        <button class="primary" disabled={p.busy}>
          {p.busy ? "Signing in…" : "Sign in"}
        </button>
      </form>
      <p class="faint">
        Without a key at hand: run <code>perilune console-link</code> on the server's machine and open the link that
        it prints.
      </p>
    </main>
  );
}
