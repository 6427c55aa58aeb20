// iam: users, roles, keys and policies. Users and roles differ in a word of each call's name.
import { request } from "./api.ts";
import { text, xml } from "./aws.ts";

export async function iam(action: string, fields: Record<string, string> = {}): Promise<Document> {
  const body = new URLSearchParams({ Action: action, Version: "2010-05-08", ...fields });
  return xml(await request("/v1/aws/iam/", { method: "POST", body }));
}

const members = (e: Document | Element, list: string) => [...(e.getElementsByTagName(list)[0]?.children ?? [])];

// All of a list, a page at a time; `each` hears every page.
async function everyMember(
  action: string,
  list: string,
  fields: Record<string, string>,
  each: (some: Element[]) => void,
  gone: () => boolean = () => false,
) {
  for (let marker = ""; !gone(); ) {
    const doc = await iam(action, { ...fields, MaxItems: "200", ...(marker && { Marker: marker }) });
    each(members(doc, list));
    marker = text(doc, "IsTruncated") === "true" ? text(doc, "Marker") : "";
    if (!marker) return;
  }
}

async function listed<T>(action: string, list: string, fields: Record<string, string>, of: (e: Element) => T) {
  const found: T[] = [];
  await everyMember(action, list, fields, (some) => found.push(...some.map(of)));
  return found;
}

// --- users and roles -------------------------------------------------------------------------

export type Kind = "User" | "Role";

export interface Entity {
  name: string;
  arn: string;
  created: string;
  description: string;
  trust: string; // a role's; JSON
}

const entity = (kind: Kind) => (e: Element): Entity => ({
  name: text(e, `${kind}Name`),
  arn: text(e, "Arn"),
  created: text(e, "CreateDate"),
  description: text(e, "Description"),
  trust: decodeURIComponent(text(e, "AssumeRolePolicyDocument")),
});

const by = (kind: Kind, name: string) => ({ [`${kind}Name`]: name });

export const everyEntity = (kind: Kind, each: (some: Entity[]) => void, gone: () => boolean) =>
  everyMember(`List${kind}s`, `${kind}s`, {}, (some) => each(some.map(entity(kind))), gone);

export const getEntity = async (kind: Kind, name: string) =>
  entity(kind)((await iam(`Get${kind}`, by(kind, name))).getElementsByTagName(kind)[0]!);

// A user or role is removed with what is its own: IAM refuses while it has any.
export async function removeEntity(kind: Kind, name: string) {
  const own = by(kind, name);
  if (kind === "User") for (const k of await accessKeys(name)) await deleteKey(name, k.id);
  for (const p of await inlineNames(kind, name)) await deleteInline(kind, name, p);
  for (const p of await attachedPolicies(kind, name)) await detach(kind, name, p.arn);
  await iam(`Delete${kind}`, own);
}

export const roleName = (arn: string) => arn.slice(arn.lastIndexOf("/") + 1);

// --- what a policy says ----------------------------------------------------------------------

export interface Statement {
  Sid?: string;
  Effect: string;
  Principal?: unknown;
  Action?: string | string[];
  NotAction?: string | string[];
  Resource?: string | string[];
  NotResource?: string | string[];
  Condition?: unknown;
}

export const statementsOf = (document: string): Statement[] => {
  const s = JSON.parse(document).Statement as Statement | Statement[] | undefined;
  return s === undefined ? [] : Array.isArray(s) ? s : [s];
};

// --- inline policies -------------------------------------------------------------------------

export interface Inline {
  name: string;
  document: string;
}

const inlineNames = (kind: Kind, name: string) =>
  listed(`List${kind}Policies`, "PolicyNames", by(kind, name), (e) => e.textContent!);

export async function inlinePolicies(kind: Kind, name: string): Promise<Inline[]> {
  const names = await inlineNames(kind, name);
  return Promise.all(
    names.map(async (PolicyName) => {
      const doc = await iam(`Get${kind}Policy`, { ...by(kind, name), PolicyName });
      return { name: PolicyName, document: decodeURIComponent(text(doc, "PolicyDocument")) };
    }),
  );
}

export const putInline = (kind: Kind, name: string, PolicyName: string, PolicyDocument: string) =>
  iam(`Put${kind}Policy`, { ...by(kind, name), PolicyName, PolicyDocument });

export const deleteInline = (kind: Kind, name: string, PolicyName: string) =>
  iam(`Delete${kind}Policy`, { ...by(kind, name), PolicyName });

// --- managed policies ------------------------------------------------------------------------

export interface Managed {
  name: string;
  arn: string;
  used: number;
}

const managed = (e: Element): Managed => ({
  name: text(e, "PolicyName"),
  arn: text(e, "Arn") || text(e, "PolicyArn"),
  used: Number(text(e, "AttachmentCount")),
});

export const isOwn = (p: { arn: string }) => !p.arn.startsWith("arn:aws:iam::aws:");

export const everyManaged = (each: (some: Managed[]) => void, gone: () => boolean) =>
  everyMember("ListPolicies", "Policies", { Scope: "All" }, (some) => each(some.map(managed)), gone);

export async function managedPolicies() {
  const found: Managed[] = [];
  await everyManaged((some) => found.push(...some), () => false);
  return found;
}

export async function managedDocument(arn: string): Promise<string> {
  const VersionId = text(await iam("GetPolicy", { PolicyArn: arn }), "DefaultVersionId");
  return decodeURIComponent(text(await iam("GetPolicyVersion", { PolicyArn: arn, VersionId }), "Document"));
}

const versionsOf = (arn: string) =>
  listed("ListPolicyVersions", "Versions", { PolicyArn: arn }, (e) => ({
    id: text(e, "VersionId"),
    live: text(e, "IsDefaultVersion") === "true",
  }));

const VERSIONS_MAX = 5; // IAM's: the oldest makes room

export async function changeManaged(arn: string, PolicyDocument: string) {
  const all = await versionsOf(arn);
  const old = all.filter((v) => !v.live).sort((a, b) => Number(a.id.slice(1)) - Number(b.id.slice(1)))[0];
  if (all.length >= VERSIONS_MAX && old) await iam("DeletePolicyVersion", { PolicyArn: arn, VersionId: old.id });
  await iam("CreatePolicyVersion", { PolicyArn: arn, PolicyDocument, SetAsDefault: "true" });
}

export async function removeManaged(arn: string) {
  for (const v of await versionsOf(arn))
    if (!v.live) await iam("DeletePolicyVersion", { PolicyArn: arn, VersionId: v.id });
  await iam("DeletePolicy", { PolicyArn: arn });
}

export interface Holder {
  kind: Kind;
  name: string;
}

export async function holders(arn: string): Promise<Holder[]> {
  const doc = await iam("ListEntitiesForPolicy", { PolicyArn: arn });
  const of = (kind: Kind) => members(doc, `Policy${kind}s`).map((e) => ({ kind, name: text(e, `${kind}Name`) }));
  return [...of("User"), ...of("Role")];
}

export const attachedPolicies = (kind: Kind, name: string) =>
  listed(`ListAttached${kind}Policies`, "AttachedPolicies", by(kind, name), managed);

export const attach = (kind: Kind, name: string, PolicyArn: string) =>
  iam(`Attach${kind}Policy`, { ...by(kind, name), PolicyArn });

export const detach = (kind: Kind, name: string, PolicyArn: string) =>
  iam(`Detach${kind}Policy`, { ...by(kind, name), PolicyArn });

// --- access keys -----------------------------------------------------------------------------

export interface Key {
  id: string;
  active: boolean;
  created: string;
}

export const accessKeys = (UserName: string) =>
  listed("ListAccessKeys", "AccessKeyMetadata", { UserName }, (e): Key => ({
    id: text(e, "AccessKeyId"),
    active: text(e, "Status") === "Active",
    created: text(e, "CreateDate"),
  }));

// When and for what a key signed last; null: never.
export async function lastUsed(AccessKeyId: string) {
  const doc = await iam("GetAccessKeyLastUsed", { AccessKeyId });
  const at = text(doc, "LastUsedDate");
  return at ? { at, service: text(doc, "ServiceName") } : null;
}

// The only answer that ever bears the secret.
export async function createKey(UserName: string) {
  const doc = await iam("CreateAccessKey", { UserName });
  return { id: text(doc, "AccessKeyId"), secret: text(doc, "SecretAccessKey") };
}

export const setKey = (UserName: string, AccessKeyId: string, active: boolean) =>
  iam("UpdateAccessKey", { UserName, AccessKeyId, Status: active ? "Active" : "Inactive" });

export const deleteKey = (UserName: string, AccessKeyId: string) =>
  iam("DeleteAccessKey", { UserName, AccessKeyId });

// --- the simulator ---------------------------------------------------------------------------

export interface Verdict {
  action: string;
  resource: string;
  decision: string; // allowed, explicitDeny, implicitDeny
  because: string[]; // names of policies
}

const verdict = (e: Element): Verdict => ({
  action: text(e, "EvalActionName"),
  resource: text(e, "EvalResourceName"),
  decision: text(e, "EvalDecision"),
  because: members(e, "MatchedStatements").map((m) => text(m, "SourcePolicyId")),
});

export function simulate(arn: string, actions: string[], resources: string[], context: [string, string][]) {
  const fields: Record<string, string> = { PolicySourceArn: arn };
  actions.forEach((a, i) => (fields[`ActionNames.member.${i + 1}`] = a));
  resources.forEach((r, i) => (fields[`ResourceArns.member.${i + 1}`] = r));
  context.forEach(([name, value], i) => {
    const at = `ContextEntries.member.${i + 1}`;
    fields[`${at}.ContextKeyName`] = name;
    fields[`${at}.ContextKeyType`] = "string";
    fields[`${at}.ContextKeyValues.member.1`] = value;
  });
  return listed("SimulatePrincipalPolicy", "EvaluationResults", fields, verdict);
}
