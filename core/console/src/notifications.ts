// notifications: what a bucket tells to which functions, in its notification settings. Whether a
// bucket may call a function is in the function's own policy; both are written here together.
import { call, orNull } from "./api.ts";
import { add, all, fnPath, getConf, putConf, text } from "./aws.ts";

export interface Notification {
  bucket: string;
  id: string;
  arn: string; // of the function
  events: string[];
  prefix: string;
  suffix: string;
}

export interface PolicyStatement {
  Sid: string;
  Principal: unknown;
  Condition?: Record<string, Record<string, string>>;
}

// The statements of a function's own policy: who may call it.
export async function statements(name: string): Promise<PolicyStatement[]> {
  const got = await orNull(call<{ Policy: string }>("GET", fnPath(name, "/policy")));
  return got ? JSON.parse(got.Policy).Statement : [];
}

const isName = (e: Element, name: string) => text(e, "Name").toLowerCase() === name;

function parse(bucket: string, e: Element): Notification {
  const rule = (name: string) => {
    const found = all(e, "FilterRule").find((r) => isName(r, name));
    return found ? text(found, "Value") : "";
  };
  return {
    bucket,
    id: text(e, "Id"),
    arn: text(e, "CloudFunction"),
    events: all(e, "Event").map((x) => x.textContent!),
    prefix: rule("prefix"),
    suffix: rule("suffix"),
  };
}

// null: there is no such bucket.
export async function notifications(bucket: string): Promise<Notification[] | null> {
  const doc = await getConf(bucket, "notification");
  return doc && all(doc, "CloudFunctionConfiguration").map((e) => parse(bucket, e));
}

// "arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]"
export const functionOf = (arn: string) => arn.split(":")[6] ?? arn;

export async function addNotification(n: Omit<Notification, "id">, account: string) {
  const name = functionOf(n.arn);
  const sid = `s3-${n.bucket.replaceAll(".", "-")}`;
  if (!(await statements(name)).some((s) => s.Sid === sid))
    await call("POST", fnPath(name, "/policy"), {
      StatementId: sid,
      Action: "lambda:InvokeFunction",
      Principal: "s3.amazonaws.com",
      SourceArn: `arn:aws:s3:::${n.bucket}`,
      SourceAccount: account,
    });
  const doc = await getConf(n.bucket, "notification");
  if (!doc) throw new Error(`There is no bucket ${n.bucket}.`);
  const root = add(doc.documentElement, "CloudFunctionConfiguration");
  add(root, "Id", `${name}-${Date.now().toString(36)}`);
  add(root, "CloudFunction", n.arn);
  for (const e of n.events) add(root, "Event", e);
  if (n.prefix || n.suffix) {
    const key = add(add(root, "Filter"), "S3Key");
    for (const what of ["prefix", "suffix"] as const) {
      if (!n[what]) continue;
      const rule = add(key, "FilterRule");
      add(rule, "Name", what);
      add(rule, "Value", n[what]);
    }
  }
  await putConf(n.bucket, "notification", doc);
}

export async function removeNotification(n: Notification) {
  const doc = await getConf(n.bucket, "notification");
  if (!doc) return;
  all(doc, "CloudFunctionConfiguration").find((e) => text(e, "Id") === n.id)?.remove();
  await putConf(n.bucket, "notification", doc);
}

export const EVENTS: [string, string][] = [
  ["s3:ObjectCreated:*", "created"],
  ["s3:ObjectRemoved:*", "removed"],
];

// "created below in/ ending in .png"
export const when = (n: Notification) =>
  [
    n.events.map((e) => e.replace(/^s3:/, "")).join(", "),
    n.prefix && `below ${n.prefix}`,
    n.suffix && `ending in ${n.suffix}`,
  ]
    .filter(Boolean)
    .join(" ");
