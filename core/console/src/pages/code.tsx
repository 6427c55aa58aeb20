// code: edit, save = live; what does not compile is shown at its line and changes nothing. Earlier
// versions: look, compare, roll back.
import { useEffect, useRef, useState } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { call, request } from "../api.ts";
import { type Fn, fnPath } from "../aws.ts";
import type { Editor, Fault, Options } from "../editor.ts";
import { go, here, part, withQuery } from "../router.ts";
import { server } from "../session.ts";
import { AsCommand, Busy, Confirm, Problem, Time, bytes, line, say, useAction, useLoad } from "../ui.tsx";
import type { TabProps } from "./function.tsx";

interface File {
  path: string;
  size: number;
  text: string | null;
}

interface Code {
  files: File[];
  sha256: string;
  version: string;
}

interface Wrong {
  file: string;
  line: number;
  message: string;
}

const CHECK_MS = 400; // after the last key

const codePath = (name: string, version = "") =>
  `/v1/functions/${part(name)}/code${version && `?qualifier=${part(version)}`}`;
const getCode = (name: string, version = "") => call<Code>("GET", codePath(name, version));

// One editor; made anew when what it shows is another text.
function Pane(p: Options & { faults?: Fault[] }) {
  const box = useRef<HTMLDivElement>(null);
  const editor = useRef<Editor | null>(null);
  const latest = useRef(p);
  latest.current = p;
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    let gone = false;
    import("../editor.ts").then((m) => {
      if (gone) return;
      editor.current = m.open(box.current!, {
        ...p,
        changed: (text) => latest.current.changed?.(text),
        save: () => latest.current.save?.(),
      });
      if (latest.current.faults?.length) editor.current.show(latest.current.faults);
    }, setError);
    return () => {
      gone = true;
      editor.current?.close();
      editor.current = null;
    };
  }, []);
  useEffect(() => editor.current?.show(p.faults ?? []), [p.faults]);
  if (error) return <Problem what="The editor could not be loaded." error={error} retry={() => location.reload()} />;
  return <div class={p.before === undefined ? "editor" : "editor compared"} ref={box} />;
}

export default function CodeTab({ fn, reload }: TabProps) {
  const name = fn.FunctionName;
  const got = useLoad(() => getCode(name), [name, fn.CodeSha256]);
  const version = here.value.searchParams.get("version");
  return (
    <>
      <Problem what="The code could not be read." error={got.error} retry={got.reload} />
      {!got.data && got.busy && <Busy />}
      {got.data && (version ? <Compare key={version} name={name} version={version} now={got.data} done={reload} /> : <Edit key={got.data.sha256} fn={fn} code={got.data} done={reload} />)}
      <Versions fn={fn} />
    </>
  );
}

// --- editing ---------------------------------------------------------------------------------

function Edit({ fn, code, done }: { fn: Fn; code: Code; done: () => void }) {
  const first = code.files.find((f) => f.path === "handler.lua") ?? code.files[0];
  const path = here.value.searchParams.get("file") ?? first?.path ?? "";
  const file = code.files.find((f) => f.path === path) ?? first;
  const edits = useSignal<Record<string, string>>({});
  const wrong = useSignal<Wrong[]>([]);
  const action = useAction();
  const timer = useRef(0);
  const changed = Object.keys(edits.value).filter((p) => edits.value[p] !== code.files.find((f) => f.path === p)?.text);

  useEffect(() => {
    const ask = (e: BeforeUnloadEvent) => changed.length && e.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [changed.length]);
  useEffect(() => () => clearTimeout(timer.current), []);

  const check = async () => {
    try {
      wrong.value = (await call<{ errors: Wrong[] }>("POST", "/v1/check", { files: edits.value })).errors;
    } catch {
      // saving says what is wrong
    }
  };
  const edit = (text: string) => {
    edits.value = { ...edits.value, [path]: text };
    clearTimeout(timer.current);
    timer.current = setTimeout(() => void check(), CHECK_MS) as unknown as number;
  };
  const save = () =>
    action.run(async () => {
      clearTimeout(timer.current);
      const files = Object.fromEntries(changed.map((p) => [p, edits.value[p]]));
      const { errors } = await call<{ errors: Wrong[] }>("POST", "/v1/check", { files });
      wrong.value = errors;
      if (errors.length) throw new Error("It does not compile; what was there before keeps running.");
      await call("PUT", codePath(fn.FunctionName), { files, publish: true });
      say("Saved and live.");
      done();
    });
  const here_ = wrong.value.filter((w) => w.file === path);
  const faults = useRef<{ of: Wrong[]; path: string; list: Fault[] }>({ of: [], path: "", list: [] });
  if (faults.current.of !== wrong.value || faults.current.path !== path)
    faults.current = { of: wrong.value, path, list: here_ };
  if (!file) return <p class="empty">The package holds no files.</p>;
  return (
    <>
      <div class="row bar">
        <div class="files" role="group" aria-label="Files">
          {code.files.map((f) => (
            <button type="button" aria-pressed={f === file} onClick={() => go(withQuery("file", f.path), true)}>
              {f.path}
              {changed.includes(f.path) ? " •" : ""}
            </button>
          ))}
        </div>
        <span class="grow" />
        <span class="faint">{changed.length ? "Not saved" : `Live, ${code.version}`}</span>
        <button type="button" class="primary" disabled={!changed.length || action.busy} onClick={() => void save()}>
          {action.busy ? "Saving…" : "Save"}
        </button>
      </div>
      {file.text === null ? (
        <p class="empty">
          {file.path} is no text, or too long to edit here ({bytes(file.size)}).
        </p>
      ) : (
        <Pane
          key={file.path}
          text={edits.value[file.path] ?? file.text}
          label={file.path}
          language={file.path.endsWith(".lua") ? "lua" : "text"}
          changed={edit}
          save={() => void save()}
          faults={faults.current.list}
        />
      )}
      <ul class="list" aria-label="Compile errors">
        {wrong.value.map((w) => (
          <li>
            <span class="bad">
              {w.file}, line {w.line}
            </span>
            <span>{w.message}</span>
          </li>
        ))}
      </ul>
      <Problem what="It was not saved." error={action.error} />
      <AsCommand
        perilune="perilune deploy"
        aws={line("aws", "lambda", "update-function-code", "--function-name", fn.FunctionName, "--zip-file", "fileb://function.zip")}
        endpoint={server().endpoint}
      />
    </>
  );
}

// --- versions --------------------------------------------------------------------------------

function Versions({ fn }: { fn: Fn }) {
  const marker = useSignal("");
  const got = useLoad(
    () => call<{ Versions: Fn[]; NextMarker?: string }>("GET", fnPath(fn.FunctionName, `/versions?MaxItems=50${marker.value && `&Marker=${part(marker.value)}`}`)),
    [fn.FunctionName, fn.CodeSha256, fn.LastModified, marker.value],
  );
  const rows = got.data?.Versions.filter((v) => v.Version !== "$LATEST").sort((a, b) => Number(b.Version) - Number(a.Version));
  return (
    <section>
      <h2>Versions</h2>
      <Problem what="The versions could not be listed." error={got.error} retry={got.reload} />
      {rows && !rows.length && <p class="faint">None yet: each save publishes one, and every one can be brought back.</p>}
      {!!rows?.length && (
        <table>
          <tbody>
            {rows.map((v) => (
              <tr key={v.Version}>
                <td>
                  {v.Version} {v.CodeSha256 === fn.CodeSha256 && <span class="tag">as live</span>}
                </td>
                <td>
                  <Time at={v.LastModified} />
                </td>
                <td class="wide num">{bytes(v.CodeSize)}</td>
                <td class="num">
                  <a href={withQuery("version", v.Version)}>Compare</a>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {got.data?.NextMarker && (
        <button type="button" onClick={() => (marker.value = got.data!.NextMarker!)}>
          Next page
        </button>
      )}
    </section>
  );
}

function Compare({ name, version, now, done }: { name: string; version: string; now: Code; done: () => void }) {
  const got = useLoad(() => getCode(name, version), [name, version]);
  const back = async () => {
    await request(`/v1/functions/${part(name)}/rollback`, {
      method: "POST",
      body: JSON.stringify({ Version: version }),
      headers: { "content-type": "application/json" },
    });
    go(withQuery("version", null), true);
    say(`Version ${version} is live again.`);
    done();
  };
  const old = new Map(got.data?.files.map((f) => [f.path, f.text]));
  const paths = [...new Set([...now.files.map((f) => f.path), ...old.keys()])];
  const text = (p: string) => now.files.find((f) => f.path === p)?.text ?? "";
  const differ = got.data ? paths.filter((p) => (old.get(p) ?? "") !== text(p)) : [];
  return (
    <section aria-label={`Version ${version}`}>
      <div class="row bar">
        <strong>From version {version} to what is live</strong>
        <span class="grow" />
        {differ.length > 0 && <Confirm label={`Roll back to ${version}`} class="" title={`Roll back to version ${version}?`} act={`Make ${version} live`} run={back}>
          <p>What is live now stays among the versions if it was published.</p>
          <AsCommand perilune={line("perilune", "rollback", name, "--to", version)} />
        </Confirm>}
        <a class="button" href={withQuery("version", null)}>
          Back to the code
        </a>
      </div>
      <Problem what={`Version ${version} could not be read.`} error={got.error} />
      {!got.data && got.busy && <Busy />}
      {got.data && !differ.length && <p class="empty">They are the same.</p>}
      {differ.map((p) => (
        <>
          <h2>{p}</h2>
          <Pane key={p} text={text(p)} before={old.get(p) ?? ""} label={`${p}, compared`} language={p.endsWith(".lua") ? "lua" : "text"} />
        </>
      ))}
    </section>
  );
}
