// users: people and programs with keys of their own. A secret is shown once, when it is made.
import { useSignal } from "@preact/signals";
import { EntityPage } from "../entity.tsx";
import { FindBox, Found, findWords } from "../found.tsx";
import { type Entity, type Key, accessKeys, createKey, deleteKey, everyEntity, iam, lastUsed, setKey } from "../iam.ts";
import { go, part } from "../router.ts";
import { server } from "../session.ts";
import { AsCommand, Confirm, Empty, Field, Problem, Time, bound, copy, line, say, submits, useAction, useLoad } from "../ui.tsx";

export function UsersPage() {
  const words = findWords();
  const name = useSignal("");
  const action = useAction();
  const make = async () => {
    await iam("CreateUser", { UserName: name.value });
    go(`/access/users/${part(name.value)}`);
  };
  return (
    <>
      <FindBox label="Find users" />
      <Found<Entity>
        ask={(each, gone) => everyEntity("User", each, gone)}
        of={[]}
        words={words}
        text={(u) => u.name}
        label="Users"
        empty={<Empty title="There is no user yet">The root key is for setting things up. Name a user below, say what it may do, and give it a key.</Empty>}
        row={(u) => (
          <div class="item">
            <a href={`/access/users/${part(u.name)}`}>{u.name}</a>
            <span class="faint">
              <Time at={u.created} />
            </span>
          </div>
        )}
      />
      <h2>Make a user</h2>
      <form class="narrow" onSubmit={submits(() => void action.run(make))}>
        <Field label="Name" required pattern="[\w+=,.@\-]{1,64}" title="Letters, digits and + = , . @ _ -" hint="A person's or a program's" {...bound(name)} />
        <Problem what="It was not made." error={action.error} />
        <button disabled={action.busy}>Make</button>
        <AsCommand aws={line("aws", "iam", "create-user", "--user-name", name.value || "NAME")} endpoint={server().endpoint} />
      </form>
    </>
  );
}

export const UserPage = ({ name }: { name: string }) => (
  <EntityPage kind="User" name={name} loss="Its keys stop working and its sessions end, at once.">
    {() => <Keys user={name} />}
  </EntityPage>
);

// --- keys ------------------------------------------------------------------------------------

function Keys({ user }: { user: string }) {
  const got = useLoad(() => accessKeys(user), [user]);
  const fresh = useSignal<{ id: string; secret: string } | null>(null);
  const action = useAction();
  const make = async () => {
    fresh.value = await createKey(user);
    got.reload();
  };
  return (
    <section>
      <div class="row">
        <h2>Access keys</h2>
        <span class="grow" />
        <button type="button" disabled={action.busy} onClick={() => void action.run(make)}>
          Make a key
        </button>
      </div>
      <Problem what="It was not done." error={action.error ?? got.error} />
      {fresh.value && <Fresh {...fresh.value} done={() => (fresh.value = null)} />}
      {got.data && !got.data.length && <p class="faint">None: it cannot sign in, nor call anything.</p>}
      {!!got.data?.length && (
        <table>
          <thead>
            <tr>
              <th>Key</th>
              <th>State</th>
              <th class="wide">Last used</th>
              <td />
            </tr>
          </thead>
          <tbody>
            {got.data.map((k) => (
              <KeyRow key={k.id} user={user} k={k} changed={got.reload} />
            ))}
          </tbody>
        </table>
      )}
      <AsCommand aws={line("aws", "iam", "create-access-key", "--user-name", user)} endpoint={server().endpoint} />
    </section>
  );
}

function KeyRow({ user, k, changed }: { user: string; k: Key; changed: () => void }) {
  const used = useLoad(() => lastUsed(k.id), [k.id]);
  const action = useAction();
  return (
    <tr>
      <td>
        <code>{k.id}</code>
        <Problem what="It was not done." error={action.error} />
      </td>
      <td class={k.active ? "good-text" : "faint"}>{k.active ? "Active" : "Off"}</td>
      <td class="wide">
        {used.data === null && <span class="faint">never</span>}
        {used.data && (
          <>
            <Time at={used.data.at} /> <span class="faint">{used.data.service}</span>
          </>
        )}
      </td>
      <td class="num">
        <button type="button" class="quiet" disabled={action.busy} onClick={() => void action.run(() => setKey(user, k.id, !k.active).then(changed))}>
          {k.active ? "Switch off" : "Switch on"}
        </button>
        <Confirm label="Delete" class="quiet danger" title={`Delete the key ${k.id}?`} act={`Delete ${k.id}`} run={() => deleteKey(user, k.id).then(changed)}>
          <p>Whoever signs with it is refused from now on, and its console sessions end. It cannot be undone.</p>
        </Confirm>
      </td>
    </tr>
  );
}

// The server keeps it sealed and tells it never again.
function Fresh(p: { id: string; secret: string; done: () => void }) {
  const file = `[default]\naws_access_key_id = ${p.id}\naws_secret_access_key = ${p.secret}\nregion = ${server().region}\n`;
  return (
    <section class="panel" aria-label="The new key">
      <p class="good">The secret is shown this once: copy it now.</p>
      <pre class="wrap">{file}</pre>
      <div class="row">
        <button type="button" class="primary" onClick={() => void copy(file)}>
          Copy for ~/.aws/credentials
        </button>
        <button type="button" onClick={() => void copy(p.secret)}>
          Copy the secret
        </button>
        <button type="button" onClick={p.done}>
          I have it
        </button>
      </div>
    </section>
  );
}
