// blank: a function of a few lines, and a role of its own that may write its log.
import { useSignal } from "@preact/signals";
import { call } from "../api.ts";
import { iam } from "../iam.ts";
import { go, part } from "../router.ts";
import { server } from "../session.ts";
import { AsCommand, Field, Head, Problem, bound, shell, submits, useAction } from "../ui.tsx";
import { base64, zip } from "../zip.ts";

const HANDLER = `local M = {}

-- Runs once for each event; what it returns is the answer.
function M.main(event, context)
  log.info("called", { request = context.request_id })
  return { hello = event.name or "world" }
end

return M
`;

const TRUST = JSON.stringify({
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Principal: { Service: "lambda.amazonaws.com" }, Action: "sts:AssumeRole" }],
});

export function Blank() {
  const name = useSignal("hello");
  const memory = useSignal("64");
  const timeout = useSignal("10");
  const action = useAction();
  const role = `${name.value}-role`;
  const create = async () => {
    const { account, region } = server();
    await iam("CreateRole", { RoleName: role, AssumeRolePolicyDocument: TRUST });
    try {
      const Resource = `arn:aws:logs:${region}:${account}:log-group:/aws/lambda/${name.value}:*`;
      const Action = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"];
      const PolicyDocument = JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", Action, Resource }] });
      await iam("PutRolePolicy", { RoleName: role, PolicyName: "permissions", PolicyDocument });
      await call("POST", "/v1/aws/lambda/2015-03-31/functions", {
        FunctionName: name.value,
        Runtime: "lua",
        Handler: "handler.main",
        Role: `arn:aws:iam::${account}:role/${role}`,
        MemorySize: Number(memory.value),
        Timeout: Number(timeout.value),
        Code: { ZipFile: await base64(await zip({ "handler.lua": HANDLER })) },
      });
    } catch (e) {
      // Nothing is left of a function that was not made.
      await iam("DeleteRolePolicy", { RoleName: role, PolicyName: "permissions" }).catch(() => {});
      await iam("DeleteRole", { RoleName: role }).catch(() => {});
      throw e;
    }
    go(`/functions/${part(name.value)}/code`);
  };
  const aws =
    `aws lambda create-function --function-name ${shell(name.value)} --runtime lua --handler handler.main ` +
    `--role ${shell(`arn:aws:iam::${server().account}:role/${role}`)} --memory-size ${memory.value} ` +
    `--timeout ${timeout.value} --zip-file fileb://function.zip`;
  return (
    <>
      <Head title="A blank function" above={<a href="/create">Create a function</a>} />
      <div class="two">
        <form onSubmit={submits(() => void action.run(create))}>
          <Field label="Name of the function" required pattern="[A-Za-z0-9_\-]{1,59}" title="Letters, digits, - and _; at most 59" {...bound(name)} />
          <Field label="Memory, MB" type="number" min="1" required hint="At most this much, in each of its states" {...bound(memory)} />
          <Field label="Timeout, seconds" type="number" min="1" max="900" required {...bound(timeout)} />
          <Problem what="It was not created." error={action.error} />
          <button class="primary" disabled={action.busy}>
            {action.busy ? "Creating…" : "Create"}
          </button>
          <AsCommand perilune={`perilune init ${shell(name.value)} && cd ${shell(name.value)} && perilune deploy`} aws={aws} endpoint={server().endpoint} />
        </form>
        <section class="panel">
          <h2>This will be created</h2>
          <ul class="plain">
            <li>
              <span class="tag">function</span> {name}
            </li>
            <li>
              <span class="tag">role</span> {role}, which may write the function's log and nothing else
            </li>
          </ul>
          <h2>handler.lua</h2>
          <pre>{HANDLER}</pre>
        </section>
      </div>
    </>
  );
}
