// completion: what a function can call, from the definitions that editors and `perilune reference`
// read too (lua/meta): the server tells them.
import type { Completion, CompletionContext, CompletionResult, CompletionSource } from "@codemirror/autocomplete";
import { syntaxTree } from "@codemirror/language";
import { call } from "./api.ts";

interface Field {
  name: string;
  type: string;
  text: string;
}

interface Callable {
  name: string; // "s3.get", "Store:get"
  signature: string;
  text: string;
  returns: Field[];
}

interface Module {
  name: string;
  text: string;
  fields: Field[];
  functions: Callable[];
  classes: { name: string; fields: Field[]; methods: Callable[] }[];
}

const KEYWORDS =
  "and break do else elseif end false for function goto if in local nil not or repeat return then true until while".split(" ");
const STANDARD = "assert error ipairs next pairs pcall print require select setmetatable tonumber tostring type unpack xpcall math os string table".split(" ");

let asked: Promise<Module[]> | null = null;

// Asked once; where it cannot be had there are the words of the text and Lua's.
const reference = () =>
  (asked ??= call<{ modules: Module[] }>("GET", "/v1/reference").then(
    (d) => d.modules,
    () => ((asked = null), []),
  ));

const last = (name: string) => name.slice(Math.max(name.lastIndexOf("."), name.lastIndexOf(":")) + 1);

const ofCallable = (f: Callable): Completion => ({
  label: last(f.name),
  type: "function",
  detail: f.signature.slice(f.signature.indexOf("(")),
  info: f.text || undefined,
});

const ofField = (f: Field): Completion => ({ label: f.name.replace(/\?$/, ""), type: "property", detail: f.type, info: f.text || undefined });

// The class of a variable: what the last call that was assigned to it returns. `context` is the
// handler's.
function classOf(variable: string, before: string, modules: Module[]) {
  let type = variable === "context" ? "perilune.Context" : "";
  for (const m of before.matchAll(new RegExp(`\\b${variable}\\s*(?:,\\s*\\w+\\s*)?=\\s*(\\w+[.:]\\w+)\\s*\\(`, "g")))
    for (const f of modules.flatMap((x) => x.functions)) if (f.name === m[1]) type = f.returns[0]?.type ?? type;
  type = type.replace(/\?$/, "");
  return modules.flatMap((x) => x.classes).find((c) => c.name === type);
}

function members(variable: string, separator: string, before: string, modules: Module[]): Completion[] {
  const m = modules.find((x) => x.name === variable);
  if (m) return separator === "." ? [...m.functions.map(ofCallable), ...m.fields.map(ofField)] : [];
  const c = classOf(variable, before, modules);
  if (!c) return [];
  // A method is called with ":"; what is kept is read with ".".
  return c.methods.filter((f) => f.name.includes(separator)).map(ofCallable).concat(separator === "." ? c.fields.map(ofField) : []);
}

export const complete: CompletionSource = async (ctx: CompletionContext): Promise<CompletionResult | null> => {
  if (/string|comment/.test(syntaxTree(ctx.state).resolveInner(ctx.pos, -1).name)) return null;
  const word = ctx.matchBefore(/(?:\w+[.:])?\w*$/);
  if (!word || (word.from === word.to && !ctx.explicit)) return null;
  const [, variable, separator, typed] = /^(?:(\w+)([.:]))?(\w*)$/.exec(word.text)!;
  const modules = await reference();
  const from = word.to - typed!.length;
  if (variable) {
    const before = ctx.state.sliceDoc(Math.max(0, word.from - 100_000), word.from);
    const options = members(variable, separator!, before, modules);
    return options.length ? { from, options, validFor: /^\w*$/ } : null;
  }
  const options = [
    ...modules.filter((m) => m.functions.length).map((m): Completion => ({ label: m.name, type: "namespace", info: m.text || undefined, boost: 1 })),
    ...STANDARD.map((label): Completion => ({ label, type: "function" })),
    ...KEYWORDS.map((label): Completion => ({ label, type: "keyword" })),
  ];
  return { from, options, validFor: /^\w*$/ };
};
