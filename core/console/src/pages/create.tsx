// create: a blank function, or a blueprint: form → preview of all that will be made and granted → live.
import { useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { call } from "../api.ts";
import { type Report, made } from "../made.ts";
import { go, part } from "../router.ts";
import { AsCommand, Busy, Empty, Field, Head, Problem, line, submits, useAction, useLoad } from "../ui.tsx";
import type { ViewProps } from "../views.tsx";
import { Blank } from "./blank.tsx";

interface Param {
  name: string;
  type: string;
  prompt: string;
  default?: string | number | boolean;
  choices?: string[];
}

interface Blueprint {
  name: string;
  title: string;
  summary: string;
  params: Param[];
}

type Values = Record<string, string | number | boolean>;

export default function Create({ params: [chosen] }: ViewProps) {
  const got = useLoad(() => call<{ blueprints: Blueprint[] }>("GET", "/v1/blueprints"), []);
  if (chosen === "blank") return <Blank />;
  const all = got.data?.blueprints;
  const one = chosen && all?.find((b) => b.name === chosen);
  if (one) return <Instantiate blueprint={one} />;
  return (
    <>
      <Head title="Create a function" />
      <p class="lead">Take a blueprint that already does the work, or begin with an empty handler.</p>
      <Problem what="The blueprints could not be read." error={got.error} retry={got.reload} />
      {got.busy && !all && <Busy />}
      {chosen && all && !one && (
        <Empty title="There is no blueprint of that name">Choose one of those that this server has.</Empty>
      )}
      <div class="cards">
        {all?.map((b) => (
          <a class="card" href={`/create/${part(b.name)}`}>
            <span class="tag">{b.name}</span>
            <strong>{b.title}</strong>
            <span class="faint">{b.summary}</span>
          </a>
        ))}
        {all && (
          <a class="card" href="/create/blank">
            <span class="tag">blank</span>
            <strong>Start from an empty handler</strong>
            <span class="faint">A function of a few lines with a role that may do nothing but log; you add the rest.</span>
          </a>
        )}
      </div>
    </>
  );
}

// --- a blueprint -----------------------------------------------------------------------------

function Parameter({ p, wrong }: { p: Param; wrong?: string }) {
  const value = String(p.default ?? "");
  if (p.type === "boolean")
    return (
      <label class="check">
        <input type="checkbox" name={p.name} defaultChecked={p.default === true} /> {p.prompt}
      </label>
    );
  if (p.choices)
    return (
      <div class="field">
        <label for={`p-${p.name}`}>{p.prompt}</label>
        <select id={`p-${p.name}`} name={p.name} defaultValue={value}>
          {p.choices.map((c) => (
            <option>{c}</option>
          ))}
        </select>
      </div>
    );
  const number = p.type === "number" || p.type === "integer";
  return (
    <Field
      label={p.prompt}
      name={p.name}
      type={number ? "number" : p.type === "secret" ? "password" : "text"}
      defaultValue={value}
      hint={<code>{p.name}</code>}
      error={wrong}
    />
  );
}

function values(b: Blueprint, f: FormData): Values {
  const out: Values = {};
  for (const p of b.params) {
    const v = String(f.get(p.name) ?? "");
    if (p.type === "boolean") out[p.name] = f.get(p.name) !== null;
    else if (p.type === "number" || p.type === "integer") out[p.name] = v === "" ? "" : Number(v);
    else out[p.name] = v;
  }
  return out;
}

// What the server says of one parameter; it names every one that is wrong.
function wrongOf(error: unknown, name: string) {
  const said = error instanceof Error ? error.message : "";
  const begin = `parameter '${name}' `;
  const at = said.indexOf(begin);
  return at < 0 ? undefined : said.slice(at + begin.length).split(/[;,]? parameter '/)[0]!.replace(/[;,]\s*$/, "");
}

function Instantiate({ blueprint: b }: { blueprint: Blueprint }) {
  const path = `/v1/blueprints/${part(b.name)}`;
  const form = useRef<HTMLFormElement>(null);
  const panel = useRef<HTMLElement>(null);
  const preview = useSignal<Report | null>(null);
  const chosen = useSignal<Values>(Object.fromEntries(b.params.map((p) => [p.name, p.default ?? ""])));
  const action = useAction();
  const ask = (dry_run: boolean) => call<Report>("POST", path, { parameters: chosen.value, dry_run });
  const show = (f: FormData) => {
    chosen.value = values(b, f);
    preview.value = null;
    void action.run(async () => {
      preview.value = await ask(true);
      requestAnimationFrame(() => panel.current?.scrollIntoView({ block: "nearest" })); // on a narrow screen it is below
    });
  };
  const create = () =>
    action.run(async () => {
      made.value = await ask(false);
      go(`/functions/${part(made.value.name)}/logs?new=1`);
    });
  const { name, ...rest } = chosen.value;
  const sets = Object.entries(rest).filter(([key, v]) => v !== (b.params.find((p) => p.name === key)?.default ?? ""));
  const command = line(
    "perilune", "blueprint", "new", b.name, "--name", String(name),
    ...sets.flatMap(([key, v]) => ["--set", `${key}=${v}`]), "--yes",
  );
  return (
    <>
      <Head title={b.title} above={<a href="/create">Create a function</a>} />
      <p class="lead">{b.summary}</p>
      <div class="two">
        <form ref={form} onSubmit={submits(show)} onInput={() => {
          chosen.value = values(b, new FormData(form.current!));
          preview.value = null;
        }}>
          {b.params.map((p) => (
            <Parameter p={p} wrong={preview.value ? undefined : wrongOf(action.error, p.name)} />
          ))}
          <Problem what={preview.value ? "It was not created." : "This cannot be created."} error={action.error} />
          <button class={preview.value ? "" : "primary"} disabled={action.busy}>
            Preview
          </button>
          <AsCommand perilune={command} />
        </form>
        <section aria-live="polite" class="panel" ref={panel}>
          {!preview.value && (
            <p class="faint">The preview shows everything that will be created and what it may do. Nothing is made before you say so.</p>
          )}
          {preview.value && (
            <>
              <h2>This will be created</h2>
              <ul class="plain">
                {preview.value.created.map((c) => (
                  <li>
                    <span class="tag">{c.type}</span> {c.name}
                  </li>
                ))}
                {preview.value.updated.map((c) => (
                  <li>
                    <span class="tag warn">change</span> {c.type} {c.name}
                  </li>
                ))}
              </ul>
              <h2>It may</h2>
              <ul class="plain grants">
                {preview.value.granted.map((g) => {
                  const [what, on] = g.split(" on ");
                  return (
                    <li>
                      <code>{what}</code> <span class="faint">on</span> <code>{on}</code>
                    </li>
                  );
                })}
              </ul>
              {!preview.value.granted.length && <p class="faint">Nothing but write its log.</p>}
              <button type="button" class="primary" disabled={action.busy} onClick={() => void create()}>
                {action.busy ? "Creating…" : "Create"}
              </button>
            </>
          )}
        </section>
      </div>
    </>
  );
}
