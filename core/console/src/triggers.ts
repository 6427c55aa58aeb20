// triggers: what calls a function: buckets, schedules, its URL.
import { call, orNull, request } from "./api.ts";
import { fnPath } from "./aws.ts";
import { type Notification, notifications, statements } from "./notifications.ts";
import { part } from "./router.ts";
import { type Schedule, deleteSchedule, schedulePage, takeTargets } from "./schedules.ts";

// --- buckets ---------------------------------------------------------------------------------

const calls = (target: string, arn: string) => target === arn || target.startsWith(`${arn}:`);

// The buckets that may call it are in its policy; what they send is in each one's settings.
export async function s3Triggers(name: string, arn: string): Promise<Notification[]> {
  const sources = (await statements(name)).flatMap((s) =>
    Object.values(s.Condition ?? {}).flatMap((c) => [c["AWS:SourceArn"], c["aws:SourceArn"]]),
  );
  const found = sources.flatMap((s) => (s?.startsWith("arn:aws:s3:::") ? [s.slice(13)] : []));
  const rows = await Promise.all([...new Set(found)].map(notifications));
  return rows.flatMap((r) => r?.filter((n) => calls(n.arn, arn)) ?? []);
}

// --- URLs ------------------------------------------------------------------------------------

export interface Url {
  FunctionUrl: string;
  AuthType: string;
  InvokeMode: string;
  Cors?: { AllowOrigins?: string[] };
}

const URLS = "/v1/aws/lambda/2021-10-31/functions";
const PUBLIC = "public-url";

export const functionUrl = (name: string) =>
  call<{ FunctionUrlConfigs: Url[] }>("GET", `${URLS}/${part(name)}/urls`).then((d) => d.FunctionUrlConfigs[0] ?? null);

export interface UrlSettings {
  open: boolean; // to anybody
  stream: boolean;
  origins: string[]; // whose pages may call it
}

// What anybody may do is said by the function's policy, beside the URL's own setting.
async function allowAnybody(name: string, open: boolean) {
  const there = (await statements(name)).some((s) => s.Sid === PUBLIC);
  if (open && !there)
    await call("POST", fnPath(name, "/policy"), {
      StatementId: PUBLIC,
      Action: "lambda:InvokeFunctionUrl",
      Principal: "*",
      FunctionUrlAuthType: "NONE",
    });
  if (!open && there) await request(fnPath(name, `/policy/${PUBLIC}`), { method: "DELETE" });
}

export async function putUrl(name: string, there: boolean, s: UrlSettings) {
  await call(there ? "PUT" : "POST", `${URLS}/${part(name)}/url`, {
    AuthType: s.open ? "NONE" : "AWS_IAM",
    InvokeMode: s.stream ? "RESPONSE_STREAM" : "BUFFERED",
    Cors: s.origins.length ? { AllowOrigins: s.origins, AllowMethods: ["*"], AllowHeaders: ["*"] } : {},
  });
  await allowAnybody(name, s.open);
}

export async function removeUrl(name: string) {
  await request(`${URLS}/${part(name)}/url`, { method: "DELETE" });
  await allowAnybody(name, false);
}

// --- schedules -------------------------------------------------------------------------------

// All that there are; those of one function are few.
export async function schedulesOf(arn: string): Promise<Schedule[]> {
  const found: Schedule[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const page: { schedules: Schedule[]; cursor: string | null } = await schedulePage(cursor);
    found.push(...page.schedules.filter((s) => s.targets.some((t) => calls(t, arn))));
    cursor = page.cursor;
  }
  return found;
}

// Another function may be called by it too: then only this one is taken from it.
export const removeSchedule = (s: Schedule, arn: string) =>
  s.targets.every((t) => calls(t, arn)) ? deleteSchedule(s) : takeTargets(s, (t) => calls(t, arn));
