// triggers: what calls a function. The buckets that may are in its policy; what they send is in each
// one's notification settings; its URL is its own.
import { ApiError, call, request } from "./api.ts";
import { all, fnPath, s3Path, text, xml } from "./aws.ts";
import { part } from "./router.ts";

export interface S3Trigger {
  bucket: string;
  id: string;
  events: string[];
  prefix: string;
  suffix: string;
}

export interface Url {
  FunctionUrl: string;
  AuthType: string;
}

interface PolicyStatement {
  Sid: string;
  Principal: unknown;
  Condition?: Record<string, Record<string, string>>;
}

// What a thing is, or null where there is none.
export async function orNull<T>(wanted: Promise<T>): Promise<T | null> {
  try {
    return await wanted;
  } catch (e) {
    if (e instanceof ApiError && e.status === 404) return null;
    throw e;
  }
}

export async function statements(name: string): Promise<PolicyStatement[]> {
  const got = await orNull(call<{ Policy: string }>("GET", fnPath(name, "/policy")));
  return got ? JSON.parse(got.Policy).Statement : [];
}

const isName = (e: Element, name: string) => text(e, "Name").toLowerCase() === name;

function parse(bucket: string, e: Element): S3Trigger {
  const rule = (name: string) => {
    const found = all(e, "FilterRule").find((r) => isName(r, name));
    return found ? text(found, "Value") : "";
  };
  return {
    bucket,
    id: text(e, "Id"),
    events: all(e, "Event").map((x) => x.textContent!),
    prefix: rule("prefix"),
    suffix: rule("suffix"),
  };
}

const notification = async (bucket: string) => xml(await request(`${s3Path(bucket)}?notification`));

const calls = (e: Element, arn: string) => {
  const target = text(e, "CloudFunction");
  return target === arn || target.startsWith(`${arn}:`);
};

export async function s3Triggers(name: string, arn: string): Promise<S3Trigger[]> {
  const sources = (await statements(name)).flatMap((s) =>
    Object.values(s.Condition ?? {}).flatMap((c) => [c["AWS:SourceArn"], c["aws:SourceArn"]]),
  );
  const found = sources.flatMap((s) => (s?.startsWith("arn:aws:s3:::") ? [s.slice(13)] : []));
  const rows = await Promise.all(
    [...new Set(found)].map(async (bucket) => {
      const doc = await orNull(notification(bucket));
      const mine = doc ? all(doc, "CloudFunctionConfiguration").filter((e) => calls(e, arn)) : [];
      return mine.map((e) => parse(bucket, e));
    }),
  );
  return rows.flat();
}

async function putNotification(bucket: string, doc: Document) {
  const body = new XMLSerializer().serializeToString(doc);
  await request(`${s3Path(bucket)}?notification`, { method: "PUT", body });
}

export async function addS3Trigger(name: string, arn: string, t: Omit<S3Trigger, "id">, account: string) {
  const sid = `s3-${t.bucket.replaceAll(".", "-")}`;
  if (!(await statements(name)).some((s) => s.Sid === sid))
    await call("POST", fnPath(name, "/policy"), {
      StatementId: sid,
      Action: "lambda:InvokeFunction",
      Principal: "s3.amazonaws.com",
      SourceArn: `arn:aws:s3:::${t.bucket}`,
      SourceAccount: account,
    });
  const doc = await notification(t.bucket);
  const add = (to: Element, tag: string, value?: string) => {
    const e = to.appendChild(doc.createElementNS(to.namespaceURI, tag));
    if (value !== undefined) e.textContent = value;
    return e;
  };
  const root = add(doc.documentElement, "CloudFunctionConfiguration");
  add(root, "Id", `${name}-${Date.now().toString(36)}`);
  add(root, "CloudFunction", arn);
  for (const e of t.events) add(root, "Event", e);
  if (t.prefix || t.suffix) {
    const key = add(add(root, "Filter"), "S3Key");
    for (const what of ["prefix", "suffix"] as const) {
      if (!t[what]) continue;
      const rule = add(key, "FilterRule");
      add(rule, "Name", what);
      add(rule, "Value", t[what]);
    }
  }
  await putNotification(t.bucket, doc);
}

export async function removeS3Trigger(t: S3Trigger) {
  const doc = await notification(t.bucket);
  all(doc, "CloudFunctionConfiguration").find((e) => text(e, "Id") === t.id)?.remove();
  await putNotification(t.bucket, doc);
}

const URLS = "/v1/aws/lambda/2021-10-31/functions";
const PUBLIC = "public-url";

export const functionUrl = (name: string) =>
  call<{ FunctionUrlConfigs: Url[] }>("GET", `${URLS}/${part(name)}/urls`).then((d) => d.FunctionUrlConfigs[0] ?? null);

export async function addUrl(name: string, open: boolean) {
  const AuthType = open ? "NONE" : "AWS_IAM";
  await call("POST", `${URLS}/${part(name)}/url`, { AuthType });
  if (open && !(await statements(name)).some((s) => s.Sid === PUBLIC))
    await call("POST", fnPath(name, "/policy"), {
      StatementId: PUBLIC,
      Action: "lambda:InvokeFunctionUrl",
      Principal: "*",
      FunctionUrlAuthType: "NONE",
    });
}

export async function removeUrl(name: string) {
  await request(`${URLS}/${part(name)}/url`, { method: "DELETE" });
  if ((await statements(name)).some((s) => s.Sid === PUBLIC))
    await request(fnPath(name, `/policy/${PUBLIC}`), { method: "DELETE" });
}
