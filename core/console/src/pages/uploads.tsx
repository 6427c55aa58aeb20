// uploads: one file on its way.
import { type Upload, cancel, hold, isLarge, resume } from "../upload.ts";
import { bytes } from "../ui.tsx";

const SAID = { waiting: "Waits", sending: "", paused: "Paused", done: "Uploaded", failed: "Failed" };

export function UploadRow({ u }: { u: Upload }) {
  const state = u.state.value;
  const part = u.file.size ? Math.floor((u.sent.value / u.file.size) * 100) : 0;
  const why = state === "failed" ? `: ${(u.error.value as Error).message}` : "";
  const under = state === "done" ? `, ${bytes(u.file.size)}` : state === "paused" ? ` at ${part} %` : "";
  return (
    <div class="upload">
      <span class="clip" title={u.key}>
        {u.key}
      </span>
      {(state === "sending" || state === "waiting") && <progress max={u.file.size || 1} value={u.sent.value} aria-label={`Upload of ${u.key}`} />}
      <span class={state === "failed" ? "bad" : state === "done" ? "good-text" : "faint"}>
        {state === "sending" ? `${part} %` : SAID[state] + why + under}
      </span>
      {state === "sending" && isLarge(u) && (
        <button type="button" class="quiet" onClick={() => hold(u)}>
          Pause
        </button>
      )}
      {(state === "paused" || state === "failed") && (
        <button type="button" onClick={() => resume(u)}>
          {state === "paused" ? "Go on" : "Try again"}
        </button>
      )}
      <button type="button" class="quiet" aria-label={state === "done" ? `Forget ${u.key}` : `Cancel ${u.key}`} onClick={() => cancel(u)}>
        {state === "done" ? "✕" : "Cancel"}
      </button>
    </div>
  );
}
