// router: the address bar is the state. Every view is a path; links are plain <a href="/…">, so that
// they open in tabs, can be copied, and work by keyboard without anybody's help.
import { signal } from "@preact/signals";

export const here = signal(new URL(location.href));

function arrived() {
  here.value = new URL(location.href);
}

export function go(path: string, replace = false) {
  if (replace) history.replaceState(null, "", path);
  else history.pushState(null, "", path);
  arrived();
  if (!replace) scrollTo(0, 0);
}

// The same path with one parameter of its query set, or taken away.
export function withQuery(name: string, value: string | null): string {
  const u = new URL(here.value);
  if (value === null || value === "") u.searchParams.delete(name);
  else u.searchParams.set(name, value);
  return u.pathname + u.search;
}

export const part = (text: string) => encodeURIComponent(text);

addEventListener("popstate", arrived);
document.addEventListener("click", (e) => {
  if (e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
  const a = (e.target as Element).closest?.("a");
  const path = a?.getAttribute("href");
  if (!a || !path?.startsWith("/") || a.target || a.hasAttribute("download")) return;
  e.preventDefault();
  go(path);
});
