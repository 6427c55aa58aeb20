// The console as a person uses it. Each case has a browser context of its own and fails on whatever
// the browser complains about; expect() names the answers of 400 and above that belong to a case.
import { chromium } from "playwright-core";
import { cases as tutorial } from "./tutorial.mjs";
import { cases as pages } from "./pages.mjs";
import events from "./events.mjs";
import * as steps from "./steps.mjs";
import { cases as scale } from "./scale.mjs";
import { shoot } from "./shots.mjs";

const SLOW = Number(process.env.SLOW ?? 1); // a sanitizer's build
const cases = { ...tutorial, ...pages, ...events({ CONSOLE: process.env.CONSOLE, ...steps }), ...scale };

// --- running them ----------------------------------------------------------------------------

// Answers that belong to the console's way of asking, wherever they come.
const ALWAYS = [
  [404, "GET", /^\/v1\/aws\/lambda\/2015-03-31\/functions\/[\w-]+\/policy$/], // nothing may call it yet
  [404, "GET", /^\/v1\/aws\/s3\/[\w.-]+\?(policy|lifecycle|cors)$/], // none is configured
];
const BY_CASE = {
  hostile_names_are_inert: [
    [400, "GET", /\/configuration$/],
    [404, "GET", /\/configuration$/],
  ],
};

async function attempt(browser, name, body) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce" }); // colours are judged, not their transitions
  context.setDefaultTimeout(30_000 * SLOW);
  const page = await context.newPage();
  const trouble = [];
  const expected = [...ALWAYS, ...(BY_CASE[name] ?? [])];
  const expect = (status, method, path) => expected.push([status, method, path]);
  const isExpected = (status, method, path) =>
    expected.some(([s, m, p]) => s === status && m === method && (p instanceof RegExp ? p.test(path) : p === path));
  page.on("pageerror", (e) => trouble.push(`exception: ${e.message}`));
  page.on("console", (m) => {
    if (["error", "warning"].includes(m.type()) && !/Failed to load resource.* status of \d+/.test(m.text())) trouble.push(`console: ${m.text()}`);
  });
  page.on("response", (r) => {
    const { pathname, search } = new URL(r.url());
    const path = pathname + search;
    if (r.status() >= 400 && !isExpected(r.status(), r.request().method(), path))
      trouble.push(`${r.status()} ${r.request().method()} ${path}`);
  });
  await page.addInitScript(() =>
    document.addEventListener("securitypolicyviolation", (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`)),
  );
  const began = performance.now();
  let error = "";
  try {
    await body({ page, context, browser, expect });
  } catch (e) {
    error = String(e.stack).split("\n    at async attempt")[0];
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/failed-${name}.png` });
    error += `\n${(await page.locator("body").innerText().catch(() => "")).slice(0, 2000)}`;
  }
  await context.close();
  console.log(JSON.stringify({ name, error: [error, ...trouble].filter(Boolean).join("\n"), ms: Math.round(performance.now() - began) }));
}

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});

// The first makes what others look at; those go side by side.
const wanted = process.argv.slice(2);
const chosen = Object.entries(cases).filter(([name]) => !wanted.length || wanted.includes(name));
const one = async () => {
  for (let next = chosen.shift(); next; next = chosen.shift()) await attempt(browser, ...next);
};
if (chosen.length) await attempt(browser, ...chosen.shift());
await Promise.all([one(), one(), one()]);
if (process.env.SHOTS) await shoot(browser, process.env.SHOTS);
await browser.close();
