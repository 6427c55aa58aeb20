// settings: what is set on one function, and its end.
import { useSignal } from "@preact/signals";
import { call, request } from "../api.ts";
import { fnPath } from "../aws.ts";
import { go, part } from "../router.ts";
import { server } from "../session.ts";
import { orNull } from "../triggers.ts";
import { AsCommand, Confirm, Field, Problem, bound, line, say, submits, useAction, useLoad } from "../ui.tsx";
import type { TabProps } from "./function.tsx";

export default function Settings({ fn, reload }: TabProps) {
  const description = useSignal(fn.Description);
  const memory = useSignal(String(fn.MemorySize));
  const timeout = useSignal(String(fn.Timeout));
  const rows = useSignal(Object.entries(fn.Environment?.Variables ?? {}));
  const action = useAction();
  const change = (i: number, at: 0 | 1, to: string) =>
    (rows.value = rows.value.map((r, n) => (n === i ? (at ? [r[0], to] : [to, r[1]]) : r)));
  const save = async () => {
    await call("PUT", fnPath(fn.FunctionName, "/configuration"), {
      Description: description.value,
      MemorySize: Number(memory.value),
      Timeout: Number(timeout.value),
      Environment: { Variables: Object.fromEntries(rows.value.filter(([key]) => key)) },
    });
    say("Saved; the next run has it.");
    reload();
  };
  const made = useLoad(
    () => call<{ deployments: { name: string }[] }>("GET", "/v1/deployments").then((d) => d.deployments.some((x) => x.name === fn.FunctionName)),
    [fn.FunctionName],
  );
  const remove = async () => {
    const path = made.data ? `/v1/deployments/${part(fn.FunctionName)}` : fnPath(fn.FunctionName);
    await orNull(request(path, { method: "DELETE" }));
    go("/functions");
    say(`Deleted ${fn.FunctionName}.`);
  };
  return (
    <>
      <form class="narrow" onSubmit={submits(() => void action.run(save))}>
        <Field label="Description" maxLength={256} {...bound(description)} />
        <Field label="Memory, MB" type="number" min="1" required {...bound(memory)} />
        <Field label="Timeout, seconds" type="number" min="1" max="900" required {...bound(timeout)} />
        <fieldset>
          <legend>Environment</legend>
          {rows.value.map(([key, value], i) => (
            <div class="row pair">
              <input aria-label={`Variable ${i + 1}`} value={key} pattern="[A-Za-z][A-Za-z0-9_]+" placeholder="NAME" onInput={(e) => change(i, 0, e.currentTarget.value)} />
              <input aria-label={`Value ${i + 1}`} value={value} onInput={(e) => change(i, 1, e.currentTarget.value)} />
              <button type="button" class="quiet" aria-label={`Remove ${key || "the variable"}`} onClick={() => (rows.value = rows.value.filter((_, n) => n !== i))}>
                ✕
              </button>
            </div>
          ))}
          <button type="button" onClick={() => (rows.value = [...rows.value, ["", ""]])}>
            Add a variable
          </button>
        </fieldset>
        <Problem what="It was not saved." error={action.error} />
        <button class="primary" disabled={action.busy}>
          {action.busy ? "Saving…" : "Save"}
        </button>
        <AsCommand
          aws={line("aws", "lambda", "update-function-configuration", "--function-name", fn.FunctionName, "--memory-size", memory.value, "--timeout", timeout.value, "--description", description.value)}
          endpoint={server().endpoint}
        />
      </form>
      <h2>Delete</h2>
      <p class="faint">
        {made.data
          ? "Its role, triggers and permissions go with it; a bucket that holds objects stays."
          : "Its code and versions go; its role and buckets stay."}
      </p>
      <Confirm label="Delete the function" title={`Delete ${fn.FunctionName}?`} act={`Delete ${fn.FunctionName}`} run={remove}>
        <p>Its code, versions and triggers are gone at once. It cannot be undone.</p>
        <AsCommand perilune={made.data ? line("perilune", "blueprint", "remove", fn.FunctionName) : undefined} aws={line("aws", "lambda", "delete-function", "--function-name", fn.FunctionName)} endpoint={server().endpoint} />
      </Confirm>
    </>
  );
}
