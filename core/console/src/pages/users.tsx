// users: people and programs with keys of their own. A secret is shown once, when it is made.
import { useSignal } from "@preact/signals";
import { Found } from "../found.tsx";
import { type Entity, type Key, accessKeys, createKey, deleteKey, everyEntity, getEntity, iam, lastUsed, removeEntity, setKey } from "../iam.ts";
import { Policies } from "../policies.tsx";
import { go, here, part, withQuery } from "../router.ts";
import { server } from "../session.ts";
import { AsCommand, Busy, Confirm, Empty, Field, Head, Problem, Time, bound, copy, line, say, submits, useAction, useLoad } from "../ui.tsx";

export function UsersPage() {
  const words = here.value.searchParams.get("find") ?? "";
  const name = useSignal("");
  const action = useAction();
  const make = async () => {
    await iam("CreateUser", { UserName: name.value });
    go(`/access/users/${part(name.value)}`);
  };
  return (
    <>
      <div class="row bar">
        <input type="search" aria-label="Find users" placeholder="Find" value={words} onInput={(e) => go(withQuery("find", e.currentTarget.value), true)} />
      </div>
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

export function UserPage({ name }: { name: string }) {
  const got = useLoad(() => getEntity("User", name), [name]);
  const remove = async () => {
    await removeEntity("User", name);
    go("/access/users");
    say(`Deleted ${name}.`);
  };
  return (
    <>
      <Head title={name} above={<a href="/access/users">Users</a>}>
        {got.data && <a class="button" href={`/access/simulator?user=${part(name)}`}>Try what it may do</a>}
        {got.data && (
          <Confirm label="Delete the user" title={`Delete ${name}?`} act={`Delete ${name}`} run={remove}>
            <p>Its keys stop working and its sessions end, at once. It cannot be undone.</p>
            <AsCommand aws={line("aws", "iam", "delete-user", "--user-name", name)} endpoint={server().endpoint} />
          </Confirm>
        )}
      </Head>
      <Problem what="The user could not be read." error={got.error} retry={got.reload} />
      {!got.data && got.busy && <Busy />}
      {got.data && (
        <>
          <p class="facts">
            <code>{got.data.arn}</code>
            <span class="faint">
              made <Time at={got.data.created} />
            </span>
          </p>
          <Keys user={name} />
          <h2>What it may do</h2>
          <Policies kind="User" name={name} empty="Allow something below, or attach a policy." />
        </>
      )}
    </>
  );
}

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
