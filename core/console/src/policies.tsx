// policies: what a user or role may do: its own policies, and those attached to it.
import { useSignal } from "@preact/signals";
import {
  type Inline, type Kind, type Statement, attach, attachedPolicies, deleteInline, detach, inlinePolicies, managedPolicies,
  putInline, statementsOf,
} from "./iam.ts";
import { part } from "./router.ts";
import { server } from "./session.ts";
import { AsCommand, Busy, Confirm, Empty, Field, Problem, bound, line, say, submits, useAction, useLoad } from "./ui.tsx";

// --- a document, read ------------------------------------------------------------------------

const words = (v: string | string[] | undefined) => (v === undefined ? [] : Array.isArray(v) ? v : [v]);

// {"Service": "x", "AWS": ["a", "b"]}, "*"
const principals = (p: unknown): string[] => {
  if (p === "*" || p === undefined) return ["anybody"];
  if (typeof p !== "object" || p === null) return [JSON.stringify(p)];
  return Object.values(p).flat().map((who) => (who === "*" ? "anybody" : String(who)));
};

// {"ArnLike": {"AWS:SourceArn": "x"}}
const conditions = (c: unknown): string[] => {
  if (typeof c !== "object" || c === null) return [];
  return Object.entries(c).flatMap(([test, keys]) =>
    Object.entries((keys ?? {}) as object).map(([key, value]) => `if ${key} ${test} ${[value].flat().join(" or ")}`),
  );
};

function Names(p: { yes?: string | string[]; no?: string | string[] }) {
  return (
    <>
      {words(p.yes).map((a) => (
        <code>{a}</code>
      ))}
      {p.no !== undefined && "all but"}
      {words(p.no).map((a) => (
        <code>{a}</code>
      ))}
    </>
  );
}

function Grant({ s, who }: { s: Statement; who: boolean }) {
  return (
    <tr>
      <td class={s.Effect === "Deny" ? "bad" : ""}>{s.Effect === "Deny" ? "never" : "may"}</td>
      {who && (
        <td>
          {principals(s.Principal).map((p) => (
            <code>{p}</code>
          ))}
        </td>
      )}
      <td>
        <Names yes={s.Action} no={s.NotAction} />
      </td>
      <td>
        <Names yes={s.Resource} no={s.NotResource} />
        {conditions(s.Condition).map((c) => (
          <code class="faint">{c}</code>
        ))}
      </td>
    </tr>
  );
}

// A document that somebody else wrote may be anything that IAM took.
export function Grants({ document }: { document: string }) {
  let statements: Statement[];
  try {
    statements = statementsOf(document);
  } catch {
    return <pre class="wrap">{document}</pre>;
  }
  const who = statements.some((s) => s.Principal !== undefined);
  return (
    <table class="grants">
      <thead>
        <tr>
          <th>It</th>
          {who && <th>who</th>}
          <th>do</th>
          <th>on</th>
        </tr>
      </thead>
      <tbody>
        {statements.map((s) => (
          <Grant s={s} who={who} />
        ))}
      </tbody>
    </table>
  );
}

// --- a document, written ---------------------------------------------------------------------

export const indented = (json: string) => {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
};

export function Document(p: { label: string; text: string; save: (text: string) => Promise<unknown>; close?: () => void; act?: string }) {
  const text = useSignal(indented(p.text));
  const action = useAction();
  const save = async () => {
    try {
      JSON.parse(text.value);
    } catch (e) {
      throw new Error(`It is no JSON: ${(e as Error).message}`);
    }
    await p.save(text.value);
    p.close?.();
  };
  return (
    <form onSubmit={submits(() => void action.run(save))}>
      <textarea class="code document" aria-label={p.label} spellcheck={false} {...bound(text)} />
      <Problem what="It was not saved." error={action.error} />
      <div class="row">
        <button class="primary" disabled={action.busy}>
          {p.act ?? "Save"}
        </button>
        {p.close && (
          <button type="button" onClick={p.close}>
            Cancel
          </button>
        )}
      </div>
    </form>
  );
}

// --- all of an entity's ----------------------------------------------------------------------

function OwnPolicy({ kind, name, p, changed }: { kind: Kind; name: string; p: Inline; changed: () => void }) {
  const editing = useSignal(false);
  const remove = () => deleteInline(kind, name, p.name).then(changed);
  const save = (text: string) => putInline(kind, name, p.name, text).then(changed);
  return (
    <section>
      <div class="row">
        <h2>{p.name}</h2>
        <span class="grow" />
        {!editing.value && (
          <button type="button" class="quiet" aria-label={`Edit ${p.name}`} onClick={() => (editing.value = true)}>
            Edit
          </button>
        )}
        <Confirm label="Remove" class="quiet" title={`Remove ${p.name}?`} act={`Remove ${p.name}`} run={remove}>
          <p>
            {name} loses what the policy {p.name} grants, at once.
          </p>
        </Confirm>
      </div>
      {editing.value ? (
        <Document label={`The policy ${p.name}, JSON`} text={p.document} save={save} close={() => (editing.value = false)} />
      ) : (
        <Grants document={p.document} />
      )}
    </section>
  );
}

export function Policies(p: { kind: Kind; name: string; empty: string; changed?: () => void }) {
  const { kind, name } = p;
  const own = useLoad(() => inlinePolicies(kind, name), [kind, name]);
  const others = useLoad(() => attachedPolicies(kind, name), [kind, name]);
  const changed = () => {
    own.reload();
    others.reload();
    p.changed?.();
  };
  return (
    <>
      <Problem what={`The policies of ${name} could not be read.`} error={own.error ?? others.error} retry={changed} />
      {!own.data && own.busy && <Busy />}
      {own.data && others.data && !own.data.length && !others.data.length && <Empty title="It may do nothing">{p.empty}</Empty>}
      {own.data?.map((x) => (
        <OwnPolicy key={x.name} kind={kind} name={name} p={x} changed={changed} />
      ))}
      {!!others.data?.length && (
        <section>
          <h2>Attached policies</h2>
          <ul class="list">
            {others.data.map((x) => (
              <li key={x.arn}>
                <a class="grow" href={`/access/policies/${part(x.arn)}`}>
                  {x.name}
                </a>
                <Confirm label="Detach" class="quiet" title={`Detach ${x.name}?`} act={`Detach ${x.name}`} run={() => detach(kind, name, x.arn).then(changed)}>
                  <p>
                    {name} loses what {x.name} grants, at once. The policy itself stays.
                  </p>
                </Confirm>
              </li>
            ))}
          </ul>
        </section>
      )}
      <Allow kind={kind} name={name} done={changed} />
      <Attach kind={kind} name={name} has={others.data?.map((x) => x.arn) ?? []} done={changed} />
    </>
  );
}

function Allow({ kind, name, done }: { kind: Kind; name: string; done: () => void }) {
  const action = useAction();
  const what = useSignal("");
  const on = useSignal("");
  const add = async () => {
    const Action = what.value.split(/[\s,]+/).filter(Boolean);
    const document = JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", Action, Resource: on.value.trim() }] });
    await putInline(kind, name, `allow-${Date.now().toString(36)}`, document);
    what.value = on.value = "";
    done();
  };
  const word = kind.toLowerCase();
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
          aws={line("aws", "iam", `put-${word}-policy`, `--${word}-name`, name, "--policy-name", "NAME", "--policy-document", "file://policy.json")}
          endpoint={server().endpoint}
        />
      </form>
    </details>
  );
}

function Attach({ kind, name, has, done }: { kind: Kind; name: string; has: string[]; done: () => void }) {
  const opened = useSignal(false);
  const chosen = useSignal("");
  const action = useAction();
  const all = useLoad(() => (opened.value ? managedPolicies() : Promise.resolve([])), [opened.value]);
  const free = all.data?.filter((p) => !has.includes(p.arn)) ?? [];
  const arn = free.some((p) => p.arn === chosen.value) ? chosen.value : (free[0]?.arn ?? "");
  const add = async () => {
    await attach(kind, name, arn);
    say("Attached.");
    done();
  };
  const word = kind.toLowerCase();
  return (
    <details onToggle={(e) => (opened.value = e.currentTarget.open)}>
      <summary>Attach a policy</summary>
      <form class="narrow" onSubmit={submits(() => void action.run(add))}>
        <div class="field">
          <label for="attach">Policy</label>
          <select id="attach" value={arn} onChange={(e) => (chosen.value = e.currentTarget.value)}>
            {free.map((p) => (
              <option value={p.arn}>{p.name}</option>
            ))}
          </select>
        </div>
        <Problem what="It was not attached." error={action.error ?? all.error} />
        <button class="primary" disabled={action.busy || !arn}>
          Attach it
        </button>
        <AsCommand aws={line("aws", "iam", `attach-${word}-policy`, `--${word}-name`, name, "--policy-arn", arn || "ARN")} endpoint={server().endpoint} />
      </form>
    </details>
  );
}
