// frame: what stands around every page: where one can go, the palette, the theme, who one is.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { signOut } from "./api.ts";
import { here } from "./router.ts";
import { session } from "./session.ts";
import { Said } from "./ui.tsx";
import { Current, PLACES } from "./views.tsx";
import { Palette, openPalette } from "./palette.tsx";

const menu = signal(false);

// --- theme: the system's, unless told ---------------------------------------------------------

const THEME = "perilune.theme";
const theme = signal(localStorage.getItem(THEME) ?? "");

export function applyTheme() {
  if (theme.value) document.documentElement.dataset.theme = theme.value;
}

export function switchTheme() {
  const dark = theme.value ? theme.value === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  theme.value = dark ? "light" : "dark";
  localStorage.setItem(THEME, theme.value);
  applyTheme();
}

// --- the frame -------------------------------------------------------------------------------

const isHere = (path: string) =>
  path === "/" ? here.value.pathname === "/" : `${here.value.pathname}/`.startsWith(`${path}/`);

function Nav() {
  return (
    <nav class={menu.value ? "side open" : "side"} id="nav" aria-label="Main">
      {PLACES.map((p) => (
        <a href={p.path} aria-current={isHere(p.path) ? "page" : undefined}>
          {p.label}
        </a>
      ))}
      <div class="who">
        <span class="faint" title={session.value!.identity.arn}>
          {session.value!.identity.name}
        </span>
        <button type="button" class="quiet" onClick={() => void signOut()}>
          Sign out
        </button>
      </div>
    </nav>
  );
}

export const Mark = () => (
  <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">
    <circle cx="12" cy="12" r="10" fill="none" stroke="currentColor" stroke-width="1.6" />
    <circle cx="9" cy="12" r="5.5" fill="currentColor" />
  </svg>
);

export function Frame() {
  useEffect(() => {
    menu.value = false;
  }, [here.value.pathname]);
  return (
    <div class="frame">
      <a class="skip" href="#main" onClick={(e) => (e.preventDefault(), document.getElementById("main")!.focus())}>
        Skip to the page
      </a>
      <header class="top">
        <button
          type="button"
          class="menu quiet"
          aria-expanded={menu.value}
          aria-controls="nav"
          aria-label="Menu"
          onClick={() => (menu.value = !menu.value)}
        >
          ☰
        </button>
        <a href="/" class="brand">
          <Mark /> Perilune
        </a>
        <button type="button" class="search" onClick={openPalette}>
          <span>Go to…</span> <kbd>Ctrl K</kbd>
        </button>
        <button type="button" class="quiet" onClick={switchTheme} aria-label="Switch between light and dark">
          ◐
        </button>
      </header>
      <Nav />
      <main id="main" tabIndex={-1}>
        <Current />
      </main>
      <Palette />
      <Said />
    </div>
  );
}
