// denial: the last thing a function's role lacked, and the statement that grants it, one click away.
import { call } from "./api.ts";
import { iam } from "./iam.ts";
import { part } from "./router.ts";
import { Problem, Time, say, useAction } from "./ui.tsx";

export interface Denial {
  action: string;
  resource: string;
  timestamp: number;
  request_id: string;
  role: string;
  policy: { name: string; document: unknown };
}

export const lastDenial = (name: string) =>
  call<{ denial: Denial | null }>("GET", `/v1/functions/${part(name)}/denial`).then((d) => d.denial);

export function DenialCard({ denial: d, granted }: { denial: Denial; granted: () => void }) {
  const action = useAction();
  const text = typeof d.policy.document === "string" ? d.policy.document : JSON.stringify(d.policy.document, null, 2);
  const grant = async () => {
    await iam("PutRolePolicy", { RoleName: d.role.slice(d.role.lastIndexOf("/") + 1), PolicyName: d.policy.name, PolicyDocument: text });
    say(`Granted ${d.action}.`);
    granted();
  };
  return (
    <section class="problem" aria-label="A denial">
      <strong>Its role lacks a permission.</strong>
      <span class="why">
        It asked for <code>{d.action}</code> on <code>{d.resource}</code> (<Time at={d.timestamp} />
        ). This statement grants just that:
      </span>
      <pre class="wrap">{text}</pre>
      <Problem what="It was not granted." error={action.error} />
      <button type="button" class="primary" disabled={action.busy} onClick={() => void action.run(grant)}>
        Grant {d.action}
      </button>
    </section>
  );
}
