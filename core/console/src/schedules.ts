// schedules: rules of `events` and schedules of `scheduler`, by the calls of both services and ours.
import { ApiError, call, request } from "./api.ts";
import { fnPath } from "./aws.ts";
import { iam } from "./iam.ts";
import { functionOf, statements } from "./notifications.ts";
import { part } from "./router.ts";
import { server } from "./session.ts";

export type Kind = "rule" | "schedule";

export interface Schedule {
  kind: Kind;
  name: string;
  arn: string;
  expression: string;
  timezone: string;
  state: "ENABLED" | "DISABLED";
  description: string;
  missed: string;
  overlap: string;
  targets: string[];
  next: string[];
}

export const MISSED: [string, string][] = [
  ["once", "Run once when it is back"],
  ["skip", "Skip them"],
  ["all", "Run each of them"],
];
export const OVERLAP: [string, string][] = [
  ["run", "Run beside it"],
  ["skip", "Skip this one"],
];

const path = (s: { kind: Kind; name: string }, rest = "") => `/v1/schedules/${s.kind}/${part(s.name)}${rest}`;

export const schedulePage = (cursor: string) =>
  call<{ schedules: Schedule[]; cursor: string | null }>("GET", `/v1/schedules${cursor && `?cursor=${part(cursor)}`}`);
export const schedule = (kind: Kind, name: string) => call<Schedule>("GET", path({ kind, name }));
export const act = (s: Schedule, what: "run" | "pause" | "resume") => call("POST", path(s, `/${what}`), {});
export const setPolicy = (s: { kind: Kind; name: string }, missed: string, overlap: string) => call("POST", path(s, "/policy"), { missed, overlap });
export const checkExpression = (expression: string, timezone: string) =>
  call<{ error: string | null; next: string[] }>("POST", "/v1/check-schedule", { expression, timezone });

export const functionArn = (name: string) => `arn:aws:lambda:${server().region}:${server().account}:function:${name}`;

const events = async (op: string, body: unknown) =>
  (
    await request("/v1/aws/events/", {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "content-type": "application/x-amz-json-1.1", "x-amz-target": `AWSEvents.${op}` },
    })
  ).json();
const scheduler = (name: string) => `/v1/aws/scheduler/schedules/${part(name)}`;

// What the page's form holds.
export interface Wanted {
  name: string;
  expression: string;
  timezone: string;
  description: string;
  function: string; // its name, or its ARN with a qualifier
  input: string; // JSON; "": the service's own event
}

interface Target {
  Id: string;
  Arn: string;
  Input?: string;
}

interface Stored {
  Target: { Arn: string; RoleArn: string; Input?: string };
  [member: string]: unknown;
}

// What is sent to the function, as it is kept: "" is the service's own event.
export async function inputOf(s: Schedule): Promise<string> {
  if (s.kind === "schedule") return (await call<Stored>("GET", scheduler(s.name))).Target.Input ?? "";
  const { Targets } = (await events("ListTargetsByRule", { Rule: s.name })) as { Targets: Target[] };
  return Targets[0]?.Input ?? "";
}

const targetArn = (w: Wanted) => (w.function.startsWith("arn:") ? w.function : functionArn(w.function));
export const roleFor = (name: string) => `${name.slice(0, 55)}-schedule`;

// A role that may invoke that one function.
async function makeRole(w: Wanted): Promise<string> {
  const RoleName = roleFor(w.name);
  const statement = (more: object) => JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", ...more }] });
  const trust = statement({ Principal: { Service: "scheduler.amazonaws.com" }, Action: "sts:AssumeRole" });
  try {
    await iam("CreateRole", { RoleName, AssumeRolePolicyDocument: trust });
  } catch (e) {
    if (!(e instanceof ApiError) || e.status !== 409) throw e; // one of a schedule of that name is there
  }
  const PolicyDocument = statement({ Action: "lambda:InvokeFunction", Resource: targetArn(w) });
  await iam("PutRolePolicy", { RoleName, PolicyName: "invoke", PolicyDocument });
  return `arn:aws:iam::${server().account}:role/${RoleName}`;
}

export async function createSchedule(w: Wanted) {
  const Target = { Arn: targetArn(w), RoleArn: await makeRole(w), ...(w.input && { Input: w.input }) };
  await call("POST", scheduler(w.name), {
    ScheduleExpression: w.expression,
    ScheduleExpressionTimezone: w.timezone,
    Description: w.description,
    FlexibleTimeWindow: { Mode: "OFF" },
    Target,
  });
}

// The rule's ARN may invoke the function: its policy says so once.
async function letRule(s: Schedule, name: string) {
  const StatementId = `rule-${s.name}`.replaceAll(".", "-").slice(0, 100);
  if ((await statements(name)).some((x) => x.Sid === StatementId)) return;
  await call("POST", fnPath(name, "/policy"), {
    StatementId,
    Action: "lambda:InvokeFunction",
    Principal: "events.amazonaws.com",
    SourceArn: s.arn,
  });
}

export async function changeSchedule(s: Schedule, w: Wanted) {
  if (s.kind === "rule") {
    await events("PutRule", { Name: s.name, ScheduleExpression: w.expression, Description: w.description, State: s.state });
    const { Targets } = (await events("ListTargetsByRule", { Rule: s.name })) as { Targets: Target[] };
    const Id = Targets[0]?.Id ?? "target";
    await letRule(s, functionOf(targetArn(w)));
    await events("PutTargets", { Rule: s.name, Targets: [{ Id, Arn: targetArn(w), ...(w.input && { Input: w.input }) }] });
    return;
  }
  const now = await call<Stored>("GET", scheduler(s.name));
  const moved = !now.Target.RoleArn || now.Target.Arn !== targetArn(w);
  const RoleArn = moved ? await makeRole(w) : now.Target.RoleArn;
  const { Input: _, ...kept } = now.Target;
  await call("PUT", scheduler(s.name), {
    ...now,
    ScheduleExpression: w.expression,
    ScheduleExpressionTimezone: w.timezone,
    Description: w.description,
    Target: { ...kept, Arn: targetArn(w), RoleArn, ...(w.input && { Input: w.input }) },
  });
}

// Takes some of its targets from a rule.
export async function takeTargets(s: Schedule, gone: (arn: string) => boolean) {
  const { Targets } = (await events("ListTargetsByRule", { Rule: s.name })) as { Targets: Target[] };
  await events("RemoveTargets", { Rule: s.name, Ids: Targets.filter((t) => gone(t.Arn)).map((t) => t.Id) });
}

export async function deleteSchedule(s: Schedule) {
  if (s.kind === "rule") {
    const { Targets } = (await events("ListTargetsByRule", { Rule: s.name })) as { Targets: Target[] };
    if (Targets.length) await events("RemoveTargets", { Rule: s.name, Ids: Targets.map((t) => t.Id) });
    await events("DeleteRule", { Name: s.name });
    return;
  }
  const role = (await call<Stored>("GET", scheduler(s.name))).Target.RoleArn;
  await request(scheduler(s.name), { method: "DELETE" });
  if (!role.endsWith(`/${roleFor(s.name)}`)) return;
  const RoleName = roleFor(s.name); // made by this page, for this schedule only
  try {
    await iam("DeleteRolePolicy", { RoleName, PolicyName: "invoke" });
    await iam("DeleteRole", { RoleName });
  } catch (e) {
    if (!(e instanceof ApiError)) throw e; // somebody gave it more to do: it stays
  }
}
