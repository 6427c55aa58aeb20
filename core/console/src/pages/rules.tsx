// rules: what is configured on a bucket: who may, how long objects stay, which pages may ask, and
// uploads that were begun and never ended.
import { useSignal } from "@preact/signals";
import { orNull, request } from "../api.ts";
import { add, all, deleteConf, getConf, newDocument, putConf, s3Path, text, xml } from "../aws.ts";
import { Document, Grants } from "../policies.tsx";
import { server } from "../session.ts";
import { AsCommand, Busy, Confirm, Field, Problem, Time, line, submits, useAction, useLoad } from "../ui.tsx";

export const Rules = ({ bucket }: { bucket: string }) => (
  <>
    <Policy bucket={bucket} />
    <Lifecycle bucket={bucket} />
    <Cors bucket={bucket} />
    <Begun bucket={bucket} />
  </>
);

// --- policy ----------------------------------------------------------------------------------

const policyOf = async (bucket: string) => {
  const r = await orNull(request(`${s3Path(bucket)}?policy`));
  return r && r.text();
};

const readable = (bucket: string) =>
  JSON.stringify({
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Principal: "*", Action: "s3:GetObject", Resource: `arn:aws:s3:::${bucket}/public/*` }],
  });

function Policy({ bucket }: { bucket: string }) {
  const got = useLoad(() => policyOf(bucket), [bucket]);
  const editing = useSignal(false);
  const save = (body: string) => request(`${s3Path(bucket)}?policy`, { method: "PUT", body }).then(got.reload);
  return (
    <section>
      <div class="row">
        <h2>Policy</h2>
        <span class="grow" />
        {!editing.value && got.data !== undefined && (
          <button type="button" class="quiet" onClick={() => (editing.value = true)}>
            {got.data ? "Edit the policy" : "Write a policy"}
          </button>
        )}
        {got.data && (
          <Confirm label="Remove" class="quiet" title="Remove the policy?" act="Remove the policy" run={() => deleteConf(bucket, "policy").then(got.reload)}>
            <p>Only the policies of users and roles are asked from then on.</p>
          </Confirm>
        )}
      </div>
      <Problem what="The policy could not be read." error={got.error} retry={got.reload} />
      {got.busy && got.data === undefined && <Busy />}
      {got.data === null && !editing.value && <p class="faint">None: users and roles may do what their own policies say, and nobody else anything.</p>}
      {got.data && !editing.value && <Grants document={got.data} />}
      {editing.value && <Document label={`The policy of ${bucket}, JSON`} text={got.data ?? readable(bucket)} save={save} close={() => (editing.value = false)} />}
      <AsCommand aws={line("aws", "s3api", "put-bucket-policy", "--bucket", bucket, "--policy", "file://policy.json")} endpoint={server().endpoint} />
    </section>
  );
}

// --- rules in a document ---------------------------------------------------------------------

// Takes the i-th rule out, and the document away with the last.
async function removeRule(bucket: string, what: string, tag: string, i: number) {
  const doc = await getConf(bucket, what);
  if (!doc) return;
  const rules = all(doc, tag);
  rules[i]?.remove();
  await (rules.length > 1 ? putConf(bucket, what, doc) : deleteConf(bucket, what));
}

const first = (e: Element, ...path: string[]) => path.reduce<Element | undefined>((at, tag) => at?.getElementsByTagName(tag)[0], e)?.textContent ?? "";

function lifecycleSays(e: Element): string[] {
  const days = (tag: string, n: string) => first(e, tag, n);
  return [
    days("Expiration", "Days") && `deleted after ${days("Expiration", "Days")} days`,
    days("Expiration", "Date") && `deleted on ${days("Expiration", "Date").slice(0, 10)}`,
    days("Transition", "StorageClass") && `labelled ${days("Transition", "StorageClass")} after ${days("Transition", "Days")} days`,
    days("AbortIncompleteMultipartUpload", "DaysAfterInitiation") &&
      `uploads that do not end are aborted after ${days("AbortIncompleteMultipartUpload", "DaysAfterInitiation")} days`,
  ].filter(Boolean);
}

function lifecycleOf(e: Element): string {
  const parts = [first(e, "Prefix") && `keys below ${first(e, "Prefix")}`, ...all(e, "Tag").map((t) => `tagged ${text(t, "Key")} = ${text(t, "Value")}`)];
  return parts.filter(Boolean).join(", ") || "all objects";
}

function Lifecycle({ bucket }: { bucket: string }) {
  const got = useLoad(() => getConf(bucket, "lifecycle"), [bucket]);
  const action = useAction();
  const form = useSignal(0);
  const put = submits((f) => {
    const get = (what: string) => String(f.get(what) ?? "").trim();
    void action
      .run(async () => {
        const doc = (await getConf(bucket, "lifecycle")) ?? newDocument("LifecycleConfiguration");
        const rule = add(doc.documentElement, "Rule");
        add(rule, "ID", `rule-${Date.now().toString(36)}`);
        add(rule, "Status", "Enabled");
        add(add(rule, "Filter"), "Prefix", get("prefix"));
        if (get("what") === "Expiration") add(add(rule, "Expiration"), "Days", get("days"));
        else add(add(rule, "AbortIncompleteMultipartUpload"), "DaysAfterInitiation", get("days"));
        await putConf(bucket, "lifecycle", doc);
      })
      .then((ok) => ok && (form.value++, got.reload()));
  });
  const rules = got.data ? all(got.data, "Rule") : [];
  return (
    <section>
      <h2>How long objects stay</h2>
      <Problem what="The rules could not be read." error={got.error} retry={got.reload} />
      {got.data !== undefined && !rules.length && <p class="faint">Until somebody deletes them.</p>}
      <ul class="list">
        {rules.map((r, i) => (
          <li>
            <span class="grow">
              <strong>{lifecycleOf(r)}</strong> {lifecycleSays(r).join("; ") || "as the rule says"}
              {text(r, "Status") !== "Enabled" && <span class="tag">off</span>}
            </span>
            <Confirm label="Remove" class="quiet" title="Remove the rule?" act="Remove the rule" run={() => removeRule(bucket, "lifecycle", "Rule", i).then(got.reload)}>
              <p>It does nothing from now on.</p>
            </Confirm>
          </li>
        ))}
      </ul>
      <details>
        <summary>Add a rule</summary>
        <form key={form.value} class="narrow" onSubmit={put}>
          <Field label="Keys below" name="prefix" hint="Empty: all" />
          <div class="field">
            <label for="what">What happens</label>
            <select id="what" name="what">
              <option value="Expiration">objects are deleted</option>
              <option value="Abort">uploads that do not end are aborted</option>
            </select>
          </div>
          <Field label="After days" name="days" type="number" min="1" required defaultValue="30" />
          <Problem what="It was not added." error={action.error} />
          <button class="primary" disabled={action.busy}>
            Add the rule
          </button>
          <AsCommand
            aws={line("aws", "s3api", "put-bucket-lifecycle-configuration", "--bucket", bucket, "--lifecycle-configuration", "file://lifecycle.json")}
            endpoint={server().endpoint}
          />
        </form>
      </details>
    </section>
  );
}

// --- CORS ------------------------------------------------------------------------------------

const texts = (e: Element, tag: string) => all(e, tag).map((x) => x.textContent!);

function Cors({ bucket }: { bucket: string }) {
  const got = useLoad(() => getConf(bucket, "cors"), [bucket]);
  const action = useAction();
  const form = useSignal(0);
  const put = submits((f) => {
    const words = (what: string) => String(f.get(what) ?? "").split(/[\s,]+/).filter(Boolean);
    void action
      .run(async () => {
        const doc = (await getConf(bucket, "cors")) ?? newDocument("CORSConfiguration");
        const rule = add(doc.documentElement, "CORSRule");
        for (const o of words("origins")) add(rule, "AllowedOrigin", o);
        for (const m of words("methods")) add(rule, "AllowedMethod", m);
        add(rule, "AllowedHeader", "*");
        add(rule, "ExposeHeader", "ETag");
        await putConf(bucket, "cors", doc);
      })
      .then((ok) => ok && (form.value++, got.reload()));
  });
  const rules = got.data ? all(got.data, "CORSRule") : [];
  return (
    <section>
      <h2>Pages of other sites (CORS)</h2>
      <Problem what="The rules could not be read." error={got.error} retry={got.reload} />
      {got.data !== undefined && !rules.length && <p class="faint">None: no other site's page may read or write here.</p>}
      <ul class="list">
        {rules.map((r, i) => (
          <li>
            <span class="grow">
              <strong>{texts(r, "AllowedOrigin").join(", ")}</strong> may {texts(r, "AllowedMethod").join(", ")}
              {texts(r, "AllowedHeader").length > 0 && ` with headers ${texts(r, "AllowedHeader").join(", ")}`}
            </span>
            <Confirm label="Remove" class="quiet" title="Remove the rule?" act="Remove the rule" run={() => removeRule(bucket, "cors", "CORSRule", i).then(got.reload)}>
              <p>Browsers refuse those pages from now on.</p>
            </Confirm>
          </li>
        ))}
      </ul>
      <details>
        <summary>Let a site in</summary>
        <form key={form.value} class="narrow" onSubmit={put}>
          <Field label="Origins" name="origins" required placeholder="https://example.com" />
          <Field label="Methods" name="methods" required defaultValue="GET HEAD" />
          <Problem what="It was not added." error={action.error} />
          <button class="primary" disabled={action.busy}>
            Add it
          </button>
          <AsCommand aws={line("aws", "s3api", "put-bucket-cors", "--bucket", bucket, "--cors-configuration", "file://cors.json")} endpoint={server().endpoint} />
        </form>
      </details>
    </section>
  );
}

// --- uploads that have not ended -------------------------------------------------------------

async function begun(bucket: string) {
  const doc = await xml(await request(`${s3Path(bucket)}?uploads&max-uploads=100`));
  return all(doc, "Upload").map((u) => ({ key: text(u, "Key"), id: text(u, "UploadId"), at: text(u, "Initiated") }));
}

function Begun({ bucket }: { bucket: string }) {
  const got = useLoad(() => begun(bucket), [bucket]);
  const abort = (u: { key: string; id: string }) => request(`${s3Path(bucket, u.key)}?uploadId=${encodeURIComponent(u.id)}`, { method: "DELETE" }).then(got.reload);
  return (
    <section>
      <h2>Uploads that have not ended</h2>
      <Problem what="They could not be listed." error={got.error} retry={got.reload} />
      {got.data && !got.data.length && <p class="faint">None.</p>}
      <ul class="list">
        {got.data?.map((u) => (
          <li key={u.id}>
            <span class="clip">{u.key}</span>
            <span class="faint">
              begun <Time at={u.at} />
            </span>
            <Confirm label="Abort" class="quiet" title={`Abort the upload of ${u.key}?`} act="Abort it" run={() => abort(u)}>
              <p>The parts that have arrived are deleted.</p>
            </Confirm>
          </li>
        ))}
      </ul>
    </section>
  );
}
