// shots: every view as a picture, for somebody to look at.
import { EVENT_VIEWS, prepare } from "./events.mjs";
import { signIn } from "./steps.mjs";

const { CONSOLE } = process.env;

const VIEWS = [
  "/create", "/create/s3-upload", "/create/blank", "/functions", "/buckets", "/buckets/mouse-in?object=cat.png", "/buckets/mouse-in/notifications",
  "/buckets/mouse-in/rules", "/buckets/by-mouse", "/functions/edited/code?version=2", "/functions/nothing/code", "/nowhere",
  ...["code", "test", "runs", "logs", "metrics", "triggers", "permissions", "versions", "settings"].map((tab) => `/functions/mouse/${tab}`),
  "/functions/edited/versions",
  "/access", "/access/users/ada", "/access/roles", "/access/roles/mouse-role", "/access/policies",
  "/access/policies/arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FAmazonS3ReadOnlyAccess", "/access/simulator?role=mouse-role", "/access/sessions",
  "/settings", ...EVENT_VIEWS,
];

// What pages have something to show of.
async function fill(page) {
  const iam = (fields) => ["/v1/aws/iam/", { method: "POST", body: new URLSearchParams({ Version: "2010-05-08", ...fields }).toString(), headers: { "content-type": "application/x-www-form-urlencoded" } }];
  const calls = [
    iam({ Action: "CreateUser", UserName: "ada" }),
    iam({ Action: "CreateAccessKey", UserName: "ada" }),
    iam({ Action: "AttachUserPolicy", UserName: "ada", PolicyArn: "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess" }),
    iam({ Action: "PutUserPolicy", UserName: "ada", PolicyName: "run", PolicyDocument: '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["lambda:InvokeFunction","lambda:GetFunction"],"Resource":"arn:aws:lambda:*:*:function:mouse"}]}' }),
    ...Array.from({ length: 30 }, (_, i) => ["/v1/aws/lambda/2015-03-31/functions/mouse/invocations", { method: "POST", body: i % 7 ? '{"Records":[]}' : "[1" }]),
  ];
  await page.evaluate(async (calls) => {
    const authorization = `Bearer ${localStorage.getItem("perilune.session")}`;
    for (const [path, init] of calls) await fetch(path, { ...init, headers: { ...init.headers, authorization } });
  }, calls);
}

// Every view, in both themes and two widths.
export async function shoot(browser, folder) {
  const first = await browser.newPage();
  await signIn(first);
  await fill(first);
  await first.close();
  for (const colorScheme of ["light", "dark"])
    for (const width of [360, 1280]) {
      const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme });
      const page = await context.newPage();
      const shot = async (name) => {
        await page.locator("p.busy").first().waitFor({ state: "detached" });
        await page.waitForTimeout(500);
        await page.screenshot({ path: `${folder}/${name}-${colorScheme}-${width}.png`, fullPage: true });
      };
      await page.goto(CONSOLE);
      await shot("signin");
      await signIn(page);
      await prepare(page);
      await shot("overview");
      for (const path of VIEWS.filter((v) => v.match(process.env.VIEWS ?? ""))) {
        await page.goto(CONSOLE + path);
        await shot(path.slice(1).replace(/\W+/g, "-"));
      }
      await page.goto(`${CONSOLE}/queue?state=dead&function=replayed`);
      await page.locator("tbody tr").first().getByRole("link").first().click();
      await page.locator("pre.event").waitFor();
      await shot("run-dead");
      await page.getByRole("button", { name: "Replay edited…" }).click();
      await shot("run-edited");
      await page.goto(`${CONSOLE}/create/s3-upload`);
      await page.getByRole("button", { name: "Preview" }).click();
      await shot("preview");
      await page.goto(`${CONSOLE}/access/simulator?user=ada`);
      await page.getByRole("button", { name: "Try it" }).click();
      await page.locator("table.grants").waitFor();
      await shot("verdicts");
      await page.goto(`${CONSOLE}/functions/mouse/test`);
      await page.getByRole("button", { name: "Run", exact: true }).click();
      await shot("result");
      await page.keyboard.press("Control+k");
      await page.keyboard.type("mo");
      await shot("palette");
      await context.close();
    }
}
