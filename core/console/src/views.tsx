// views: which path shows what. Pages come when they are first opened, so that the first view stays
// small; a new page is a row here and a file in pages/.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Busy, Problem } from "./ui.tsx";
import { here } from "./router.ts";

export interface ViewProps {
  params: string[]; // what the path's groups matched, decoded
}

interface View {
  path: RegExp;
  load: () => Promise<{ default: ComponentType<ViewProps> }>;
}

const VIEWS: View[] = [
  { path: /^\/$/, load: () => import("./pages/overview.tsx") },
  { path: /^\/create(?:\/([^/]+))?$/, load: () => import("./pages/create.tsx") },
  { path: /^\/functions$/, load: () => import("./pages/functions.tsx") },
  { path: /^\/functions\/([^/]+)(?:\/([^/]+))?$/, load: () => import("./pages/function.tsx") },
  { path: /^\/buckets$/, load: () => import("./pages/buckets.tsx") },
  { path: /^\/runs$/, load: () => import("./pages/runs.tsx") },
  { path: /^\/runs\/([^/]+)$/, load: () => import("./pages/run.tsx") },
  { path: /^\/queue$/, load: () => import("./pages/queue.tsx") },
  { path: /^\/kv(?:\/([^/]+))?$/, load: () => import("./pages/kv.tsx") },
  { path: /^\/secrets$/, load: () => import("./pages/secrets.tsx") },
  { path: /^\/usage$/, load: () => import("./pages/usage.tsx") },
  { path: /^\/schedules$/, load: () => import("./pages/schedules.tsx") },
  { path: /^\/schedules\/(?:new|(rule|schedule)\/([^/]+))$/, load: () => import("./pages/schedule.tsx") },
  { path: /^\/buckets\/([^/]+)(?:\/([^/]+))?$/, load: () => import("./pages/bucket.tsx") },
  { path: /^\/access(?:\/([^/]+)(?:\/([^/]+))?)?$/, load: () => import("./pages/access.tsx") },
  { path: /^\/settings$/, load: () => import("./pages/server.tsx") },
];

// The navigation's rows.
export const PLACES: { path: string; label: string }[] = [
  { path: "/", label: "Overview" },
  { path: "/create", label: "Create" },
  { path: "/functions", label: "Functions" },
  { path: "/buckets", label: "Buckets" },
  { path: "/runs", label: "Runs" },
  { path: "/queue", label: "Queue" },
  { path: "/schedules", label: "Schedules" },
  { path: "/kv", label: "Key-value" },
  { path: "/secrets", label: "Secrets" },
  { path: "/usage", label: "Usage" },
  { path: "/access", label: "Access" },
  { path: "/settings", label: "Settings" },
];

const loaded = new Map<View, ComponentType<ViewProps>>();

function decoded(text: string | undefined) {
  try {
    return decodeURIComponent(text ?? "");
  } catch {
    return text ?? "";
  }
}

export function Current() {
  const path = here.value.pathname;
  const view = VIEWS.find((v) => v.path.test(path));
  const [, ready] = useState(0);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    if (!view || loaded.has(view)) return;
    setError(null);
    view.load().then(
      (m) => {
        loaded.set(view, m.default);
        ready((n) => n + 1);
      },
      (e) => setError(e),
    );
  }, [view]);
  if (!view)
    return (
      <div class="empty">
        <h1>There is no page here</h1>
        <p>
          <code>{path}</code> shows nothing. <a href="/">Go to the overview</a>
        </p>
      </div>
    );
  if (error) return <Problem what="The page could not be loaded." error={error} retry={() => location.reload()} />;
  const Page = loaded.get(view);
  return Page ? <Page params={view.path.exec(path)!.slice(1).map(decoded)} /> : <Busy />;
}
