// secrets: their names. A value goes in and never comes out again, here or anywhere but in a function
// that may read it.
import { useSignal } from "@preact/signals";
import { removeSecret, secrets, setSecret } from "../kv.ts";
import { AsCommand, Busy, Confirm, Empty, Field, Head, Problem, Time, bound, line, say, submits, useAction, useLoad } from "../ui.tsx";

export default function Secrets() {
  const got = useLoad(secrets, []);
  const name = useSignal("");
  const secret = useSignal("");
  const action = useAction();
  const there = got.data?.some((s) => s.name === name.value);
  const save = async () => {
    await setSecret(name.value, secret.value);
    say(there ? `${name.value} has its new value; the next read gets it.` : `${name.value} is set.`);
    name.value = secret.value = "";
    got.reload();
  };
  const rotate = (n: string) => {
    name.value = n;
    secret.value = "";
    document.getElementById("set")!.querySelector<HTMLInputElement>("input[type=password]")!.focus();
  };
  return (
    <>
      <Head title="Secrets" />
      <p class="lead">
        A function whose role may do <code>perilune:SecretRead</code> reads one with <code>secrets.get(name)</code>. Nothing shows a value again.
      </p>
      <Problem what="The secrets could not be listed." error={got.error} retry={got.reload} />
      {got.busy && !got.data && <Busy />}
      {got.data && !got.data.length && <Empty title="There is no secret yet">Set one below: an API token, a webhook's key.</Empty>}
      {!!got.data?.length && (
        <table>
          <thead>
            <tr>
              <th>Name</th>
              <th class="wide">Made</th>
              <th>Changed</th>
              <th>
                <span class="hidden">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {got.data.map((s) => (
              <tr key={s.name}>
                <td class="break">{s.name}</td>
                <td class="wide">
                  <Time at={s.created} />
                </td>
                <td>
                  <Time at={s.changed} />
                </td>
                <td>
                  <div class="row end">
                    <button type="button" aria-label={`Rotate ${s.name}`} onClick={() => rotate(s.name)}>
                      Rotate
                    </button>
                    <Confirm label="Delete…" title={`Delete ${s.name}?`} act={`Delete ${s.name}`} run={() => removeSecret(s.name).then(() => (say(`Deleted ${s.name}.`), got.reload()))}>
                      <p>Functions that read it get an error from now on. Its value cannot be brought back.</p>
                    </Confirm>
                  </div>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <h2>{there ? "Rotate a secret" : "Set a secret"}</h2>
      <form id="set" class="narrow" onSubmit={submits(() => void action.run(save))}>
        <Field label="Name" required maxLength={128} {...bound(name)} />
        <Field label="Value" type="password" required autocomplete="new-password" hint={there ? "It takes the place of the present one at once" : "Up to 64 KiB"} {...bound(secret)} />
        <Problem what="It was not set." error={action.error} />
        <button class="primary" disabled={action.busy}>
          {there ? "Rotate the secret" : "Set the secret"}
        </button>
        <AsCommand perilune={`${line("perilune", "secret", "set", name.value || "NAME")} < value.txt`} />
      </form>
    </>
  );
}
