// notifications: which functions the bucket calls, and for what.
import { useSignal } from "@preact/signals";
import { functionConfig, functionPage } from "../aws.ts";
import { EVENTS, addNotification, functionOf, notifications, removeNotification, when } from "../notifications.ts";
import { part } from "../router.ts";
import { server } from "../session.ts";
import { AsCommand, Busy, Confirm, Empty, Field, Problem, line, submits, useAction, useLoad } from "../ui.tsx";

export function Notifications({ bucket }: { bucket: string }) {
  const got = useLoad(() => notifications(bucket), [bucket]);
  return (
    <>
      <Problem what="The notifications could not be read." error={got.error} retry={got.reload} />
      {!got.data && got.busy && <Busy />}
      {got.data && !got.data.length && <Empty title="Nothing happens when an object comes or goes">Name a function below, and it runs for each.</Empty>}
      <ul class="flow">
        {got.data?.map((n) => (
          <li key={n.id}>
            <span class="node own">{bucket}</span>
            <span class="arrow">{when(n)}</span>
            <a class="node" href={`/functions/${part(functionOf(n.arn))}/triggers`}>
              <span class="tag">function</span> {functionOf(n.arn)}
            </a>
            <Confirm label="Remove" title="Remove the notification?" act={`Remove ${functionOf(n.arn)}`} run={() => removeNotification(n).then(got.reload)}>
              <p>
                What happens in {bucket} no longer calls {functionOf(n.arn)}. Both stay.
              </p>
            </Confirm>
          </li>
        ))}
      </ul>
      {got.data && <Add bucket={bucket} done={got.reload} />}
    </>
  );
}

function Add({ bucket, done }: { bucket: string; done: () => void }) {
  const some = useLoad(() => functionPage("", 200).then((p) => p.Functions), []);
  const action = useAction();
  const form = useSignal(0); // a new one when it was added
  const add = submits((f) => {
    const get = (what: string) => String(f.get(what) ?? "").trim();
    void action
      .run(async () => {
        const fn = await functionConfig(get("function"));
        const events = get("event") === "all" ? EVENTS.map(([e]) => e) : [get("event")];
        await addNotification({ bucket, arn: fn.FunctionArn, events, prefix: get("prefix"), suffix: get("suffix") }, server().account);
      })
      .then((ok) => ok && (form.value++, done()));
  });
  return (
    <section>
      <h2>Add a notification</h2>
      <form key={form.value} class="narrow" onSubmit={add}>
        <Field label="Function" name="function" list="functions" required />
        <datalist id="functions">
          {some.data?.map((f) => (
            <option value={f.FunctionName} />
          ))}
        </datalist>
        <div class="field">
          <label for="event">When an object is</label>
          <select id="event" name="event">
            {EVENTS.map(([value, label]) => (
              <option value={value}>{label}</option>
            ))}
            <option value="all">created or removed</option>
          </select>
        </div>
        <Field label="Only keys that begin with" name="prefix" />
        <Field label="Only keys that end in" name="suffix" />
        <Problem what="It was not added." error={action.error} />
        <button class="primary" disabled={action.busy}>
          Add it
        </button>
        <AsCommand
          aws={line("aws", "s3api", "put-bucket-notification-configuration", "--bucket", bucket, "--notification-configuration", "file://notification.json")}
          endpoint={server().endpoint}
        />
      </form>
    </section>
  );
}
