// What becomes of events, as a person sees it: runs, the queue, schedules, and what they used.
export default function cases({ CONSOLE, HOSTILE, check, signIn, blank, write, save, tabTo, overflow }) {
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
      await page.getByRole("button", { name: "Run mornings now" }).click();
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
      await page.getByRole("button", { name: "Run hourly now" }).click();
      await row(page, "events").getByText("done").waitFor(); // its policy lets the rule in
      await row(page, "events").getByRole("link").first().click();
      await page.locator("pre.event", { hasText: "Scheduled Event" }).waitFor();
      await page.getByText(":rule/hourly").first().waitFor();
    },
  };
}
