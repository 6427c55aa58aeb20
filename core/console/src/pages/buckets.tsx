// buckets: all of them, filtered here; making one.
import { useSignal } from "@preact/signals";
import { request } from "../api.ts";
import { buckets, s3Path } from "../aws.ts";
import { go, part } from "../router.ts";
import { server } from "../session.ts";
import { AsCommand, Busy, Empty, Field, Head, Problem, Rows, Time, bound, line, submits, useAction, useLoad } from "../ui.tsx";

export default function Buckets() {
  const got = useLoad(buckets, []);
  const filter = useSignal("");
  const name = useSignal("");
  const action = useAction();
  const rows = got.data?.filter((b) => b.name.includes(filter.value));
  const make = async () => {
    await request(s3Path(name.value), { method: "PUT" });
    go(`/buckets/${part(name.value)}`);
  };
  return (
    <>
      <Head title="Buckets" />
      <Problem what="The buckets could not be listed." error={got.error} retry={got.reload} />
      {!got.data && got.busy && <Busy />}
      {got.data && !got.data.length && (
        <Empty title="There is no bucket yet">Name one below, then drop files into it. A blueprint makes its own.</Empty>
      )}
      {got.data && got.data.length > 20 && (
        <input type="search" aria-label="Filter the buckets" placeholder="Filter" value={filter.value} onInput={(e) => (filter.value = e.currentTarget.value)} />
      )}
      {rows && rows.length > 0 && (
        <Rows
          rows={rows}
          count={rows.length}
          height={40}
          label="Buckets"
          row={(b) => (
            <div class="item">
              <a href={`/buckets/${part(b.name)}`}>{b.name}</a>
              <span class="faint">
                <Time at={b.created} />
              </span>
            </div>
          )}
        />
      )}
      <h2>Make a bucket</h2>
      <form class="narrow" onSubmit={submits(() => void action.run(make))}>
        <Field label="Name" required pattern="[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]" title="3 to 63 small letters, digits, - and ." hint="3 to 63 small letters, digits, hyphens and dots" {...bound(name)} />
        <Problem what="It was not made." error={action.error} />
        <button disabled={action.busy}>Make</button>
        <AsCommand
          perilune={line("perilune", "bucket", "create", name.value || "NAME")}
          aws={line("aws", "s3", "mb", `s3://${name.value || "NAME"}`)}
          endpoint={server().endpoint}
        />
      </form>
    </>
  );
}
