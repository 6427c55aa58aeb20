// managed: policies with a name of their own, attached to users and roles.
import { useSignal } from "@preact/signals";
import { FindBox, Found, findWords } from "../found.tsx";
import { type Managed, changeManaged, detach, everyManaged, holders, iam, isOwn, managedDocument, removeManaged } from "../iam.ts";
import { Document, Grants } from "../policies.tsx";
import { go, part } from "../router.ts";
import { server } from "../session.ts";
import { AsCommand, Busy, Confirm, Empty, Field, Head, Problem, bound, line, say, submits, useAction, useLoad } from "../ui.tsx";

const FIRST = JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: "s3:GetObject", Resource: "arn:aws:s3:::BUCKET/*" }] }, null, 2);

export function PoliciesPage() {
  const words = findWords();
  const name = useSignal("");
  const text = useSignal(FIRST);
  const action = useAction();
  const make = async () => {
    await iam("CreatePolicy", { PolicyName: name.value, PolicyDocument: text.value });
    go(`/access/policies/${part(`arn:aws:iam::${server().account}:policy/${name.value}`)}`);
  };
  return (
    <>
      <FindBox label="Find policies" />
      <Found<Managed>
        ask={(each, gone) => everyManaged(each, gone)}
        of={[]}
        words={words}
        text={(x) => x.arn}
        label="Policies"
        empty={<Empty title="There is no policy yet">Write one below, then attach it to users and roles.</Empty>}
        row={(x) => (
          <div class="item">
            <a href={`/access/policies/${part(x.arn)}`}>{x.name}</a>
            <span class="faint">
              {isOwn(x) ? "" : "built in, "}
              {x.used ? `attached to ${x.used}` : "not attached"}
            </span>
          </div>
        )}
      />
      <h2>Make a policy</h2>
      <form class="narrow" onSubmit={submits(() => void action.run(make))}>
        <Field label="Name" required pattern="[\w+=,.@\-]{1,128}" title="Letters, digits and + = , . @ _ -" {...bound(name)} />
        <textarea class="code document" aria-label="What it says, JSON" spellcheck={false} {...bound(text)} />
        <Problem what="It was not made." error={action.error} />
        <button disabled={action.busy}>Make</button>
        <AsCommand
          aws={line("aws", "iam", "create-policy", "--policy-name", name.value || "NAME", "--policy-document", "file://policy.json")}
          endpoint={server().endpoint}
        />
      </form>
    </>
  );
}

export function PolicyPage({ name: arn }: { name: string }) {
  const got = useLoad(async () => ({ document: await managedDocument(arn), used: await holders(arn) }), [arn]);
  const editing = useSignal(false);
  const own = isOwn({ arn });
  const name = arn.slice(arn.lastIndexOf("/") + 1);
  const remove = async () => {
    for (const h of got.data!.used) await detach(h.kind, h.name, arn);
    await removeManaged(arn);
    go("/access/policies");
    say(`Deleted ${name}.`);
  };
  return (
    <>
      <Head title={name} above={<a href="/access/policies">Policies</a>}>
        {got.data && own && !editing.value && (
          <button type="button" onClick={() => (editing.value = true)}>
            Edit
          </button>
        )}
        {got.data && own && (
          <Confirm label="Delete the policy" title={`Delete ${name}?`} act={`Delete ${name}`} run={remove}>
            <p>{got.data.used.length ? `It is detached from ${got.data.used.map((h) => h.name).join(", ")} first.` : "It is attached to nobody."} It cannot be undone.</p>
          </Confirm>
        )}
      </Head>
      <p class="facts">
        <code>{arn}</code>
        {!own && <span class="faint">built in: it cannot be changed</span>}
      </p>
      <Problem what="The policy could not be read." error={got.error} retry={got.reload} />
      {!got.data && got.busy && <Busy />}
      {got.data &&
        (editing.value ? (
          <Document label={`The policy ${name}, JSON`} text={got.data.document} save={(t) => changeManaged(arn, t).then(got.reload)} close={() => (editing.value = false)} />
        ) : (
          <Grants document={got.data.document} />
        ))}
      {got.data && (
        <>
          <h2>Attached to</h2>
          {!got.data.used.length && <p class="faint">Nobody. A user's or role's page attaches it.</p>}
          <ul class="list">
            {got.data.used.map((h) => (
              <li key={`${h.kind} ${h.name}`}>
                <span class="tag">{h.kind.toLowerCase()}</span>
                <a class="grow" href={`/access/${h.kind.toLowerCase()}s/${part(h.name)}`}>
                  {h.name}
                </a>
                <Confirm label="Detach" class="quiet" title={`Detach from ${h.name}?`} act={`Detach from ${h.name}`} run={() => detach(h.kind, h.name, arn).then(got.reload)}>
                  <p>
                    {h.name} loses what {name} grants, at once.
                  </p>
                </Confirm>
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}
