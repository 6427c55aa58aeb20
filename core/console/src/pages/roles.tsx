// roles: what functions and schedules run as, and what users may assume.
import { useSignal } from "@preact/signals";
import { Found } from "../found.tsx";
import { type Entity, everyEntity, getEntity, iam, removeEntity } from "../iam.ts";
import { Document, Grants, Policies } from "../policies.tsx";
import { go, here, part, withQuery } from "../router.ts";
import { server } from "../session.ts";
import { AsCommand, Busy, Confirm, Empty, Field, Head, Problem, Time, bound, line, say, submits, useAction, useLoad } from "../ui.tsx";

const trusting = (Principal: unknown) =>
  JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", Principal, Action: "sts:AssumeRole" }] });

const TRUSTS: [string, string][] = [
  ["Functions", "lambda.amazonaws.com"],
  ["Schedules", "scheduler.amazonaws.com"],
  ["This server's users", ""],
];

export function RolesPage() {
  const words = here.value.searchParams.get("find") ?? "";
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
      <div class="row bar">
        <input type="search" aria-label="Find roles" placeholder="Find" value={words} onInput={(e) => go(withQuery("find", e.currentTarget.value), true)} />
      </div>
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

export function RolePage({ name }: { name: string }) {
  const got = useLoad(() => getEntity("Role", name), [name]);
  const editing = useSignal(false);
  const remove = async () => {
    await removeEntity("Role", name);
    go("/access/roles");
    say(`Deleted ${name}.`);
  };
  const setTrust = async (PolicyDocument: string) => {
    await iam("UpdateAssumeRolePolicy", { RoleName: name, PolicyDocument });
    got.reload();
  };
  return (
    <>
      <Head title={name} above={<a href="/access/roles">Roles</a>}>
        {got.data && <a class="button" href={`/access/simulator?role=${part(name)}`}>Try what it may do</a>}
        {got.data && (
          <Confirm label="Delete the role" title={`Delete ${name}?`} act={`Delete ${name}`} run={remove}>
            <p>A function that runs with it can do nothing any more. It cannot be undone.</p>
            <AsCommand aws={line("aws", "iam", "delete-role", "--role-name", name)} endpoint={server().endpoint} />
          </Confirm>
        )}
      </Head>
      <Problem what="The role could not be read." error={got.error} retry={got.reload} />
      {!got.data && got.busy && <Busy />}
      {got.data && (
        <>
          <p class="facts">
            <code>{got.data.arn}</code>
            <span class="faint">
              made <Time at={got.data.created} />
            </span>
            <span class="faint">{got.data.description}</span>
          </p>
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
            <Document label="The trust policy, JSON" text={got.data.trust} save={setTrust} close={() => (editing.value = false)} />
          ) : (
            <Grants document={got.data.trust} />
          )}
          <h2>What it may do</h2>
          <Policies kind="Role" name={name} empty="Allow something below, or attach a policy." />
        </>
      )}
    </>
  );
}
