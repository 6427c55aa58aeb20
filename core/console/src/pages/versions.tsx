// versions: what was published, and the names that lead to it.
import { useSignal } from "@preact/signals";
import { call, request } from "../api.ts";
import { type Fn, fnPath } from "../aws.ts";
import { part } from "../router.ts";
import { server } from "../session.ts";
import { AsCommand, Busy, Confirm, Empty, Field, Problem, Time, bytes, line, say, submits, useAction, useLoad } from "../ui.tsx";
import type { TabProps } from "./function.tsx";

interface Alias {
  Name: string;
  FunctionVersion: string;
  Description: string;
  RoutingConfig?: { AdditionalVersionWeights?: Record<string, number> };
}

async function everyPage<T>(path: string, list: string): Promise<T[]> {
  const found: T[] = [];
  for (let marker = ""; ; ) {
    const page: Record<string, unknown> = await call("GET", `${path}?MaxItems=50${marker && `&Marker=${part(marker)}`}`);
    found.push(...(page[list] as T[]));
    if (!page.NextMarker) return found;
    marker = String(page.NextMarker);
  }
}

export default function Versions({ fn, reload }: TabProps) {
  const name = fn.FunctionName;
  const versions = useLoad(
    async () => (await everyPage<Fn>(fnPath(name, "/versions"), "Versions")).filter((v) => v.Version !== "$LATEST").sort((a, b) => Number(b.Version) - Number(a.Version)),
    [name, fn.LastModified],
  );
  const aliases = useLoad(() => everyPage<Alias>(fnPath(name, "/aliases"), "Aliases"), [name]);
  return (
    <>
      <Problem what="They could not be listed." error={versions.error ?? aliases.error} retry={() => (versions.reload(), aliases.reload())} />
      {versions.busy && !versions.data && <Busy />}
      {versions.data && aliases.data && (
        <>
          <Aliases name={name} versions={versions.data.map((v) => v.Version)} aliases={aliases.data} changed={aliases.reload} />
          <Published
            fn={fn}
            versions={versions.data}
            aliases={aliases.data}
            changed={() => {
              versions.reload();
              reload();
            }}
          />
        </>
      )}
    </>
  );
}

// --- versions --------------------------------------------------------------------------------

function Published(p: { fn: Fn; versions: Fn[]; aliases: Alias[]; changed: () => void }) {
  const name = p.fn.FunctionName;
  const note = useSignal("");
  const action = useAction();
  const publish = async () => {
    const v = await call<Fn>("POST", fnPath(name, "/versions"), { Description: note.value });
    say(`This is version ${v.Version}.`);
    note.value = "";
    p.changed();
  };
  const used = (version: string) => p.aliases.filter((a) => a.FunctionVersion === version || version in (a.RoutingConfig?.AdditionalVersionWeights ?? {}));
  return (
    <section>
      <h2>Versions</h2>
      {!p.versions.length && <Empty title="Nothing is published yet">Each save of the code publishes a version; below, what is live now becomes one.</Empty>}
      {p.versions.length > 0 && (
        <table>
          <thead>
            <tr>
              <th>Version</th>
              <th class="wide">Note</th>
              <th>Published</th>
              <th class="wide num">Code</th>
              <td />
            </tr>
          </thead>
          <tbody>
            {p.versions.map((v) => (
              <tr key={v.Version}>
                <td>
                  {v.Version} {v.CodeSha256 === p.fn.CodeSha256 && <span class="tag">as live</span>}
                  {used(v.Version).map((a) => (
                    <span class="tag">{a.Name}</span>
                  ))}
                </td>
                <td class="wide clip">{v.Description}</td>
                <td>
                  <Time at={v.LastModified} />
                </td>
                <td class="wide num">{bytes(v.CodeSize)}</td>
                <td class="num">
                  <a href={`/functions/${part(name)}/code?version=${part(v.Version)}`}>Compare</a>
                  {!used(v.Version).length && (
                    <Confirm
                      label="Delete"
                      class="quiet"
                      title={`Delete version ${v.Version}?`}
                      act={`Delete version ${v.Version}`}
                      run={() => request(fnPath(name, `?Qualifier=${part(v.Version)}`), { method: "DELETE" }).then(p.changed)}
                    >
                      <p>It cannot be brought back. What is live stays.</p>
                    </Confirm>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <details>
        <summary>Publish what is live</summary>
        <form class="narrow" onSubmit={submits(() => void action.run(publish))}>
          <Field label="Note" maxLength={256} value={note.value} onInput={(e) => (note.value = e.currentTarget.value)} />
          <Problem what="It was not published." error={action.error} />
          <button class="primary" disabled={action.busy}>
            Publish
          </button>
          <AsCommand aws={line("aws", "lambda", "publish-version", "--function-name", name)} endpoint={server().endpoint} />
        </form>
      </details>
    </section>
  );
}

// --- aliases ---------------------------------------------------------------------------------

function Aliases(p: { name: string; versions: string[]; aliases: Alias[]; changed: () => void }) {
  const editing = useSignal<string | null>(null); // an alias's name; "" for a new one
  const close = () => {
    editing.value = null;
  };
  const saved = () => {
    close();
    p.changed();
  };
  return (
    <section>
      <h2>Aliases</h2>
      {!p.aliases.length && <p class="faint">None. An alias is a name that leads to a version, or to two of them by share; callers keep the name while you move it.</p>}
      {p.aliases.length > 0 && (
        <table>
          <thead>
            <tr>
              <th>Name</th>
              <th>Leads to</th>
              <th class="wide">Note</th>
              <td />
            </tr>
          </thead>
          <tbody>
            {p.aliases.map((a) => (
              <tr key={a.Name}>
                <td>
                  <strong>{a.Name}</strong>
                </td>
                <td>
                  version {a.FunctionVersion}
                  {Object.entries(a.RoutingConfig?.AdditionalVersionWeights ?? {}).map(([v, w]) => (
                    <span>
                      , {percent(w)} % to {v}
                    </span>
                  ))}
                </td>
                <td class="wide clip">{a.Description}</td>
                <td class="num">
                  <button type="button" class="quiet" aria-label={`Move ${a.Name}`} onClick={() => (editing.value = a.Name)}>
                    Move
                  </button>
                  <Confirm
                    label="Delete"
                    class="quiet"
                    title={`Delete the alias ${a.Name}?`}
                    act={`Delete ${a.Name}`}
                    run={() => request(fnPath(p.name, `/aliases/${part(a.Name)}`), { method: "DELETE" }).then(p.changed)}
                  >
                    <p>Whoever calls {a.Name} is told that there is no such thing. The versions stay.</p>
                  </Confirm>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {editing.value === null ? (
        <button type="button" onClick={() => (editing.value = "")}>
          Make an alias
        </button>
      ) : (
        <AliasForm key={editing.value} name={p.name} versions={p.versions} alias={p.aliases.find((a) => a.Name === editing.value)} saved={saved} close={close} />
      )}
    </section>
  );
}

const percent = (w: number) => Math.round(w * 10_000) / 100;

function AliasForm(p: { name: string; versions: string[]; alias?: Alias; saved: () => void; close: () => void }) {
  const a = p.alias;
  const [other, weight] = Object.entries(a?.RoutingConfig?.AdditionalVersionWeights ?? {})[0] ?? ["", 0];
  const second = useSignal(other);
  const action = useAction();
  const all = ["$LATEST", ...p.versions];
  const save = submits((f) => {
    const get = (what: string) => String(f.get(what) ?? "").trim();
    const body = {
      FunctionVersion: get("version"),
      Description: get("note"),
      RoutingConfig: { AdditionalVersionWeights: second.value ? { [second.value]: Number(get("weight")) / 100 } : {} },
    };
    void action
      .run(() => (a ? call("PUT", fnPath(p.name, `/aliases/${part(a.Name)}`), body) : call("POST", fnPath(p.name, "/aliases"), { Name: get("name"), ...body })))
      .then((ok) => ok && p.saved());
  });
  return (
    <form class="panel narrow" aria-label={a ? `Move ${a.Name}` : "Make an alias"} onSubmit={save}>
      {!a && <Field label="Name" name="name" required pattern="(?!^[0-9]+$)[\w\-]{1,128}" title="Letters, digits, - and _; not a number" placeholder="live" />}
      <div class="field">
        <label for="version">Version</label>
        <select id="version" name="version" defaultValue={a?.FunctionVersion ?? p.versions[0] ?? "$LATEST"}>
          {all.map((v) => (
            <option value={v} selected={v === (a?.FunctionVersion ?? p.versions[0] ?? "$LATEST")}>
              {v === "$LATEST" ? "what is live" : v}
            </option>
          ))}
        </select>
      </div>
      <div class="field">
        <label for="second">A share goes to</label>
        <select id="second" value={second.value} onChange={(e) => (second.value = e.currentTarget.value)}>
          <option value="">no other version</option>
          {p.versions.map((v) => (
            <option value={v}>{v}</option>
          ))}
        </select>
      </div>
      {second.value && <Field label="Its share, %" name="weight" type="number" min="0" max="100" step="0.01" required defaultValue={String(percent(weight) || 10)} />}
      <Field label="Note" name="note" maxLength={256} defaultValue={a?.Description ?? ""} />
      <Problem what="It was not saved." error={action.error} />
      <div class="row">
        <button class="primary" disabled={action.busy}>
          {a ? "Save" : "Make it"}
        </button>
        <button type="button" onClick={p.close}>
          Cancel
        </button>
      </div>
      <AsCommand
        aws={line("aws", "lambda", a ? "update-alias" : "create-alias", "--function-name", p.name, "--name", a?.Name ?? "NAME", "--function-version", a?.FunctionVersion ?? "1")}
        endpoint={server().endpoint}
      />
    </form>
  );
}
