// simulator: what would somebody's policies say? By the evaluation that real requests go through.
import { useSignal } from "@preact/signals";
import { type Verdict, getEntity, simulate } from "../iam.ts";
import { here, part } from "../router.ts";
import { server } from "../session.ts";
import { AsCommand, Field, Problem, bound, line, submits, useAction } from "../ui.tsx";

const WORDS: Record<string, string> = { allowed: "allowed", explicitDeny: "denied by a statement", implicitDeny: "not allowed by any" };

const lines = (text: string) => text.split(/[\s,]+/).filter(Boolean);

// "key = value" on each line.
function context(text: string): [string, string][] {
  return text
    .split("\n")
    .filter((l) => l.trim())
    .map((l) => {
      const at = l.indexOf("=");
      if (at < 1) throw new Error(`"${l.trim()}" has no "=": a condition is NAME = VALUE.`);
      return [l.slice(0, at).trim(), l.slice(at + 1).trim()];
    });
}

export function Simulator() {
  const q = here.value.searchParams;
  const kind = useSignal<"User" | "Role">(q.get("role") !== null ? "Role" : "User");
  const name = useSignal(q.get("role") ?? q.get("user") ?? "");
  const actions = useSignal("s3:GetObject");
  const resources = useSignal("arn:aws:s3:::BUCKET/KEY");
  const keys = useSignal("");
  const verdicts = useSignal<Verdict[] | null>(null);
  const action = useAction();
  const arn = `arn:aws:iam::${server().account}:${kind.value.toLowerCase()}/${name.value || "NAME"}`;
  const ask = async () => {
    verdicts.value = null;
    const who = await getEntity(kind.value, name.value);
    verdicts.value = await simulate(who.arn, lines(actions.value), lines(resources.value), context(keys.value));
  };
  return (
    <div class="two">
      <form onSubmit={submits(() => void action.run(ask))}>
        <div class="row" role="group" aria-label="Who asks">
          {(["User", "Role"] as const).map((k) => (
            <label class="check">
              <input type="radio" name="kind" checked={kind.value === k} onChange={() => (kind.value = k)} /> {k}
            </label>
          ))}
        </div>
        <Field label="Name" required {...bound(name)} />
        <div class="field">
          <label for="actions">Actions</label>
          <textarea id="actions" required spellcheck={false} {...bound(actions)} />
        </div>
        <div class="field">
          <label for="resources">Resources</label>
          <textarea id="resources" required spellcheck={false} {...bound(resources)} />
        </div>
        <div class="field">
          <label for="keys">Conditions, if any policy asks for them</label>
          <textarea id="keys" spellcheck={false} placeholder="aws:SourceIp = 10.0.0.1" {...bound(keys)} />
        </div>
        <Problem what="It could not be tried." error={action.error} />
        <button class="primary" disabled={action.busy}>
          Try it
        </button>
        <AsCommand
          aws={line("aws", "iam", "simulate-principal-policy", "--policy-source-arn", arn, "--action-names", ...lines(actions.value), "--resource-arns", ...lines(resources.value))}
          endpoint={server().endpoint}
        />
      </form>
      <section aria-label="Verdicts" aria-live="polite">
        {!verdicts.value && <p class="empty">Each action is asked on each resource. Nothing is done: only the policies are read.</p>}
        {verdicts.value && (
          <table class="grants">
            <thead>
              <tr>
                <th>It is</th>
                <th>to do</th>
                <th>because of</th>
              </tr>
            </thead>
            <tbody>
              {verdicts.value.map((v) => (
                <tr key={`${v.action} ${v.resource}`}>
                  <td class={v.decision === "allowed" ? "good-text" : "bad"}>{WORDS[v.decision] ?? v.decision}</td>
                  <td>
                    <code>{v.action}</code>
                    <code class="faint">{v.resource}</code>
                  </td>
                  <td>
                    {v.because.map((b) => (
                      <a href={b.startsWith("arn:") ? `/access/policies/${part(b)}` : `/access/${kind.value.toLowerCase()}s/${part(name.value)}`} title={b}>
                        {b.slice(b.lastIndexOf("/") + 1)}{" "}
                      </a>
                    ))}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </section>
    </div>
  );
}
