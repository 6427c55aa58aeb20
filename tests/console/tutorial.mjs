// The tutorial by every hand, and what must hold on every page.
import { HOSTILE, answered, blank, check, drop, line, open, overflow, picture, run, save, signIn, tabTo, tutorialByMouse, violations, write } from "./steps.mjs";

const { CONSOLE, LINK, PICTURE, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = process.env;

const TABS = ["code", "test", "runs", "logs", "metrics", "triggers", "permissions", "versions", "settings"];
const PLACES = [
  "/buckets/mouse-in/notifications", "/buckets/mouse-in/rules", "/access", "/access/roles", "/access/roles/mouse-role", "/access/policies",
  "/access/policies/arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FAmazonS3ReadOnlyAccess", "/access/simulator?role=mouse-role", "/access/sessions", "/settings",
  "/runs", "/queue", "/schedules", "/schedules/new", "/kv", "/secrets", "/usage",
];

// Signs in, and gives what goes to a page and asks axe about it.
async function accessible(page) {
  await signIn(page);
  return async (path, before) => {
    await open(page, path);
    await before?.();
    const found = await violations(page, path);
    check(!found.length, found.join("; "));
  };
}

export const cases = {
  async tutorial_by_mouse({ page }) {
    await tutorialByMouse(page, "mouse");
  },

  async link_works_once({ page, expect }) {
    expect(403, "POST", "/v1/session");
    await page.goto(`${CONSOLE}/#link=${LINK}`);
    await page.getByRole("alert").getByText("You are not signed in.").waitFor();
  },

  async tutorial_by_keyboard({ page }) {
    const key = page.keyboard;
    const file = { name: "dog.png", mimeType: "image/png", buffer: Buffer.from(PICTURE, "base64") };
    page.on("filechooser", (chooser) => void chooser.setFiles([file]));
    await page.goto(CONSOLE);
    await tabTo(page, "Access key ID");
    await key.type(AWS_ACCESS_KEY_ID);
    await key.press("Tab");
    await key.type(AWS_SECRET_ACCESS_KEY);
    await key.press("Enter");
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await key.press("Control+k");
    await page.getByRole("combobox", { name: "Go to" }).waitFor();
    await key.type("create");
    await key.press("Enter");
    await page.getByRole("link", { name: /when a file is uploaded/ }).waitFor();
    await tabTo(page, "Run a function when a file is uploaded");
    await key.press("Enter");
    await page.getByLabel("Bucket to watch").waitFor();
    await tabTo(page, "Bucket to watch");
    await key.press("Control+a");
    await key.type("keyboard-in");
    await tabTo(page, "Name of the function");
    await key.press("Control+a");
    await key.type("keyboard");
    await key.press("Enter");
    await page.getByRole("heading", { name: "This will be created" }).waitFor();
    for (let i = 0; i < 20 && !(await page.evaluate(() => document.activeElement.textContent === "Create")); i++)
      await key.press("Tab");
    await key.press("Enter");
    await page.getByText("keyboard is live.").waitFor();
    await tabTo(page, "Choose files");
    await key.press("Enter");
    await line(page, '"key":"dog.png"').waitFor();
  },

  async tutorial_at_360_pixels({ page }) {
    await page.setViewportSize({ width: 360, height: 700 });
    await signIn(page);
    await page.getByRole("button", { name: "Menu" }).click();
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Create" }).click();
    await page.getByRole("link", { name: /when a file is uploaded/ }).click();
    await page.getByLabel("Bucket to watch").fill("narrow-in");
    await page.getByLabel("Name of the function").fill("narrow");
    check((await overflow(page)) <= 0, "the form is wider than the screen");
    await page.getByRole("button", { name: "Preview" }).click();
    await page.locator("section.panel").getByRole("button", { name: "Create" }).click();
    await page.getByText("narrow is live.").waitFor();
    await drop(page, page.locator(".drop"), [picture("fish.png")]);
    await line(page, '"key":"fish.png"').waitFor();
    for (const view of TABS) {
      await page.goto(`${CONSOLE}/functions/narrow/${view}`);
      await page.locator("nav.tabs a[aria-current]").waitFor();
      await page.waitForLoadState("load");
      check((await overflow(page)) <= 0, `${view} is wider than the screen`);
    }
    await page.goto(`${CONSOLE}/buckets/narrow-in`);
    await page.getByRole("link", { name: "fish.png" }).waitFor();
    check((await overflow(page)) <= 0, "the bucket is wider than the screen");
    for (const path of PLACES) {
      await open(page, path);
      check((await overflow(page)) <= 0, `${path} is wider than the screen`);
    }
  },

  async loaded_again_without_the_form({ page }) {
    await signIn(page);
    let arrived;
    const asked = new Promise((resolve) => (arrived = resolve));
    await page.route("**/v1/session", arrived);
    const held = async (route) => {
      await page.getByText("Loading…").waitFor();
      check(!(await page.getByRole("button", { name: /Sign/ }).count()), "the form to sign in is shown");
      await route.continue();
    };
    await Promise.all([open(page, "/functions"), asked.then(held)]);
  },

  async edit_save_run_and_back({ page }) {
    await signIn(page);
    await blank(page, "edited");
    await write(page, 'return { main = function() return { answer = "first" } end }\n');
    await save(page);
    await run(page, "edited");
    await answered(page, "first");
    await page.goto(`${CONSOLE}/functions/edited/code`);
    await page.locator(".cm-content").waitFor();
    await write(page, "return {\n  main = function()\n    return ][\n  end\n}\n");
    await page.getByText("handler.lua, line 3").waitFor();
    await page.locator(".cm-lint-marker-error").waitFor();
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText("It does not compile").waitFor();
    await run(page, "edited");
    await answered(page, "first");
    await page.goto(`${CONSOLE}/functions/edited/code`);
    await page.locator(".cm-content").waitFor();
    await write(page, 'return { main = function() return { answer = "second" } end }\n');
    await page.keyboard.press("Control+s");
    await page.getByText("Saved and live.").waitFor();
    await run(page, "edited");
    await answered(page, "second");
    await page.goto(`${CONSOLE}/functions/edited/code`);
    await page.getByRole("row", { name: /^1 / }).getByRole("link", { name: "Compare" }).click();
    await page.locator(".cm-changedLine").first().waitFor();
    await page.getByRole("button", { name: "Roll back to 1" }).click();
    await page.getByRole("button", { name: "Make 1 live" }).click();
    await page.getByText("Version 1 is live again.").waitFor();
    await run(page, "edited");
    await answered(page, "first");
  },

  async denial_one_click_success({ page }) {
    await signIn(page);
    await blank(page, "denied");
    await write(page, 'return { main = function(e) local o, err = s3.get("mouse-in", "cat.png") if not o then error(err) end return { size = #o.body } end }\n');
    await save(page);
    await run(page, "denied");
    await page.getByText("Its role lacks a permission.").waitFor();
    await page.getByRole("button", { name: "Grant s3:GetObject" }).click();
    await answered(page, '"size"');
    await page.goto(`${CONSOLE}/functions/denied/permissions`);
    await page.getByText("arn:aws:s3:::mouse-in/cat.png").first().waitFor();
  },

  async hostile_names_are_inert({ page }) {
    await signIn(page);
    await page.goto(`${CONSOLE}/buckets/mouse-in`);
    await drop(page, page.locator(".drop"), [
      { name: `${HOSTILE}.html`, type: "text/html", base64: Buffer.from(`<script>window.hit=1</script>${HOSTILE}`).toString("base64") },
    ]);
    await page.locator("td a", { hasText: "onerror" }).click(); // its </script> makes a folder of it
    await page.locator("td a", { hasText: ".html" }).click();
    await page.locator("pre.preview", { hasText: "<script>" }).waitFor();
    await page.goto(`${CONSOLE}/functions/mouse/logs`);
    await line(page, "onerror").first().click();
    await page.locator("aside.panel pre", { hasText: "onerror" }).waitFor();
    await page.goto(`${CONSOLE}/functions/${encodeURIComponent(HOSTILE)}/logs`);
    await page.getByRole("alert").first().waitFor();
    check(await page.evaluate(() => !window.hit && !document.querySelector("main script, main img")), "markup came to life");
  },

  async buckets_by_mouse({ page }) {
    await signIn(page);
    await page.goto(`${CONSOLE}/buckets`);
    await page.getByLabel("Name", { exact: true }).fill("by-mouse");
    await page.getByRole("button", { name: "Make" }).click();
    await page.getByText("The bucket is empty").waitFor();
    await drop(page, page.locator(".drop"), [picture("moon.png"), { name: "a b+c%.txt", type: "text/plain", base64: "aGVsbG8=" }]);
    await page.getByRole("link", { name: "moon.png" }).click();
    await page.locator(".panel img").waitFor();
    await page.getByText("Share", { exact: true }).click();
    await page.getByRole("button", { name: "Make a link" }).click();
    const url = await page.getByLabel("Link to share").inputValue();
    check((await fetch(url)).status === 200, "the shared link does not answer");
    await page.getByRole("link", { name: "a b+c%.txt" }).click();
    await page.locator("pre.preview", { hasText: "hello" }).waitFor();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("button", { name: "Delete it" }).click();
    await page.getByRole("link", { name: "a b+c%.txt" }).waitFor({ state: "detached" });
  },

  // Pages that functions and objects serve are other origins: whatever they try, nothing comes back.
  async served_pages_reach_nothing({ page, context }) {
    await signIn(page);
    await blank(page, "served");
    await write(page, 'return { main = function() return { statusCode = 200, headers = { ["content-type"] = "text/html" }, body = "<h1>served</h1>" } end }\n');
    await save(page);
    await page.goto(`${CONSOLE}/functions/served/triggers`);
    await page.getByRole("button", { name: "Add a URL" }).click();
    await page.getByRole("button", { name: "Add the URL" }).click();
    const url = await page.locator("a", { hasText: "/url/served/" }).getAttribute("href");
    await page.goto(`${CONSOLE}/buckets/mouse-in?prefix=served/`);
    await drop(page, page.locator(".drop"), [{ name: "page.html", type: "text/html", base64: Buffer.from("<h1>object</h1>").toString("base64") }]);
    await page.getByRole("link", { name: "page.html" }).click();
    await page.getByText("Share", { exact: true }).click();
    await page.getByRole("button", { name: "Make a link" }).click();
    const object = await page.getByLabel("Link to share").inputValue();
    for (const from of [url, object]) {
      const other = await context.newPage();
      await other.goto(from);
      await other.locator("h1").waitFor();
      const got = await other.evaluate(async (at) => {
        const wrong = [];
        for (const [path, init] of [["/v1/session", {}], ["/v1/status", { headers: { authorization: "Bearer x" } }], ["/", {}], ["/v1/session", { method: "POST", body: "{}" }]])
          await fetch(at + path, init).then((r) => wrong.push(`fetch reads ${path}: ${r.status}`), () => {});
        const opaque = await fetch(`${at}/v1/session`, { mode: "no-cors", credentials: "include" }).then((r) => r.type, () => "none");
        if (!["opaque", "none"].includes(opaque)) wrong.push(`no-cors is ${opaque}`);
        if (localStorage.getItem("perilune.session") !== null || document.cookie) wrong.push("storage or cookies are shared");
        const frame = document.body.appendChild(document.createElement("iframe"));
        await new Promise((go) => ((frame.onload = go), (frame.src = at), setTimeout(go, 2000)));
        try {
          if (frame.contentDocument?.body?.childElementCount) wrong.push("a frame can be read");
          void frame.contentWindow.localStorage;
          wrong.push("a frame's storage can be read");
        } catch {
          // another origin's, as it should be
        }
        return wrong;
      }, CONSOLE);
      check(!got.length, `${from}: ${got.join("; ")}`);
      const framed = other.frames().find((f) => f !== other.mainFrame());
      check(!(await framed.locator("#app").count()), "the console can be framed");
      const posted = other.waitForResponse((r) => r.url().startsWith(CONSOLE) && r.request().method() === "POST");
      await other.evaluate((at) => {
        const form = document.body.appendChild(document.createElement("form"));
        form.method = "POST";
        form.action = `${at}/v1/session`;
        form.submit();
      }, CONSOLE);
      check((await posted).status() === 403, "a form's post is taken");
      await other.close();
    }
  },

  async pages_are_accessible({ page }) {
    const ask = await accessible(page);
    await ask("/");
    for (const path of ["/create", "/create/s3-upload", "/functions", "/buckets", "/buckets/mouse-in?object=cat.png", ...PLACES]) await ask(path);
  },

  async function_pages_are_accessible({ page }) {
    const ask = await accessible(page);
    for (const tab of TABS) await ask(`/functions/mouse/${tab}`);
    await page.emulateMedia({ colorScheme: "dark" });
    await ask("/functions/mouse/logs");
    await ask("/functions/mouse/logs", async () => {
      await page.keyboard.press("Control+k");
      await page.keyboard.type("mouse");
      await page.getByRole("option", { name: "mouse" }).first().waitFor();
    });
  },

  async sign_out_ends_it({ page }) {
    await signIn(page);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Access key ID").waitFor();
    check(await page.evaluate(() => localStorage.getItem("perilune.session") === null), "the token stays");
  },
};
