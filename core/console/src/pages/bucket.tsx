// bucket: one bucket's head and its views.
import type { ComponentType } from "preact";
import { request } from "../api.ts";
import { s3Path } from "../aws.ts";
import { go, part } from "../router.ts";
import { Confirm, Head, Tabs } from "../ui.tsx";
import type { ViewProps } from "../views.tsx";
import { Notifications } from "./notifications.tsx";
import { Objects } from "./objects.tsx";
import { Rules } from "./rules.tsx";

const TABS: [string, string][] = [
  ["objects", "Objects"],
  ["notifications", "Notifications"],
  ["rules", "Rules"],
];
const VIEWS: Record<string, ComponentType<{ bucket: string }>> = { objects: Objects, notifications: Notifications, rules: Rules };

export default function BucketPage({ params: [name, view] }: ViewProps) {
  const bucket = name!;
  const tab = view || "objects";
  const View = VIEWS[tab];
  const remove = async () => {
    await request(s3Path(bucket), { method: "DELETE" });
    go("/buckets");
  };
  return (
    <>
      <Head title={bucket} above={<a href="/buckets">Buckets</a>}>
        <Confirm label="Delete the bucket" title={`Delete the bucket ${bucket}?`} act={`Delete ${bucket}`} run={remove}>
          <p>Only an empty bucket can be deleted. It cannot be undone.</p>
        </Confirm>
      </Head>
      <Tabs base={`/buckets/${part(bucket)}`} now={tab} tabs={TABS} />
      {View ? <View key={bucket} bucket={bucket} /> : <p class="empty">There is no view of that name.</p>}
    </>
  );
}
