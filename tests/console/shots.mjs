// shots: every view as a picture, for somebody to look at.
import { EVENT_VIEWS, prepare } from "./events.mjs";
import { signIn } from "./steps.mjs";

const { CONSOLE } = process.env;

const VIEWS = [
  ...EVENT_VIEWS,
  "/create", "/create/s3-upload", "/create/blank", "/functions", "/buckets", "/buckets/mouse-in?object=cat.png",
  "/buckets/by-mouse", "/functions/edited/code?version=2", "/functions/nothing/code", "/nowhere",
  ...["code", "test", "logs", "triggers", "permissions", "settings"].map((tab) => `/functions/mouse/${tab}`),
];

// Every view, in both themes and two widths.
export async function shoot(browser, folder) {
  for (const colorScheme of ["light", "dark"])
    for (const width of [360, 1280]) {
      const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme });
      const page = await context.newPage();
      const shot = async (name) => {
        await page.waitForTimeout(700);
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
      await page.goto(`${CONSOLE}/create/s3-upload`);
      await page.getByRole("button", { name: "Preview" }).click();
      await shot("preview");
      await page.goto(`${CONSOLE}/functions/mouse/test`);
      await page.getByRole("button", { name: "Run", exact: true }).click();
      await shot("result");
      await page.keyboard.press("Control+k");
      await page.keyboard.type("mo");
      await shot("palette");
      await context.close();
    }
}
