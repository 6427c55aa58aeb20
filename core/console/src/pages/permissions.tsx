// permissions: what the function's role may do, the last thing it lacked, and who may call the function.
import { useSignal } from "@preact/signals";
import { call, orNull } from "../api.ts";
import { fnPath } from "../aws.ts";
import { DenialCard, lastDenial } from "../denial.tsx";
import { roleName } from "../iam.ts";
import { Grants, Policies } from "../policies.tsx";
import { part } from "../router.ts";
import { Problem, useLoad } from "../ui.tsx";
import type { TabProps } from "./function.tsx";

export default function Permissions({ fn }: TabProps) {
  const role = roleName(fn.Role);
  const turn = useSignal(0);
  const denial = useLoad(() => lastDenial(fn.FunctionName).catch(() => null), [fn.FunctionName]);
  const callers = useLoad(() => orNull(call<{ Policy: string }>("GET", fnPath(fn.FunctionName, "/policy"))), [fn.FunctionName]);
  const granted = () => {
    turn.value++;
    denial.reload();
  };
  return (
    <>
      <p>
        It runs with the role <a href={`/access/roles/${part(role)}`}>{role}</a>, and may do what this says; nothing else.{" "}
        <a href={`/access/simulator?role=${part(role)}`}>Try what it may do</a>
      </p>
      {denial.data && <DenialCard denial={denial.data} granted={granted} />}
      <Policies
        key={`${role} ${turn.value}`}
        kind="Role"
        name={role}
        empty="Add a statement below, or run it: what it lacks is offered here."
        changed={denial.reload}
      />
      <h2>Who may call it</h2>
      <Problem what="Its own policy could not be read." error={callers.error} retry={callers.reload} />
      {callers.data === null && <p class="faint">Whoever's own policies allow lambda:InvokeFunction on it; no bucket, schedule or URL.</p>}
      {callers.data && <Grants document={callers.data.Policy} />}
    </>
  );
}
