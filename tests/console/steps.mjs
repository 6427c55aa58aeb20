// steps: what the cases do again and again.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const { CONSOLE, LINK, PICTURE, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = process.env;
const SLOW = Number(process.env.SLOW ?? 1); // a sanitizer's build

export function check(ok, what) {
  if (!ok) throw new Error(what);
}

// --- the tutorial, by whatever hand ----------------------------------------------------------

export const line = (page, text) => page.locator(".line .message", { hasText: text });

export async function signInByLink(page, link) {
  await page.goto(`${CONSOLE}/#link=${link}`);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  check(!page.url().includes(link), "the link stays in the address bar");
}

export async function signIn(page) {
  await page.goto(CONSOLE);
  await page.getByLabel("Access key ID").fill(AWS_ACCESS_KEY_ID);
  await page.getByLabel("Secret access key").fill(AWS_SECRET_ACCESS_KEY);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
}

// Opens a page, and waits until it shows what it loads. (The form to sign in has a heading too.)
export async function open(page, path) {
  await page.goto(CONSOLE + path);
  await page.locator("#main h1").waitFor();
  await page.locator("p.busy").first().waitFor({ state: "detached" });
}

// Drops files as a desktop does: an event with what it carries.
export async function drop(page, target, files) {
  const data = await page.evaluateHandle((files) => {
    const data = new DataTransfer();
    for (const f of files) {
      const bytes = Uint8Array.from(atob(f.base64), (c) => c.charCodeAt(0));
      data.items.add(new File([bytes], f.name, { type: f.type }));
    }
    return data;
  }, files);
  await target.dispatchEvent("dragover", { dataTransfer: data });
  await target.dispatchEvent("drop", { dataTransfer: data });
}

export const picture = (name) => ({ name, type: "image/png", base64: PICTURE });

export async function tutorialByMouse(page, name) {
  await signInByLink(page, LINK);
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Create" }).click();
  await page.getByRole("link", { name: /Run a function when a file is uploaded/ }).click();
  await page.getByLabel("Bucket to watch").fill(`${name}-in`);
  await page.getByLabel("Name of the function").fill(name);
  await page.getByRole("button", { name: "Preview" }).click();
  const preview = page.locator("section.panel");
  for (const text of [`${name}-in`, `${name}-role`, `arn:aws:s3:::${name}-in/*`, "s3:GetObject", "perilune:KvWrite"])
    await preview.getByText(text).first().waitFor();
  await preview.getByRole("button", { name: "Create" }).click();
  await page.getByText(`${name} is live.`).waitFor();
  await page.evaluate(() => (window.stayed = true));
  await drop(page, page.locator(".drop"), [picture("cat.png")]);
  await page.locator(".upload", { hasText: "Uploaded" }).waitFor();
  const began = Date.now();
  await line(page, '"key":"cat.png"').waitFor();
  check(Date.now() - began < 5000 * SLOW, `the line took ${Date.now() - began} ms`);
  check(await page.evaluate(() => window.stayed), "the page was loaded again");
}

export const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

// Presses Tab until what has the focus is called so.
export async function tabTo(page, name) {
  for (let i = 0; i < 80; i++) {
    const found = await page.evaluate((name) => {
      const e = document.activeElement;
      if (!e.matches("a, button, input, select, summary")) return false;
      const text = e.labels?.[0]?.textContent || e.getAttribute("aria-label") || e.textContent;
      return text.includes(name);
    }, name);
    if (found) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`Tab does not reach "${name}"`);
}

// A function with this code and a role that may log; made as the blank form does.
export async function blank(page, name) {
  await page.goto(`${CONSOLE}/create/blank`);
  await page.getByLabel("Name of the function").fill(name);
  await page.getByRole("button", { name: "Create" }).click();
  await page.locator(".cm-content").waitFor();
}

export async function write(page, code) {
  await page.locator(".cm-content").click();
  await page.keyboard.press("Control+a");
  await page.keyboard.insertText(code);
}

export async function save(page) {
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("Saved and live.").waitFor();
}

export async function run(page, name) {
  await page.goto(`${CONSOLE}/functions/${name}/test`);
  await page.getByRole("button", { name: "Run", exact: true }).click();
}

export const answered = (page, text) => page.locator(".answer", { hasText: text }).waitFor();

// What axe finds wrong with the page as it stands.
export async function violations(page, where) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run(
    // The editor's scroller has no focus of its own: the text in it, which scrolls it, has.
    { include: document, exclude: [{ fromShadowDom: [".editor", ".cm-scroller"] }] },
    { resultTypes: ["violations"] },
  ));
  return violations.map((v) => `${where}: ${v.id}: ${v.help}: ${v.nodes.map((n) => n.html).join(" ").slice(0, 300)}`);
}

export const HOSTILE = `"><img src=x onerror="window.hit=1"><script>window.hit=1</script>\u202e'"`;

// A zip of one short file, stored as it is: what the API takes as code.
export function zipBase64(name, text) {
  const data = Buffer.from(text);
  const table = Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });
  let crc = -1;
  for (const b of data) crc = table[(crc ^ b) & 255] ^ (crc >>> 8);
  const head = Buffer.alloc(26);
  head.writeUInt16LE(20, 0);
  head.writeUInt32LE(~crc >>> 0, 10);
  head.writeUInt32LE(data.length, 14);
  head.writeUInt32LE(data.length, 18);
  head.writeUInt16LE(name.length, 22);
  const local = Buffer.concat([Buffer.from("PK\x03\x04"), head, Buffer.from(name), data]);
  const central = Buffer.concat([Buffer.from("PK\x01\x02"), Buffer.from([20, 0]), head, Buffer.alloc(14), Buffer.from(name)]);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(1, 4);
  end.writeUInt16LE(1, 6);
  end.writeUInt32LE(central.length, 8);
  end.writeUInt32LE(local.length, 12);
  return Buffer.concat([local, central, Buffer.from("PK\x05\x06"), end]).toString("base64");
}
