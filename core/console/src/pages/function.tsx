// function: one function's head and its views.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { type Fn, functionConfig } from "../aws.ts";
import { part } from "../router.ts";
import { Busy, Head, Problem, Tabs, useLoad } from "../ui.tsx";
import type { ViewProps } from "../views.tsx";
import { LogsTab } from "./logs.tsx";

export interface TabProps {
  fn: Fn;
  reload: () => void; // after the configuration was changed
}

const LATER: Record<string, () => Promise<{ default: ComponentType<TabProps> }>> = {
  code: () => import("./code.tsx"),
  test: () => import("./test.tsx"),
  runs: () => import("./runs_tab.tsx"),
  metrics: () => import("./metrics.tsx"),
  triggers: () => import("./triggers.tsx"),
  permissions: () => import("./permissions.tsx"),
  versions: () => import("./versions.tsx"),
  settings: () => import("./settings.tsx"),
};

const TABS: [string, string][] = [
  ["code", "Code"],
  ["test", "Test"],
  ["runs", "Runs"],
  ["logs", "Logs"],
  ["metrics", "Metrics"],
  ["triggers", "Triggers"],
  ["permissions", "Permissions"],
  ["versions", "Versions"],
  ["settings", "Settings"],
];

function Later({ tab, ...rest }: TabProps & { tab: string }) {
  const [got, set] = useState<{ tab: string; View: ComponentType<TabProps> } | null>(null);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    LATER[tab]!().then((m) => set({ tab, View: m.default }), setError);
  }, [tab]);
  if (error) return <Problem what="This view could not be loaded." error={error} retry={() => location.reload()} />;
  return got?.tab === tab ? <got.View {...rest} /> : <Busy />;
}

export default function FunctionPage({ params: [name, view] }: ViewProps) {
  const got = useLoad(() => functionConfig(name!), [name]);
  const tab = view || "code";
  return (
    <>
      <Head title={name!} above={<a href="/functions">Functions</a>}>
        {got.data && <span class="faint clip">{got.data.Description}</span>}
      </Head>
      <Tabs base={`/functions/${part(name!)}`} now={tab} tabs={TABS} />
      <Problem what="The function could not be read." error={got.error} retry={got.reload} />
      {!got.data && got.busy && <Busy />}
      {got.data && tab === "logs" && <LogsTab fn={got.data} reload={got.reload} />}
      {got.data && tab in LATER && <Later tab={tab} fn={got.data} reload={got.reload} />}
      {got.data && tab !== "logs" && !(tab in LATER) && <p class="empty">There is no view of that name.</p>}
    </>
  );
}
