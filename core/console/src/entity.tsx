// entity: the page of a user or a role: what it is, what is special to its kind, what it may do, and its end.
import type { ComponentChildren } from "preact";
import { type Entity, type Kind, getEntity, removeEntity } from "./iam.ts";
import { Policies } from "./policies.tsx";
import { go, part } from "./router.ts";
import { server } from "./session.ts";
import { AsCommand, Busy, Confirm, Head, Problem, Time, line, say, useLoad } from "./ui.tsx";

export function EntityPage(p: {
  kind: Kind;
  name: string;
  loss: string; // what deleting it means
  children: (entity: Entity, reload: () => void) => ComponentChildren;
}) {
  const { kind, name } = p;
  const got = useLoad(() => getEntity(kind, name), [name]);
  const word = kind.toLowerCase();
  const remove = async () => {
    await removeEntity(kind, name);
    go(`/access/${word}s`);
    say(`Deleted ${name}.`);
  };
  return (
    <>
      <Head title={name} above={<a href={`/access/${word}s`}>{kind}s</a>}>
        {got.data && <a class="button" href={`/access/simulator?${word}=${part(name)}`}>Try what it may do</a>}
        {got.data && (
          <Confirm label={`Delete the ${word}`} title={`Delete ${name}?`} act={`Delete ${name}`} run={remove}>
            <p>{p.loss} It cannot be undone.</p>
            <AsCommand aws={line("aws", "iam", `delete-${word}`, `--${word}-name`, name)} endpoint={server().endpoint} />
          </Confirm>
        )}
      </Head>
      <Problem what={`The ${word} could not be read.`} error={got.error} retry={got.reload} />
      {!got.data && got.busy && <Busy />}
      {got.data && (
        <>
          <p class="facts">
            <code>{got.data.arn}</code>
            <span class="faint">
              made <Time at={got.data.created} />
            </span>
            {got.data.description && <span class="faint">{got.data.description}</span>}
          </p>
          {p.children(got.data, got.reload)}
          <h2>What it may do</h2>
          <Policies kind={kind} name={name} empty="Allow something below, or attach a policy." />
        </>
      )}
    </>
  );
}
