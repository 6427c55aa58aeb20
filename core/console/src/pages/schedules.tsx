// schedules: rules and schedules together: when each is due next, run now, pause.
import { useSignal } from "@preact/signals";
import { type Schedule, act, schedulePage } from "../schedules.ts";
import { span, when } from "../runs.ts";
import { functionOf } from "../notifications.ts";
import { here, part, withQuery } from "../router.ts";
import { AsCommand, Busy, Empty, Head, Problem, Time, line, say, useAction, useLoad } from "../ui.tsx";

export const schedulePath = (s: { kind: string; name: string }) => `/schedules/${s.kind}/${part(s.name)}`;

// "rule", "on" and the like.
export const OnTag = ({ s }: { s: Schedule }) => <span class={s.state === "ENABLED" ? "tag ok" : "tag warn"}>{s.state === "ENABLED" ? "on" : "paused"}</span>;

// Runs now; pauses or resumes.
export function Actions({ s, done }: { s: Schedule; done: () => void }) {
  const action = useAction();
  const on = s.state === "ENABLED";
  const doing = (what: "run" | "pause" | "resume", word: string) => action.run(() => act(s, what).then(() => (say(word), done())));
  return (
    <>
      <button type="button" disabled={action.busy} aria-label={`Run now: ${s.name}`} onClick={() => void doing("run", `${s.name} runs now, beside its times.`)}>
        Run now
      </button>
      <button
        type="button"
        disabled={action.busy}
        aria-label={`${on ? "Pause" : "Resume"} ${s.name}`}
        onClick={() => void doing(on ? "pause" : "resume", on ? `${s.name} is paused.` : `${s.name} is on; what was due meanwhile is not made up for.`)}
      >
        {on ? "Pause" : "Resume"}
      </button>
      <Problem what="It was not done." error={action.error} />
    </>
  );
}

export function Targets({ s }: { s: Schedule }) {
  if (!s.targets.length) return <span class="warn">nothing yet</span>;
  return (
    <>
      {s.targets.map((arn, i) => (
        <>
          {i > 0 && ", "}
          <a href={`/functions/${part(functionOf(arn))}`}>{functionOf(arn)}</a>
        </>
      ))}
    </>
  );
}

export default function Schedules() {
  const after = here.value.searchParams.get("after") ?? "";
  const got = useLoad(() => schedulePage(after), [after]);
  const filter = useSignal("");
  const rows = got.data?.schedules.filter((s) => s.name.includes(filter.value));
  return (
    <>
      <Head title="Schedules">
        <a class="button primary" href="/schedules/new">
          New schedule
        </a>
      </Head>
      <Problem what="The schedules could not be listed." error={got.error} retry={got.reload} />
      {got.busy && !got.data && <Busy />}
      {got.data && !got.data.schedules.length && !after && (
        <Empty title="Nothing runs by the clock yet">
          A schedule calls a function at times that you choose, in your time zone. <a href="/schedules/new">Make a schedule</a>
        </Empty>
      )}
      {got.data && got.data.schedules.length > 10 && (
        <div class="row bar">
          <input type="search" aria-label="Filter the schedules" placeholder="Filter" value={filter.value} onInput={(e) => (filter.value = e.currentTarget.value)} />
        </div>
      )}
      {!!rows?.length && (
        <table>
          <thead>
            <tr>
              <th>Name</th>
              <th>Next</th>
              <th class="wide">Calls</th>
              <th class="wide">
                <span class="hidden">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((s) => (
              <tr key={`${s.kind}/${s.name}`}>
                <td class="break">
                  <a href={schedulePath(s)}>{s.name}</a> <span class="tag">{s.kind}</span> <OnTag s={s} />
                  <code class="faint">{s.expression}</code>
                  {s.timezone !== "UTC" && <span class="faint">{s.timezone}</span>}
                </td>
                <td>
                  {s.next[0] ? (
                    <>
                      <Time at={s.next[0]} format={when(s.next[0])} /> <span class="faint">in {span(Date.parse(s.next[0]) - Date.now())}</span>
                    </>
                  ) : (
                    <span class="faint">{s.state === "ENABLED" ? "never again" : "when resumed"}</span>
                  )}
                </td>
                <td class="wide break">
                  <Targets s={s} />
                </td>
                <td class="wide">
                  <div class="row end">
                    <Actions s={s} done={got.reload} />
                  </div>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <nav class="row end" aria-label="Pages">
        {after && <a href={withQuery("after", null)}>First page</a>}
        {got.data?.cursor && <a href={withQuery("after", got.data.cursor)}>Next page</a>}
      </nav>
      <AsCommand perilune={line("perilune", "schedule", "list")} />
    </>
  );
}
