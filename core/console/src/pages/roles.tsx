// roles: what functions and schedules run as, and what users may assume.
import { useSignal } from "@preact/signals";
import { EntityPage } from "../entity.tsx";
import { FindBox, Found, findWords } from "../found.tsx";
import { type Entity, everyEntity, iam } from "../iam.ts";
import { Document, Grants } from "../policies.tsx";
import { go, part } from "../router.ts";
import { server } from "../session.ts";
import { AsCommand, Empty, Field, Problem, Time, bound, line, submits, useAction } from "../ui.tsx";

const trusting = (Principal: unknown) =>
  JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", Principal, Action: "sts:AssumeRole" }] });

const TRUSTS: [string, string][] = [
  ["Functions", "lambda.amazonaws.com"],
  ["Schedules", "scheduler.amazonaws.com"],
  ["This server's users", ""],
];

export function RolesPage() {
  const words = findWords();
  const name = useSignal("");
  const trust = useSignal(TRUSTS[0]![1]);
  const action = useAction();
  const make = async () => {
    const who = trust.value ? { Service: trust.value } : { AWS: `arn:aws:iam::${server().account}:root` };
    await iam("CreateRole", { RoleName: name.value, AssumeRolePolicyDocument: trusting(who) });
    go(`/access/roles/${part(name.value)}`);
  };
  return (
    <>
      <FindBox label="Find roles" />
      <Found<Entity>
        ask={(each, gone) => everyEntity("Role", each, gone)}
        of={[]}
        words={words}
        text={(r) => `${r.name} ${r.description}`}
        label="Roles"
        empty={<Empty title="There is no role yet">Each function brings one of its own. A role for something else is made below.</Empty>}
        row={(r) => (
          <div class="item">
            <a href={`/access/roles/${part(r.name)}`}>{r.name}</a>
            <span class="faint clip">{r.description || <Time at={r.created} />}</span>
          </div>
        )}
      />
      <h2>Make a role</h2>
      <form class="narrow" onSubmit={submits(() => void action.run(make))}>
        <Field label="Name" required pattern="[\w+=,.@\-]{1,64}" title="Letters, digits and + = , . @ _ -" {...bound(name)} />
        <div class="field">
          <label for="trust">Who may take it on</label>
          <select id="trust" value={trust.value} onChange={(e) => (trust.value = e.currentTarget.value)}>
            {TRUSTS.map(([label, value]) => (
              <option value={value}>{label}</option>
            ))}
          </select>
        </div>
        <Problem what="It was not made." error={action.error} />
        <button disabled={action.busy}>Make</button>
        <AsCommand
          aws={line("aws", "iam", "create-role", "--role-name", name.value || "NAME", "--assume-role-policy-document", "file://trust.json")}
          endpoint={server().endpoint}
        />
      </form>
    </>
  );
}

function Trust({ role, reload }: { role: Entity; reload: () => void }) {
  const editing = useSignal(false);
  const save = async (PolicyDocument: string) => {
    await iam("UpdateAssumeRolePolicy", { RoleName: role.name, PolicyDocument });
    reload();
  };
  return (
    <>
      <div class="row">
        <h2>Who may take it on</h2>
        <span class="grow" />
        {!editing.value && (
          <button type="button" class="quiet" aria-label="Edit who may take it on" onClick={() => (editing.value = true)}>
            Edit
          </button>
        )}
      </div>
      {editing.value ? (
        <Document label="The trust policy, JSON" text={role.trust} save={save} close={() => (editing.value = false)} />
      ) : (
        <Grants document={role.trust} />
      )}
    </>
  );
}

export const RolePage = ({ name }: { name: string }) => (
  <EntityPage kind="Role" name={name} loss="A function that runs with it can do nothing any more.">
    {(role, reload) => <Trust role={role} reload={reload} />}
  </EntityPage>
);
