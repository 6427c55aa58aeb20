// Bundles the console into a folder: node build.mjs OUT
//
//   OUT/index.html           names the entry's script and style; answered for every view's path
//   OUT/assets/NAME-HASH.*   everything else: a name never has other bytes
//   OUT/**.gz                what the binary embeds
//
// Prints the sizes and fails above a budget, so that the console stays one that opens at once on a
// small server's link. "First view" is what index.html makes a browser fetch before anything else is
// asked for: the entry and all that it imports statically.
import * as esbuild from "esbuild";
import { readFileSync, writeFileSync, rmSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync, constants } from "node:zlib";

const BUDGET = { all: 250 * 1024, first: 50 * 1024 };

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2];
if (!out) {
  console.error("usage: node build.mjs OUT");
  process.exit(2);
}
const outdir = join(process.cwd(), out);
// The folder itself stays: a server with --console-dir holds it open.
mkdirSync(outdir, { recursive: true });
for (const old of readdirSync(outdir)) rmSync(join(outdir, old), { recursive: true });
mkdirSync(join(outdir, "assets"));

const result = await esbuild.build({
  absWorkingDir: here,
  entryPoints: [{ in: "src/main.tsx", out: "main" }],
  outdir: join(outdir, "assets"),
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  minify: true,
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  loader: { ".svg": "file", ".woff2": "file" },
  define: { "process.env.NODE_ENV": '"production"' },
  metafile: true,
  logLevel: "warning",
});

// --- index.html ------------------------------------------------------------------------------

const outputs = Object.entries(result.metafile.outputs).map(([path, meta]) => ({
  name: relative(outdir, join(here, path)),
  meta,
}));
const byName = new Map(outputs.map((o) => [o.name, o]));
const entry = outputs.find((o) => o.meta.entryPoint === "src/main.tsx");
const inOut = (path) => relative(outdir, join(here, path));

const first = new Set();
const reach = (name) => {
  if (first.has(name) || !byName.has(name)) return;
  first.add(name);
  for (const i of byName.get(name).meta.imports)
    if (i.kind === "import-statement") reach(inOut(i.path));
};
reach(entry.name);
const style = entry.meta.cssBundle && inOut(entry.meta.cssBundle);
if (style) first.add(style);

const preload = [...first]
  .filter((name) => name.endsWith(".js") && name !== entry.name)
  .map((name) => `<link rel="modulepreload" href="/${name}">`);
const head = [
  ...(style ? [`<link rel="stylesheet" href="/${style}">`] : []),
  ...preload,
  `<script type="module" src="/${entry.name}"></script>`,
].join("\n");
const page = readFileSync(join(here, "index.html"), "utf8");
if (!page.includes("<!-- assets -->")) throw new Error("index.html has no <!-- assets -->");
writeFileSync(join(outdir, "index.html"), page.replace("<!-- assets -->", head));
first.add("index.html");

// --- sizes -----------------------------------------------------------------------------------

const files = ["index.html", ...readdirSync(join(outdir, "assets")).map((f) => `assets/${f}`)];
const sizes = { all: 0, first: 0 };
const rows = [];
for (const name of files) {
  const packed = gzipSync(readFileSync(join(outdir, name)), { level: constants.Z_BEST_COMPRESSION });
  writeFileSync(join(outdir, `${name}.gz`), packed);
  sizes.all += packed.length;
  if (first.has(name)) sizes.first += packed.length;
  rows.push([packed.length, first.has(name) ? "first view" : "", name]);
}
const kib = (n) => (n / 1024).toFixed(1).padStart(6);
for (const [n, what, name] of rows.sort((a, b) => b[0] - a[0]))
  console.log(`  ${kib(n)} KiB  ${what.padEnd(10)}  ${name}`);
console.log(`console: ${kib(sizes.first).trim()} KiB gzip for the first view (at most ` +
  `${BUDGET.first / 1024}), ${kib(sizes.all).trim()} KiB in all (at most ${BUDGET.all / 1024})`);
for (const what of ["first", "all"]) {
  if (sizes[what] > BUDGET[what]) {
    console.error(`console: over its budget: ${sizes[what]} of ${BUDGET[what]} bytes (${what})`);
    process.exit(1);
  }
}
