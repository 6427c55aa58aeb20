// permissions: what the function's role may do, and the last thing it lacked.
import { useSignal } from "@preact/signals";
import { type Statement, iam, roleName, rolePolicies } from "../aws.ts";
import { DenialCard, lastDenial } from "../denial.tsx";
import { server } from "../session.ts";
import { AsCommand, Busy, Confirm, Empty, Problem, bound, line, submits, useAction, useLoad, Field } from "../ui.tsx";
import type { TabProps } from "./function.tsx";

const words = (v: string | string[] | undefined) => (v === undefined ? [] : Array.isArray(v) ? v : [v]);

function Grant({ s }: { s: Statement }) {
  return (
    <tr>
      <td class={s.Effect === "Deny" ? "bad" : ""}>{s.Effect === "Deny" ? "never" : "may"}</td>
      <td>
        {words(s.Action).map((a) => (
          <code>{a}</code>
        ))}
        {s.NotAction && (
          <>
            all but{" "}
            {words(s.NotAction).map((a) => (
              <code>{a}</code>
            ))}
          </>
        )}
      </td>
      <td>
        {words(s.Resource).map((a) => (
          <code>{a}</code>
        ))}
        {s.NotResource && (
          <>
            all but{" "}
            {words(s.NotResource).map((a) => (
              <code>{a}</code>
            ))}
          </>
        )}
        {s.Condition !== undefined && <code class="faint">if {JSON.stringify(s.Condition)}</code>}
      </td>
    </tr>
  );
}

export default function Permissions({ fn }: TabProps) {
  const role = roleName(fn.Role);
  const got = useLoad(() => rolePolicies(role), [role]);
  const denial = useLoad(() => lastDenial(fn.FunctionName).catch(() => null), [fn.FunctionName]);
  const changed = () => {
    got.reload();
    denial.reload();
  };
  const remove = (policy: string) => iam("DeleteRolePolicy", { RoleName: role, PolicyName: policy }).then(changed);
  return (
    <>
      <p>
        It runs with the role <code>{role}</code>, and may do what this says; nothing else.
      </p>
      {denial.data && <DenialCard denial={denial.data} granted={changed} />}
      <Problem what="The role could not be read." error={got.error} retry={got.reload} />
      {!got.data && got.busy && <Busy />}
      {got.data && !got.data.length && <Empty title="It may do nothing">Add a statement below, or run it: what it lacks is offered here.</Empty>}
      {got.data?.map((p) => (
        <section key={p.name}>
          <div class="row">
            <h2>{p.name}</h2>
            <span class="grow" />
            <Confirm label="Remove" class="quiet" title={`Remove ${p.name}?`} act={`Remove ${p.name}`} run={() => remove(p.name)}>
              <p>
                {role} loses what the policy {p.name} grants, at once.
              </p>
            </Confirm>
          </div>
          <table class="grants">
            <thead>
              <tr>
                <th>It</th>
                <th>do</th>
                <th>on</th>
              </tr>
            </thead>
            <tbody>
              {p.statements.map((s) => (
                <Grant s={s} />
              ))}
            </tbody>
          </table>
        </section>
      ))}
      <Add role={role} done={changed} />
    </>
  );
}

function Add({ role, done }: { role: string; done: () => void }) {
  const action = useAction();
  const what = useSignal("");
  const on = useSignal("");
  const add = async () => {
    const Action = what.value.split(/[\s,]+/).filter(Boolean);
    const PolicyDocument = JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", Action, Resource: on.value.trim() }] });
    await iam("PutRolePolicy", { RoleName: role, PolicyName: `allow-${Date.now().toString(36)}`, PolicyDocument });
    what.value = on.value = "";
    done();
  };
  return (
    <details>
      <summary>Allow something</summary>
      <form class="narrow" onSubmit={submits(() => void action.run(add))}>
        <Field label="Actions" required placeholder="s3:GetObject s3:PutObject" {...bound(what)} />
        <Field label="Resource" required placeholder="arn:aws:s3:::BUCKET/*" {...bound(on)} />
        <Problem what="It was not granted." error={action.error} />
        <button class="primary" disabled={action.busy}>
          Allow it
        </button>
        <AsCommand
          aws={line("aws", "iam", "put-role-policy", "--role-name", role, "--policy-name", "NAME", "--policy-document", "file://policy.json")}
          endpoint={server().endpoint}
        />
      </form>
    </details>
  );
}
