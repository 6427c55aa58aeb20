// server: what this server is and how it was started: version, jail, limits, retention. Flags are set
// where it is started, so they are shown here with how to change them.
import { call } from "../api.ts";
import { server } from "../session.ts";
import { Busy, Head, Problem, bytes, copy, useLoad } from "../ui.tsx";
import { Backup, Scrub } from "./upkeep.tsx";

interface Flag {
  flag: string;
  arg: string;
  help: string;
  kind: "text" | "count" | "bytes" | "seconds" | "switch";
  value: string | number | boolean | null;
  default: string | null;
}

interface About {
  version: string;
  region: string;
  account: string;
  endpoint: string;
  console_url: string;
  uptime_ms: number;
  jail: { layer: string; in_force: boolean }[];
  settings: Flag[];
}

const LAYERS: Record<string, string> = {
  no_new_privs: "no program it runs could gain rights",
  landlock: "it sees no files and opens no ports",
  descriptors: "it holds nothing but its channel and bell",
  capabilities: "it has no powers of root",
  rlimits: "processor, memory, files and processes end at a limit",
  dumpable: "nobody reads its memory, and it leaves no core",
  parent: "it dies with the server",
  seccomp: "a short list of system calls, all others kill it",
};

const GROUPS: [string, string[]][] = [
  ["Limits", ["max-runners", "memory", "idle-timeout", "queue-max-rows", "queue-max-bytes", "event-rate", "store-max", "log-max"]],
  ["Retention", ["runs-keep", "runs-sample", "runs-age", "lifecycle-day"]],
  ["Addresses", ["listen", "public-url", "console-listen", "console-url", "domain", "trusted-proxy", "behind-tls-proxy"]],
];

const SPANS: [number, string][] = [
  [86_400, "day"],
  [3600, "hour"],
  [60, "minute"],
  [1, "second"],
];

export function span(seconds: number) {
  const [size, word] = SPANS.find(([s]) => seconds >= s && (seconds % s === 0 || seconds > 100 * s)) ?? [1, "second"];
  const n = Math.floor(seconds / size!);
  return `${n} ${word}${n === 1 ? "" : "s"}`;
}

function shown(f: Flag): string {
  if (f.flag === "memory" && f.value === 0) return "half of the machine's";
  if (f.flag === "event-rate" && f.value === 0) return "no brake";
  if (f.value === null) return "as it is by itself";
  if (f.kind === "bytes") return bytes(f.value as number);
  if (f.kind === "seconds") return span(f.value as number);
  if (f.kind === "count") return (f.value as number).toLocaleString();
  if (f.kind === "switch") return f.value ? "on" : "off";
  return String(f.value);
}

function Flags({ title, flags }: { title: string; flags: Flag[] }) {
  if (!flags.length) return null;
  return (
    <section>
      <h2>{title}</h2>
      <table class="settings">
        <tbody>
          {flags.map((f) => (
            <tr key={f.flag}>
              <th scope="row">
                <code>--{f.flag}</code>
              </th>
              <td class="break">{shown(f)}</td>
              <td class="faint">{f.help}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

export default function ServerSettings() {
  const got = useLoad(() => call<About>("GET", "/v1/settings"), []);
  const a = got.data;
  const named = new Set(GROUPS.flatMap(([, names]) => names));
  const missing = a?.jail.filter((l) => !l.in_force) ?? [];
  return (
    <>
      <Head title="Settings" />
      <Problem what="The settings could not be read." error={got.error} retry={got.reload} />
      {!a && got.busy && <Busy />}
      {a && (
        <>
          <p class="facts">
            <strong>Perilune {a.version}</strong>
            <span>up for {span(Math.max(1, Math.floor(a.uptime_ms / 1000)))}</span>
            <span class="faint">{a.region}</span>
            <span class="faint">{a.account}</span>
          </p>
          <h2>API</h2>
          <p class="row">
            <code>{a.endpoint}</code>
            <button type="button" onClick={() => void copy(`export AWS_ENDPOINT_URL=${a.endpoint} AWS_REGION=${server().region}`)}>
              Copy for the aws command
            </button>
          </p>
          <h2>What holds a function in</h2>
          {missing.length > 0 && (
            <div class="problem" role="alert">
              <strong>Not every layer is in force.</strong>
              <span>The server was started with --allow-weak-jail, or this kernel lacks one: functions are less well fenced in than they should be.</span>
            </div>
          )}
          <ul class="list">
            {a.jail.map((l) => (
              <li key={l.layer}>
                <strong class={l.in_force ? "good-text" : "bad"}>{l.in_force ? "in force" : "missing"}</strong>
                <code>{l.layer}</code>
                <span class="faint">{LAYERS[l.layer]}</span>
              </li>
            ))}
          </ul>
          {GROUPS.map(([title, names]) => (
            <Flags title={title} flags={names.flatMap((n) => a.settings.find((f) => f.flag === n) ?? [])} />
          ))}
          <Flags title="The rest" flags={a.settings.filter((f) => !named.has(f.flag))} />
          <Backup />
          <Scrub />
          <p class="faint">
            Flags are given where the server is started: <code>/etc/default/perilune</code> for the service, then <code>systemctl restart perilune</code>; or each as{" "}
            <code>PERILUNE_NAME</code> in its environment. How long a function's log is kept is in the function's settings.
          </p>
        </>
      )}
    </>
  );
}
