// What becomes of events, as a person sees it: runs, the queue, schedules, and what they used.
import { readFileSync } from "node:fs";

// A call with the page's own session.
const api = (page, method, path, body, headers = {}) =>
  page.evaluate(
    async ([method, path, body, headers]) => {
      const authorization = `Bearer ${localStorage.getItem("perilune.session")}`;
      const r = await fetch(path, { method, headers: { authorization, ...headers }, body: body ?? undefined });
      if (!r.ok) throw new Error(`${method} ${path}: ${r.status} ${await r.text()}`);
      const text = await r.text();
      return text ? JSON.parse(text) : null;
    },
    [method, path, body, headers],
  );

const send = (page, name, event) =>
  api(page, "POST", `/v1/aws/lambda/2015-03-31/functions/${name}/invocations`, JSON.stringify(event), { "x-amz-invocation-type": "Event" });

// The ARN of a role that the scheduler may assume; made when it is not there yet.
async function scheduling(page, name) {
  const trust = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"scheduler.amazonaws.com"},"Action":"sts:AssumeRole"}]}';
  const form = { Action: "CreateRole", Version: "2010-05-08", RoleName: name, AssumeRolePolicyDocument: trust };
  await page.evaluate(
    (body) => fetch("/v1/aws/iam/", { method: "POST", headers: { authorization: `Bearer ${localStorage.getItem("perilune.session")}`, "content-type": "application/x-www-form-urlencoded" }, body }),
    new URLSearchParams(form).toString(),
  );
  return `arn:aws:iam::000000000000:role/${name}`;
}

// For pictures of the pages, after the cases: something on each of them.
export const EVENT_VIEWS = [
  "/runs", "/runs?state=done", "/functions/replayed/runs", "/queue?state=dead", "/queue?state=queued", "/schedules", "/schedules/new",
  "/schedules/schedule/nightly", "/kv", "/kv/shown", "/kv/shown?key=order", "/kv/shown?key=", "/secrets", "/usage", "/usage?by=day",
];
export async function prepare(page) {
  for (let n = 1; n <= 3; n++) await send(page, "replayed", { bad: `order ${n} is refused`, items: [{ id: n, count: 2 }] });
  await send(page, "replayed", { order: 7 });
  await api(page, "PUT", "/v1/kv/shown/order", '{"id":7,"items":[{"sku":"moon-1","count":2}],"paid":true}');
  await api(page, "PUT", "/v1/kv/shown/session?ttl=3600", "c2Vzc2lvbg");
  await api(page, "PUT", "/v1/secrets/api-token", "not shown");
  const RoleArn = await scheduling(page, "nightly-schedule");
  const made = { ScheduleExpression: "cron(30 2 * * ? *)", ScheduleExpressionTimezone: "Europe/Paris", FlexibleTimeWindow: { Mode: "OFF" }, Description: "Cleans up what the day has left.", Target: { Arn: "arn:aws:lambda:us-east-1:000000000000:function:replayed", RoleArn } };
  await api(page, "POST", "/v1/aws/scheduler/schedules/nightly", JSON.stringify(made)).catch(() => {}); // it is there already
}

export default function cases({ CONSOLE, HOSTILE, violations, check, open, signIn, blank, write, save, tabTo, overflow }) {
  // A function that fails as long as the event says so; its events are tried once.
  async function failing(page, name) {
    await blank(page, name);
    await write(page, 'return { main = function(e) if e.bad then error({ errorType = "OrderRejected", message = e.bad }) end return { got = e } end }\n');
    await save(page);
    await api(page, "PUT", `/v1/aws/lambda/2019-09-25/functions/${name}/event-invoke-config`, '{"MaximumRetryAttempts":0}');
  }

  async function until(what, ask) {
    for (const end = Date.now() + 30_000; Date.now() < end; await new Promise((go) => setTimeout(go, 200))) if (await ask()) return;
    throw new Error(`never: ${what}`);
  }

  const dead = async (page, name) => (await api(page, "GET", `/v1/dead?function=${name}`)).dead;
  const row = (page, text) => page.locator("tbody tr", { hasText: text });

  return {
    async runs_replayed_and_edited({ page }) {
      await signIn(page);
      await failing(page, "replayed");
      await send(page, "replayed", { n: 1, big: 1 });
      await page.goto(`${CONSOLE}/functions/replayed/runs`);
      await row(page, "invoke").getByText("done").waitFor();
      await row(page, "invoke").getByRole("link").first().click();
      await page.locator("pre.event", { hasText: '"n": 1' }).waitFor();
      await page.locator("pre.answer", { hasText: '"got"' }).waitFor();
      await page.getByRole("cell", { name: "an answer" }).waitFor();
      const first = page.url();
      await page.getByRole("button", { name: "Replay", exact: true }).click();
      await page.waitForURL((u) => u.href !== first);
      await page.locator(".tag", { hasText: "done" }).waitFor();
      await page.getByText("Replay of").waitFor();
      const again = page.url();
      await page.getByRole("button", { name: "Replay edited…" }).click();
      const text = page.getByLabel("Event to send, JSON");
      await text.fill('{"n": 12345678901234567890,\n ]');
      await page.getByText(/No JSON: .*line 2/).waitFor();
      check(await page.getByRole("button", { name: "Send", exact: true }).isDisabled(), "what is no JSON can be sent");
      await text.fill('{"n": 12345678901234567890, "bad": "not this one"}');
      await page.getByText("Valid JSON.").waitFor();
      await page.getByRole("button", { name: "Send", exact: true }).click();
      await page.waitForURL((u) => u.href !== again);
      await page.locator(".tag", { hasText: "dead" }).waitFor();
      await page.locator("pre.event", { hasText: "12345678901234567890" }).waitFor();
      await page.locator("pre", { hasText: "not this one" }).last().waitFor();
      await page.getByRole("link", { name: "Log lines" }).click();
      await page.locator(".line .message", { hasText: "OrderRejected" }).first().waitFor();
    },

    async dead_events_one_and_many({ page }) {
      await signIn(page);
      await failing(page, "rejects");
      for (let n = 1; n <= 5; n++) await send(page, "rejects", { bad: `order ${n}` });
      await until("five are dead", async () => (await dead(page, "rejects")).length === 5);
      await page.goto(`${CONSOLE}/functions/rejects/code`);
      await page.locator(".cm-content").waitFor();
      await write(page, 'return { main = function(e) return { fixed = e.bad } end }\n');
      await save(page);
      await page.goto(`${CONSOLE}/queue?state=dead&function=rejects`);
      await row(page, "rejects").first().waitFor();
      check((await row(page, "rejects").count()) === 5, "not all of the dead are listed");
      await row(page, "rejects").first().getByRole("checkbox").check();
      await page.getByRole("button", { name: "Re-drive 1 event" }).click();
      await page.getByText("1 event back in the queue.").waitFor();
      await until("four are dead", async () => (await row(page, "rejects").count()) === 4);
      for (const i of [0, 1]) await row(page, "rejects").nth(i).getByRole("checkbox").check();
      await page.getByRole("button", { name: "Re-drive 2 events" }).click();
      await page.getByText("2 events back in the queue.").waitFor();
      await until("two are dead", async () => (await row(page, "rejects").count()) === 2);
      await row(page, "rejects").first().getByRole("checkbox").check();
      await page.getByRole("button", { name: "Drop 1 event…" }).click();
      await page.getByRole("button", { name: "Drop 1 event of rejects" }).click();
      await until("one is dead", async () => (await row(page, "rejects").count()) === 1);
      await row(page, "rejects").getByRole("link").first().click();
      await page.getByRole("button", { name: "Re-drive", exact: true }).click();
      await page.locator(".tag", { hasText: "done" }).waitFor();
      await page.locator("pre.answer", { hasText: '"fixed"' }).waitFor();
      check(!(await dead(page, "rejects")).length, "some are still dead");
      const { runs } = await api(page, "GET", "/v1/runs?function=rejects&state=done");
      check(runs.filter((r) => r.source === "invoke").length === 4, "four of five ran after all");
    },

    async schedules_made_run_paused_changed({ page }) {
      await signIn(page);
      await failing(page, "timed");
      await page.goto(`${CONSOLE}/schedules`);
      await page.getByRole("link", { name: "New schedule" }).click();
      await page.getByLabel("Name", { exact: true }).fill("mornings");
      const when = page.getByLabel("When", { exact: true });
      await when.fill("cron(0 9 * * * *)");
      await page.getByText("ScheduleExpression is not valid").waitFor();
      await when.fill("cron(0 9 ? * MON-FRI *)");
      await page.getByLabel("Time zone").fill("Mars/Olympus");
      await page.getByText("There is no time zone Mars/Olympus").waitFor();
      await page.getByLabel("Time zone").fill("Asia/Tokyo");
      await page.locator("table.times tbody tr").nth(4).waitFor();
      await page.getByLabel("Function to call").fill("timed");
      await page.getByLabel("Event to send").fill('{"from":"console"}');
      await page.getByLabel("When its last run is still on its way").selectOption("skip");
      await page.getByRole("button", { name: "Make the schedule" }).click();
      await page.getByRole("heading", { name: "mornings" }).waitFor();
      const next = page.locator("table.times tbody tr");
      await next.nth(4).waitFor();
      check((await next.count()) === 5, "not five next runs");
      check(/9:00/.test(await next.first().locator("td").first().innerText()), "the zone's own clock says nine");
      const at = await next.first().locator("time").getAttribute("datetime");
      check(at.endsWith("T00:00:00.000Z"), `nine in Tokyo is midnight in UTC, not ${at}`);
      await page.getByRole("button", { name: "Run now: mornings" }).click();
      await row(page, "scheduler").getByText("done").waitFor();
      await page.getByRole("button", { name: "Pause mornings" }).click();
      await page.getByText("It is paused: nothing is due").waitFor();
      await page.goto(`${CONSOLE}/schedules`);
      await row(page, "mornings").getByText("paused").waitFor();
      await row(page, "mornings").getByRole("button", { name: "Resume mornings" }).click();
      await row(page, "mornings").getByText("on", { exact: true }).waitFor();
      await row(page, "mornings").getByRole("link", { name: "mornings" }).click();
      await page.getByText("Change it").click();
      await page.getByLabel("When", { exact: true }).fill("rate(2 hours)");
      await page.locator("form table.times tbody tr").nth(4).waitFor();
      await page.getByRole("button", { name: "Save the schedule" }).click();
      await page.locator("dd code", { hasText: "rate(2 hours)" }).waitFor();
      const kept = await api(page, "GET", "/v1/schedules/schedule/mornings");
      check(kept.overlap === "skip" && kept.missed === "once" && kept.timezone === "Asia/Tokyo", `policies and zone are not kept: ${JSON.stringify(kept)}`);
      const target = await api(page, "GET", "/v1/aws/scheduler/schedules/mornings");
      check(target.Target.Input === '{"from":"console"}', "the event is not kept");
      await page.getByRole("button", { name: "Delete…" }).click();
      await page.getByRole("button", { name: "Delete mornings" }).click();
      await page.getByRole("heading", { name: "Schedules" }).waitFor();
      check(!(await row(page, "mornings").count()), "it is still there");
    },

    async rules_beside_schedules({ page }) {
      await signIn(page);
      await failing(page, "ruled");
      const events = (op, body) => api(page, "POST", "/v1/aws/events/", JSON.stringify(body), { "x-amz-target": `AWSEvents.${op}`, "content-type": "application/x-amz-json-1.1" });
      await events("PutRule", { Name: "hourly", ScheduleExpression: "rate(1 hour)" });
      await page.goto(`${CONSOLE}/schedules`);
      await row(page, "hourly").getByText("nothing yet").waitFor();
      await row(page, "hourly").getByRole("link", { name: "hourly" }).click();
      await page.getByText("Change it").click();
      await page.getByLabel("Function to call").fill("ruled");
      await page.getByRole("button", { name: "Save the schedule" }).click();
      await page.getByRole("link", { name: "ruled", exact: true }).waitFor();
      await page.getByRole("button", { name: "Run now: hourly" }).click();
      await row(page, "events").getByText("done").waitFor(); // its policy lets the rule in
      await row(page, "events").getByRole("link").first().click();
      await page.locator("pre.event", { hasText: "Scheduled Event" }).waitFor();
      await page.getByText(":rule/hourly").first().waitFor();
    },

    async kv_browsed_and_edited({ page, expect }) {
      await signIn(page);
      for (let i = 0; i < 120; i++) await api(page, "PUT", `/v1/kv/orders/order-${String(i).padStart(3, "0")}`, JSON.stringify({ n: i }));
      await api(page, "PUT", "/v1/kv/orders/other%2Fkey", "plain");
      await page.goto(`${CONSOLE}/kv`);
      await page.getByRole("link", { name: "orders" }).click();
      await row(page, "order-099").waitFor();
      await page.getByRole("link", { name: "Next page" }).click();
      await row(page, "order-119").waitFor();
      await page.getByLabel("Keys that begin with").fill("order-04");
      await until("ten keys", async () => (await row(page, "order-04").count()) === 10 && (await page.locator("tbody tr").count()) === 10);
      await page.getByRole("link", { name: "order-042" }).click();
      const value = page.getByLabel("Value", { exact: true });
      await until("the value", async () => (await value.inputValue()) === '{"n":42}');
      await value.fill('{"n":43}');
      await page.getByLabel("Expires after, seconds").fill("3600");
      await page.getByRole("button", { name: "Save the value" }).click();
      await page.getByText(/expires /).waitFor();
      check((await api(page, "GET", "/v1/kv/orders/order-042")).n === 43, "it is not stored");
      await api(page, "PUT", "/v1/kv/orders/order-042", '{"n":44}'); // somebody else was faster
      expect(412, "PUT", /^\/v1\/kv\/orders\/order-042\?/);
      await value.fill('{"n":45}');
      await page.getByRole("button", { name: "Save the value" }).click();
      await page.getByText("It was not saved.").waitFor();
      await page.goto(`${CONSOLE}/kv/orders?prefix=other`);
      await page.getByRole("link", { name: "other/key" }).click();
      await until("the value", async () => (await value.inputValue()) === "plain");
      await page.getByRole("button", { name: "Delete…" }).click();
      await page.getByRole("button", { name: "Delete other/key" }).click();
      await page.getByText("No key begins so.").waitFor();
      await page.getByRole("link", { name: "New key" }).click();
      await page.getByLabel("Key", { exact: true }).fill("made here");
      await value.fill("yes");
      await page.getByRole("button", { name: "Save the value" }).click();
      await page.getByText("does not expire").waitFor();
      await page.goto(`${CONSOLE}/kv/orders?prefix=made`);
      await page.getByRole("link", { name: "made here" }).waitFor();
    },

    async secrets_set_rotated_deleted({ page }) {
      await signIn(page);
      await page.goto(`${CONSOLE}/secrets`);
      await page.getByLabel("Name", { exact: true }).fill("stripe-key");
      await page.getByLabel("Value", { exact: true }).fill("first");
      await page.getByRole("button", { name: "Set the secret" }).click();
      await row(page, "stripe-key").waitFor();
      await page.getByRole("button", { name: "Rotate stripe-key" }).click();
      check((await page.getByLabel("Value", { exact: true }).inputValue()) === "", "a value is shown");
      await page.getByLabel("Value", { exact: true }).fill("second");
      await page.getByRole("button", { name: "Rotate the secret" }).click();
      await page.getByText("stripe-key has its new value").waitFor();
      check(!/first|second/.test(await page.content()), "a value is on the page");
      await blank(page, "reader");
      await write(page, 'return { main = function() return #secrets.get("stripe-key") end }\n');
      await save(page);
      await page.goto(`${CONSOLE}/secrets`);
      await row(page, "stripe-key").getByRole("button", { name: "Delete…" }).click();
      await page.getByRole("button", { name: "Delete stripe-key" }).click();
      await row(page, "stripe-key").waitFor({ state: "detached" });
    },

    async usage_counted_and_downloaded({ page }) {
      await signIn(page);
      await failing(page, "used");
      for (let n = 0; n < 3; n++) await api(page, "POST", "/v1/aws/lambda/2015-03-31/functions/used/invocations", "{}");
      await until("it is counted", async () => (await api(page, "GET", "/v1/usage?function=used")).usage.some((r) => r.requests === 3));
      await page.goto(`${CONSOLE}/usage`);
      await row(page, "used").first().waitFor();
      check((await row(page, /^used/).locator("td").nth(1).innerText()) === "3", "three requests");
      await page.getByText("At AWS's list price").waitFor();
      const coming = page.waitForEvent("download");
      await page.getByRole("button", { name: "Download CSV" }).click();
      const file = await coming;
      const text = readFileSync(await file.path(), "utf8");
      check(text.startsWith("function,day,requests,") && /^used,\d{4}-\d\d-\d\d,3,0,/m.test(text), `the file is ${text}`);
      await page.getByLabel("One line for each").selectOption("day");
      await row(page, /^\d{4}-\d\d-\d\d/).first().waitFor();
      check(page.url().includes("by=day"), "the view has no address");
      await api(page, "DELETE", "/v1/aws/lambda/2015-03-31/functions/used");
      await page.goto(`${CONSOLE}/usage`);
      await row(page, /^used deleted/).waitFor();
      check((await row(page, /^used deleted/).getByRole("link").count()) === 0, "a link to what is gone");
    },

    async events_by_keyboard({ page }) {
      const key = page.keyboard;
      await signIn(page);
      await failing(page, "keyed");
      await send(page, "keyed", { bad: "once" });
      await until("it is dead", async () => (await dead(page, "keyed")).length === 1);
      await key.press("Control+k");
      await page.getByRole("combobox", { name: "Go to" }).waitFor();
      await key.type("queue");
      await key.press("Enter");
      await page.getByRole("heading", { name: "Queue" }).waitFor();
      await tabTo(page, "Dead");
      await key.press("Enter");
      await row(page, "keyed").waitFor();
      const box = row(page, "keyed").getByRole("checkbox");
      await tabTo(page, await box.getAttribute("aria-label"));
      await key.press("Space");
      check(await box.isChecked(), "the space bar chooses");
      await page.locator("main").focus();
      await tabTo(page, "Drop 1 event…");
      await key.press("Enter");
      await page.getByRole("dialog").waitFor();
      await tabTo(page, "Drop 1 event of keyed");
      await key.press("Enter");
      await row(page, "keyed").waitFor({ state: "detached" });
    },

    async hostile_events_are_inert({ page }) {
      await signIn(page);
      await failing(page, "inert");
      await send(page, "inert", { bad: HOSTILE, [HOSTILE]: HOSTILE });
      await send(page, "inert", { [HOSTILE]: HOSTILE });
      await api(page, "PUT", `/v1/kv/inert/${encodeURIComponent(HOSTILE)}`, HOSTILE);
      const RoleArn = await scheduling(page, "inert-schedule");
      await api(page, "POST", "/v1/aws/scheduler/schedules/inert", JSON.stringify({ ScheduleExpression: "rate(1 day)", Description: HOSTILE, FlexibleTimeWindow: { Mode: "OFF" }, Target: { Arn: "arn:aws:lambda:us-east-1:000000000000:function:inert", RoleArn, Input: JSON.stringify(HOSTILE) } }));
      await until("both are over", async () => (await dead(page, "inert")).length === 1 && (await api(page, "GET", "/v1/runs?function=inert&state=done")).runs.length === 1);
      const { runs } = await api(page, "GET", "/v1/runs?function=inert");
      for (const r of runs) {
        await page.goto(`${CONSOLE}/runs/${r.id}`);
        await page.locator("pre.event", { hasText: "onerror" }).waitFor();
      }
      for (const path of ["/runs", "/queue?state=dead", "/functions/inert/runs"]) {
        await page.goto(CONSOLE + path);
        await row(page, "OrderRejected").first().waitFor();
      }
      await page.goto(`${CONSOLE}/kv/inert`);
      await page.getByRole("link", { name: "onerror" }).click();
      await until("the value", async () => (await page.getByLabel("Value", { exact: true }).inputValue()).includes("onerror"));
      await page.goto(`${CONSOLE}/schedules/schedule/inert`);
      await page.locator("dd", { hasText: "onerror" }).waitFor();
      await page.getByText("Change it").click();
      await until("the event", async () => (await page.getByLabel("Event to send").inputValue()).includes("onerror"));
      check(await page.evaluate(() => !window.hit && !document.querySelector("main script, main img")), "markup came to life");
    },

    async event_pages_narrow_and_accessible({ page }) {
      await signIn(page);
      await failing(page, "narrow-events");
      await send(page, "narrow-events", { bad: "a".repeat(200) });
      await until("it is dead", async () => (await dead(page, "narrow-events")).length === 1);
      await api(page, "PUT", `/v1/kv/narrow/${"k".repeat(300)}`, "v".repeat(3000));
      await api(page, "PUT", `/v1/secrets/${"s".repeat(100)}`, "x");
      await api(page, "POST", "/v1/aws/events/", JSON.stringify({ Name: "r".repeat(64), ScheduleExpression: "cron(0/5 8-17 ? * MON-FRI *)" }), { "x-amz-target": "AWSEvents.PutRule", "content-type": "application/x-amz-json-1.1" });
      const [{ id }] = await dead(page, "narrow-events");
      const found = [];
      await page.setViewportSize({ width: 360, height: 700 });
      for (const path of ["/runs", `/runs/${id}`, "/functions/narrow-events/runs", "/queue?state=dead", "/queue?state=running", "/schedules", "/schedules/new", `/schedules/rule/${"r".repeat(64)}`, "/kv", "/kv/narrow", `/kv/narrow?key=${"k".repeat(300)}`, "/secrets", "/usage"]) {
        await open(page, path);
        if ((await overflow(page)) > 0) found.push(`${path} is wider than the screen`);
        for (const colorScheme of ["light", "dark"]) {
          await page.emulateMedia({ colorScheme });
          found.push(...(await violations(page, `${path}, ${colorScheme}`)));
        }
      }
      await page.goto(`${CONSOLE}/runs/${id}`);
      await page.getByRole("button", { name: "Replay edited…" }).click();
      found.push(...(await violations(page, "replay edited")));
      check(!found.length, found.join("\n"));
    },
  };
}
