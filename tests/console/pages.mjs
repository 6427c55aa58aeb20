// What each page is for, done by mouse.
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answered, blank, check, drop, line, run, save, signIn, write } from "./steps.mjs";

const { CONSOLE } = process.env;
const MB = 1024 * 1024;

const confirm = async (page, open, act) => {
  await open.click();
  await page.getByRole("button", { name: act, exact: true }).click();
};

// A folder of this test's own.
async function inFolder(body) {
  const folder = mkdtempSync(join(tmpdir(), "perilune-console-"));
  try {
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function makeBucket(page, name) {
  await page.goto(`${CONSOLE}/buckets`);
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByRole("button", { name: "Make" }).click();
  await page.getByText("The bucket is empty").waitFor();
}

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

// What a shared link gives.
async function shared(page) {
  await page.getByText("Share", { exact: true }).click();
  await page.getByRole("button", { name: "Make a link" }).click();
  const r = await fetch(await page.getByLabel("Link to share").inputValue());
  check(r.status === 200, `the shared link answers ${r.status}`);
  return Buffer.from(await r.arrayBuffer());
}

export const cases = {
  // --- buckets -------------------------------------------------------------------------------

  async large_upload_in_parts({ page, expect }) {
    await signIn(page);
    await makeBucket(page, "large");
    const bytes = randomBytes(40 * MB);
    const sent = {};
    const fail = new Map([["2", 503], ["3", 400]]); // once each
    let hold = null; // the fifth part, until somebody has looked
    await page.route(/partNumber=/, async (route) => {
      const n = new URL(route.request().url()).searchParams.get("partNumber");
      sent[n] = (sent[n] ?? 0) + 1;
      const status = fail.get(n);
      fail.delete(n);
      if (status) return route.fulfill({ status, body: "" });
      if (n === "5" && sent[n] === 1) return void (hold = route);
      return route.continue();
    });
    expect(503, "PUT", /partNumber=2&|partNumber=2$/);
    expect(400, "PUT", /partNumber=3&|partNumber=3$/);
    const row = page.locator(".upload");
    await inFolder(async (folder) => {
      writeFileSync(join(folder, "large.bin"), bytes);
      await page.getByLabel("Files for large").setInputFiles(join(folder, "large.bin"));
      // A part that the server is too busy for is tried again by itself, one that it refuses is not.
      await row.getByText("Failed").waitFor();
      await row.getByRole("button", { name: "Try again" }).click();
      await page.waitForFunction(() => document.querySelector(".upload progress")?.value >= 32 * 1024 * 1024);
      await row.getByRole("button", { name: "Pause" }).click();
      await row.getByText("Paused at 80 %").waitFor();
      await hold.abort().catch(() => {});
      await row.getByRole("button", { name: "Go on" }).click();
      await row.getByText("Uploaded, 40.0 MiB").waitFor();
    });
    check(JSON.stringify(sent) === '{"1":1,"2":2,"3":2,"4":1,"5":2}', `parts were sent ${JSON.stringify(sent)}`);
    await page.unrouteAll();
    await page.getByRole("link", { name: "large.bin" }).click();
    check(sha256(await shared(page)) === sha256(bytes), "what was uploaded is not what is there");
  },

  async cancelled_upload_leaves_nothing({ page }) {
    await signIn(page);
    await makeBucket(page, "cancelled");
    let held = 0;
    await page.route(/partNumber=/, () => void held++);
    await inFolder(async (folder) => {
      writeFileSync(join(folder, "large.bin"), Buffer.alloc(20 * MB));
      await page.getByLabel("Files for cancelled").setInputFiles(join(folder, "large.bin"));
      await page.locator(".upload", { hasText: "0 %" }).waitFor();
      while (held < 3) await page.waitForTimeout(20);
      const aborted = page.waitForResponse((r) => r.request().method() === "DELETE" && r.status() === 204);
      await page.getByRole("button", { name: "Cancel large.bin" }).click();
      await aborted;
    });
    await page.locator(".upload").waitFor({ state: "detached" });
    await page.getByRole("link", { name: "Rules" }).click();
    await page.locator("section", { hasText: "Uploads that have not ended" }).getByText("None.").waitFor();
  },

  // As a desktop drops a folder: by the browser's own drag and drop.
  async folders_by_drop({ page, context }) {
    await signIn(page);
    await makeBucket(page, "folders");
    await inFolder(async (folder) => {
      mkdirSync(join(folder, "album/deep"), { recursive: true });
      for (const [at, text] of [["album/one.txt", "one"], ["album/deep/two.txt", "two"]]) writeFileSync(join(folder, at), text);
      const box = await page.locator(".drop").boundingBox();
      const cdp = await context.newCDPSession(page);
      const data = { items: [], files: [join(folder, "album")], dragOperationsMask: 1 };
      for (const type of ["dragEnter", "dragOver", "drop"])
        await cdp.send("Input.dispatchDragEvent", { type, x: box.x + 40, y: box.y + 20, data });
      await page.locator(".upload", { hasText: "album/deep/two.txt" }).getByText("Uploaded").waitFor();
      await page.locator(".upload", { hasText: "album/one.txt" }).getByText("Uploaded").waitFor();
    });
    await page.getByRole("link", { name: "album/" }).click();
    await page.getByRole("link", { name: "deep/" }).click();
    await page.getByRole("link", { name: "two.txt" }).click();
    await page.locator("pre.preview", { hasText: "two" }).waitFor();
  },

  async bucket_rules_and_notifications({ page }) {
    await signIn(page);
    await blank(page, "notified");
    await makeBucket(page, "notifying");
    await page.getByRole("link", { name: "Notifications" }).click();
    await page.getByLabel("Function", { exact: true }).fill("notified");
    await page.getByLabel("Only keys that end in").fill(".txt");
    await page.getByRole("button", { name: "Add it" }).click();
    await page.locator(".flow li", { hasText: "notified" }).getByText("ending in .txt").waitFor();
    await page.goto(`${CONSOLE}/functions/notified/logs`);
    await drop(page, page.locator(".drop"), [{ name: "a.txt", type: "text/plain", base64: "aGVsbG8=" }]);
    await line(page, "REPORT").waitFor();
    await page.goto(`${CONSOLE}/buckets/notifying/notifications`);
    await confirm(page, page.getByRole("button", { name: "Remove" }), "Remove notified");
    await page.getByText("Nothing happens when an object comes or goes").waitFor();
    await page.getByRole("link", { name: "Rules" }).click();
    const section = (text) => page.locator("section", { has: page.getByRole("heading", { name: text }) });
    const rules = section("How long objects stay");
    await rules.getByText("Add a rule").click();
    await rules.getByLabel("Keys below").fill("tmp/");
    await rules.getByLabel("After days").fill("7");
    await rules.getByRole("button", { name: "Add the rule" }).click();
    await rules.getByText("keys below tmp/").waitFor();
    await rules.getByText("deleted after 7 days").waitFor();
    await confirm(page, rules.getByRole("button", { name: "Remove" }), "Remove the rule");
    await rules.getByText("Until somebody deletes them.").waitFor();
    const cors = section("Pages of other sites");
    await cors.getByText("Let a site in").click();
    await cors.getByLabel("Origins").fill("https://example.com");
    await cors.getByRole("button", { name: "Add it" }).click();
    await cors.getByText("https://example.com").waitFor();
    const policy = section("Policy");
    await policy.getByRole("button", { name: "Write a policy" }).click();
    await policy.getByRole("button", { name: "Save" }).click();
    await policy.getByText("arn:aws:s3:::notifying/public/*").waitFor();
    await page.reload();
    await policy.getByText("arn:aws:s3:::notifying/public/*").waitFor();
    await cors.getByText("https://example.com").waitFor();
  },

  // --- access --------------------------------------------------------------------------------

  async users_keys_and_the_simulator({ page, context }) {
    await signIn(page);
    await page.getByRole("link", { name: "Access" }).click();
    await page.getByText("There is no user yet").waitFor();
    await page.getByLabel("Name", { exact: true }).fill("ada");
    await page.getByRole("button", { name: "Make" }).click();
    await page.getByRole("heading", { name: "ada" }).waitFor();
    await page.locator("summary", { hasText: "Attach a policy" }).click();
    await page.getByLabel("Policy", { exact: true }).selectOption({ label: "AmazonS3ReadOnlyAccess" });
    await page.getByRole("button", { name: "Attach it" }).click();
    await page.getByRole("link", { name: "AmazonS3ReadOnlyAccess" }).waitFor();
    await page.getByRole("button", { name: "Make a key" }).click();
    const told = await page.locator("section[aria-label='The new key'] pre").textContent();
    const [, id, secret] = /aws_access_key_id = (\S+)\naws_secret_access_key = (\S+)/.exec(told);
    await page.getByRole("button", { name: "I have it" }).click();
    await page.reload();
    await page.getByRole("cell", { name: id }).waitFor();
    check(!(await page.content()).includes(secret), "the secret is shown a second time");
    // The key signs in, and may what the policy says.
    const other = await (await context.browser().newContext()).newPage();
    await other.goto(CONSOLE);
    await other.getByLabel("Access key ID").fill(id);
    await other.getByLabel("Secret access key").fill(secret);
    await other.getByRole("button", { name: "Sign in" }).click();
    await other.getByRole("link", { name: "Buckets" }).click();
    await other.getByRole("link", { name: "mouse-in" }).waitFor();
    await other.getByRole("link", { name: "Access" }).click();
    await other.getByText("iam:ListUsers").first().waitFor();
    await other.context().close();
    // Without asking for real.
    await page.getByRole("link", { name: "Try what it may do" }).click();
    await page.getByLabel("Actions").fill("s3:GetObject s3:PutObject");
    await page.getByLabel("Resources").fill("arn:aws:s3:::mouse-in/cat.png");
    await page.getByRole("button", { name: "Try it" }).click();
    await page.getByRole("row", { name: /^allowed s3:GetObject.*AmazonS3ReadOnlyAccess/ }).waitFor();
    await page.getByRole("row", { name: /^not allowed by any s3:PutObject/ }).waitFor();
    await page.goto(`${CONSOLE}/access/users/ada`);
    await page.getByRole("button", { name: "Switch off" }).click();
    await page.getByRole("cell", { name: "Off" }).waitFor();
    await page.goto(`${CONSOLE}/access/sessions`);
    await page.getByText("this one").waitFor();
    await page.goto(`${CONSOLE}/access/users/ada`);
    await confirm(page, page.getByRole("button", { name: "Delete the user" }), "Delete ada");
    await page.getByText("There is no user yet").waitFor();
  },

  async roles_and_policies({ page }) {
    await signIn(page);
    await page.goto(`${CONSOLE}/access/policies`);
    await page.getByLabel("Name", { exact: true }).fill("readers");
    await page.getByRole("button", { name: "Make" }).click();
    await page.getByText("arn:aws:s3:::BUCKET/*").waitFor();
    await page.getByRole("button", { name: "Edit" }).click();
    await page.getByLabel("The policy readers, JSON").fill(
      '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::mouse-in/*"}]}',
    );
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("arn:aws:s3:::mouse-in/*").waitFor();
    await page.goto(`${CONSOLE}/access/roles`);
    await page.getByLabel("Name", { exact: true }).fill("reader");
    await page.getByRole("button", { name: "Make" }).click();
    await page.getByText("lambda.amazonaws.com").waitFor();
    await page.locator("summary", { hasText: "Attach a policy" }).click();
    await page.getByLabel("Policy", { exact: true }).selectOption({ label: "readers" });
    await page.getByRole("button", { name: "Attach it" }).click();
    await page.getByRole("link", { name: "readers" }).waitFor();
    await page.getByRole("button", { name: "Edit who may take it on" }).click();
    await page.getByLabel("The trust policy, JSON").fill("{ no JSON");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("It is no JSON").waitFor();
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.locator("summary", { hasText: "Allow something" }).click();
    await page.getByLabel("Actions").fill("kv:Nothing perilune:KvRead");
    await page.getByLabel("Resource").fill("*");
    await page.getByRole("button", { name: "Allow it" }).click();
    await page.getByRole("cell", { name: "perilune:KvRead" }).waitFor();
    await page.getByRole("link", { name: "readers" }).click();
    await page.getByRole("link", { name: "reader", exact: true }).waitFor();
    await confirm(page, page.getByRole("button", { name: "Delete the policy" }), "Delete readers");
    await page.getByText("Deleted readers.").waitFor();
    await page.goto(`${CONSOLE}/access/roles/reader`);
    await confirm(page, page.getByRole("button", { name: "Delete the role" }), "Delete reader");
    await page.getByText("Deleted reader.").waitFor();
  },

  // --- functions -----------------------------------------------------------------------------

  async versions_and_aliases({ page }) {
    await signIn(page);
    await blank(page, "versioned");
    for (const n of ["one", "two"]) {
      await write(page, `return { main = function() return "${n}" end }\n`);
      await save(page);
      await page.locator(".cm-content", { hasText: `"${n}"` }).waitFor();
    }
    await page.getByRole("link", { name: "Versions" }).click();
    await page.getByRole("row", { name: /^2 as live/ }).waitFor();
    await page.getByRole("button", { name: "Make an alias" }).click();
    const form = page.locator("form.panel");
    await form.getByLabel("Name").fill("live");
    await form.getByLabel("Version", { exact: true }).selectOption("1");
    await form.getByLabel("A share goes to").selectOption("2");
    await form.getByLabel("Its share, %").fill("25");
    await form.getByRole("button", { name: "Make it" }).click();
    await page.getByRole("row", { name: /^live version 1, 25 % to 2/ }).waitFor();
    await page.getByRole("button", { name: "Move live" }).click();
    await form.getByLabel("Version", { exact: true }).selectOption("2");
    await form.getByLabel("A share goes to").selectOption("");
    await form.getByRole("button", { name: "Save" }).click();
    await page.getByRole("row", { name: /^live version 2 Move/ }).waitFor();
    await confirm(page, page.getByRole("row", { name: /^1 / }).getByRole("button", { name: "Delete" }), "Delete version 1");
    await page.getByRole("row", { name: /^1 / }).waitFor({ state: "detached" });
    await confirm(page, page.getByRole("row", { name: /^live/ }).getByRole("button", { name: "Delete" }), "Delete live");
    await page.getByText("None. An alias is a name").waitFor();
  },

  async schedules_and_urls({ page }) {
    await signIn(page);
    await blank(page, "clocked");
    await page.getByRole("link", { name: "Triggers" }).click();
    await page.getByRole("button", { name: "Add a schedule" }).click();
    await page.getByRole("button", { name: "at nine on working days" }).click();
    await page.getByLabel("Time zone").fill("Europe/Paris");
    await page.getByRole("button", { name: "Add the schedule" }).click();
    const row = page.locator(".flow li", { hasText: "clocked-at-1" });
    await row.getByText("Europe/Paris").waitFor();
    check((await row.locator("time").getAttribute("datetime")) > new Date().toISOString(), "the next run is no time to come");
    await page.getByRole("button", { name: "Add a URL" }).click();
    await page.getByRole("button", { name: "Add the URL" }).click();
    const url = await page.locator("a", { hasText: "/url/clocked/" }).getAttribute("href");
    check((await fetch(url)).status === 200, "the URL does not answer anybody");
    await page.getByRole("button", { name: "Change" }).click();
    await page.getByLabel("Signed requests only").check();
    await page.getByRole("button", { name: "Save the URL" }).click();
    await page.locator(".flow").getByText("signed requests").waitFor();
    check((await fetch(url)).status === 403, "the URL answers anybody still");
    await confirm(page, row.getByRole("button", { name: "Remove" }), "Remove clocked-at-1");
    await row.waitFor({ state: "detached" });
  },

  async settings_of_a_function({ page }) {
    await signIn(page);
    await blank(page, "settled");
    await write(page, 'return { main = function() return os.getenv("COLOUR") end }\n');
    await save(page);
    const section = (text) => page.locator("section", { has: page.getByRole("heading", { name: text, exact: true }) });
    const saved = async (where) => {
      await where.getByRole("button", { name: "Save", exact: true }).click();
      await page.locator(".said", { hasText: "Saved" }).waitFor();
      await page.locator(".said p").waitFor({ state: "detached", timeout: 30_000 });
    };
    await page.getByRole("link", { name: "Settings" }).last().click();
    await page.getByLabel("Memory, MB").fill("96");
    await page.getByRole("button", { name: "Add a variable" }).click();
    await page.getByLabel("Variable 1").fill("COLOUR");
    await page.getByLabel("Value 1").first().fill("blue");
    await saved(page.locator("main form").first());
    await section("How many at once").getByLabel("Runs at the same time").fill("3");
    await saved(section("How many at once"));
    await section("Events").getByLabel("Tries after the first").fill("1");
    await saved(section("Events"));
    await section("Log").getByLabel("Lines are kept").selectOption("7");
    await saved(section("Log"));
    await section("Tags").getByRole("button", { name: "Add a tag" }).click();
    await section("Tags").getByLabel("Tag 1").fill("team");
    await section("Tags").getByLabel("Value 1").fill("moon");
    await saved(section("Tags"));
    await page.reload();
    const value = async (locator, want) => {
      await locator.waitFor();
      check((await locator.inputValue()) === want, `${await locator.inputValue()} is not ${want}`);
    };
    await value(page.getByLabel("Memory, MB"), "96");
    await value(section("How many at once").getByLabel("Runs at the same time"), "3");
    await value(section("Events").getByLabel("Tries after the first"), "1");
    await value(section("Log").getByLabel("Lines are kept"), "7");
    await value(section("Tags").getByLabel("Value 1"), "moon");
    await run(page, "settled");
    await answered(page, "blue");
    await page.getByRole("link", { name: "Metrics" }).click();
    await page.locator(".figure", { hasText: "this past hour" }).getByText("1", { exact: true }).waitFor();
  },

  async editor_completes({ page }) {
    await signIn(page);
    await blank(page, "completed");
    await write(page, 'local store = kv.open("x")\ns3.');
    await page.keyboard.type("he");
    await page.locator(".cm-tooltip-autocomplete li", { hasText: "head(bucket, key" }).waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("Enter");
    await page.keyboard.type("store:in");
    await page.locator(".cm-tooltip-autocomplete li", { hasText: "incr(key, n?" }).click();
    await page.locator(".cm-line", { hasText: "store:incr" }).waitFor();
  },

  async settings_of_the_server({ page }) {
    await signIn(page);
    await page.getByRole("link", { name: "Settings" }).click();
    await page.locator("li", { hasText: "seccomp" }).getByText("in force").waitFor();
    await page.getByRole("row", { name: /--max-runners 256/ }).waitFor();
    await page.getByRole("row", { name: /--runs-age 7 days/ }).waitFor();
    const taken = page.waitForEvent("download");
    await page.getByRole("button", { name: "Take a backup" }).click();
    check(/^perilune-.*\.backup$/.test((await taken).suggestedFilename()), "the backup has no name");
    await page.getByText(/^The backup is here: \d/).waitFor();
    await page.getByRole("button", { name: "Look through everything" }).click();
    await page.getByText("Everything is there").waitFor();
  },
};
