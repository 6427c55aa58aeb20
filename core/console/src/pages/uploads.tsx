// uploads: one file on its way.
import { type Upload, dismiss, retry } from "../upload.ts";
import { bytes } from "../ui.tsx";

export function UploadRow({ u }: { u: Upload }) {
  const state = u.state.value;
  return (
    <div class="upload">
      <span class="clip">{u.key}</span>
      {state === "sending" || state === "waiting" ? (
        <>
          <progress max={u.file.size || 1} value={u.sent.value} aria-label={`Upload of ${u.key}`} />
          <button type="button" class="quiet" onClick={() => u.stop.abort()}>
            Stop
          </button>
        </>
      ) : (
        <>
          <span class={state === "done" ? "good-text" : "bad"}>
            {state === "done" ? `Uploaded, ${bytes(u.file.size)}` : `Failed: ${(u.error.value as Error).message}`}
          </span>
          {state === "failed" && (
            <button type="button" onClick={() => retry(u)}>
              Try again
            </button>
          )}
          <button type="button" class="quiet" aria-label={`Forget ${u.key}`} onClick={() => dismiss(u)}>
            ✕
          </button>
        </>
      )}
    </div>
  );
}
