// triggers: what calls the function; add and remove.
import { useSignal } from "@preact/signals";
import { buckets } from "../aws.ts";
import { server } from "../session.ts";
import { addS3Trigger, addUrl, functionUrl, removeS3Trigger, removeUrl, s3Triggers } from "../triggers.ts";
import { AsCommand, Busy, Confirm, Empty, Field, Problem, copy, line, submits, useAction, useLoad } from "../ui.tsx";
import type { TabProps } from "./function.tsx";

export default function Triggers({ fn }: TabProps) {
  const name = fn.FunctionName;
  const got = useLoad(
    async () => {
      const [s3, url] = await Promise.all([s3Triggers(name, fn.FunctionArn), functionUrl(name)]);
      return { s3, url };
    },
    [fn.FunctionArn],
  );
  const adding = useSignal("");
  if (!got.data) return got.error ? <Problem what="The triggers could not be read." error={got.error} retry={got.reload} /> : <Busy />;
  const { s3, url } = got.data;
  const added = () => {
    adding.value = "";
    got.reload();
  };
  return (
    <>
      {!s3.length && !url && (
        <Empty title="Nothing calls this function by itself">
          Add a bucket below, and it runs for each upload; add a URL, and it answers requests. A test event runs it now.
        </Empty>
      )}
      <ul class="flow">
        {s3.map((t) => (
          <li>
            <a class="node" href={`/buckets/${encodeURIComponent(t.bucket)}`}>
              <span class="tag">bucket</span> {t.bucket}
            </a>
            <span class="arrow">
              {t.events.map((e) => e.replace(/^s3:/, "")).join(", ")}
              {t.prefix && ` below ${t.prefix}`}
              {t.suffix && ` ending in ${t.suffix}`}
            </span>
            <span class="node own">{name}</span>
            <Confirm label="Remove" title="Remove the trigger?" act={`Remove ${t.bucket}`} run={() => removeS3Trigger(t).then(got.reload)}>
              <p>
                Uploads into {t.bucket} no longer call {name}. Both stay.
              </p>
            </Confirm>
          </li>
        ))}
        {url && (
          <li>
            <span class="node">
              <span class="tag">url</span>{" "}
              <a href={url.FunctionUrl} target="_blank" rel="noopener noreferrer">
                {url.FunctionUrl}
              </a>
            </span>
            <span class="arrow">{url.AuthType === "NONE" ? "anybody" : "signed requests"}</span>
            <span class="node own">{name}</span>
            <button type="button" onClick={() => void copy(url.FunctionUrl)}>
              Copy
            </button>
            <Confirm label="Remove" title="Remove the URL?" act="Remove the URL" run={() => removeUrl(name).then(got.reload)}>
              <p>Requests to {url.FunctionUrl} are no longer answered.</p>
            </Confirm>
          </li>
        )}
      </ul>
      <div class="row">
        <button type="button" aria-expanded={adding.value === "s3"} onClick={() => (adding.value = adding.value === "s3" ? "" : "s3")}>
          Add a bucket
        </button>
        {!url && (
          <button type="button" aria-expanded={adding.value === "url"} onClick={() => (adding.value = adding.value === "url" ? "" : "url")}>
            Add a URL
          </button>
        )}
      </div>
      {adding.value === "s3" && <AddBucket fn={fn} done={added} />}
      {adding.value === "url" && <AddUrl name={name} done={added} />}
    </>
  );
}

function AddBucket({ fn, done }: { fn: TabProps["fn"]; done: () => void }) {
  const all = useLoad(buckets, []);
  const action = useAction();
  const add = submits((f) => {
    const get = (what: string) => String(f.get(what) ?? "").trim();
    const t = { bucket: get("bucket"), events: [get("event")], prefix: get("prefix"), suffix: get("suffix") };
    void action.run(() => addS3Trigger(fn.FunctionName, fn.FunctionArn, t, server().account)).then((ok) => ok && done());
  });
  return (
    <form class="panel narrow" onSubmit={add}>
      <Field label="Bucket" name="bucket" list="buckets" required />
      <datalist id="buckets">
        {all.data?.slice(0, 500).map((b) => (
          <option value={b.name} />
        ))}
      </datalist>
      <div class="field">
        <label for="event">When an object is</label>
        <select id="event" name="event">
          <option value="s3:ObjectCreated:*">created</option>
          <option value="s3:ObjectRemoved:*">removed</option>
        </select>
      </div>
      <Field label="Only keys that begin with" name="prefix" />
      <Field label="Only keys that end in" name="suffix" />
      <Problem what="It was not added." error={action.error} />
      <button class="primary" disabled={action.busy}>
        Add the bucket
      </button>
      <AsCommand
        aws={`aws s3api put-bucket-notification-configuration --bucket BUCKET --notification-configuration file://notification.json`}
        endpoint={server().endpoint}
      />
    </form>
  );
}

function AddUrl({ name, done }: { name: string; done: () => void }) {
  const action = useAction();
  const open = useSignal(true);
  const add = submits(() => void action.run(() => addUrl(name, open.value)).then((ok) => ok && done()));
  return (
    <form class="panel narrow" onSubmit={add}>
      <label class="check">
        <input type="radio" name="auth" checked={open.value} onChange={() => (open.value = true)} /> Anybody may call it
      </label>
      <label class="check">
        <input type="radio" name="auth" checked={!open.value} onChange={() => (open.value = false)} /> Signed requests only
      </label>
      <Problem what="It was not added." error={action.error} />
      <button class="primary" disabled={action.busy}>
        Add the URL
      </button>
      <AsCommand
        aws={line("aws", "lambda", "create-function-url-config", "--function-name", name, "--auth-type", open.value ? "NONE" : "AWS_IAM")}
        endpoint={server().endpoint}
      />
    </form>
  );
}
