// functions: a page of them at a time, by name; or those of all whose name or description matches.
import { type Fn, everyFunction, functionPage } from "../aws.ts";
import { FindBox, Found, findWords } from "../found.tsx";
import { here, part, withQuery } from "../router.ts";
import { Busy, Empty, Head, Problem, Time, bytes, useLoad } from "../ui.tsx";

const Matches = ({ words }: { words: string }) => (
  <Found
    ask={everyFunction}
    of={[]}
    words={words}
    text={(f: Fn) => `${f.FunctionName} ${f.Description}`}
    label="Functions"
    row={(f: Fn) => (
      <div class="item">
        <a href={`/functions/${part(f.FunctionName)}`}>{f.FunctionName}</a>
        <span class="faint clip">{f.Description}</span>
      </div>
    )}
  />
);

export default function Functions() {
  const marker = here.value.searchParams.get("after") ?? "";
  const got = useLoad(() => functionPage(marker), [marker]);
  const rows = got.data?.Functions;
  const words = findWords();
  return (
    <>
      <Head title="Functions">
        <a class="button primary" href="/create">
          Create
        </a>
      </Head>
      {(rows?.length || marker || words) && <FindBox label="Find functions" />}
      {words && <Matches words={words} />}
      <Problem what="The functions could not be listed." error={got.error} retry={got.reload} />
      {got.busy && !rows && <Busy />}
      {rows && !rows.length && !marker && (
        <Empty title="There is no function yet">
          Choose a blueprint that does the work, or begin with an empty handler. <a href="/create">Create a function</a>
        </Empty>
      )}
      {!words && !!rows?.length && (
        <table>
          <thead>
            <tr>
              <th>Name</th>
              <th class="wide">Description</th>
              <th class="wide num">Memory</th>
              <th class="wide num">Code</th>
              <th>Changed</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((f) => (
              <tr key={f.FunctionName}>
                <td>
                  <a href={`/functions/${part(f.FunctionName)}`}>{f.FunctionName}</a>
                </td>
                <td class="wide clip">{f.Description}</td>
                <td class="wide num">{f.MemorySize} MB</td>
                <td class="wide num">{bytes(f.CodeSize)}</td>
                <td>
                  <Time at={f.LastModified} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <nav class="row end" aria-label="Pages">
        {!words && marker && <a href={withQuery("after", null)}>First page</a>}
        {!words && got.data?.NextMarker && <a href={withQuery("after", got.data.NextMarker)}>Next page</a>}
      </nav>
    </>
  );
}
