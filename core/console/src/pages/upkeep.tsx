// upkeep: a backup to take home, and a look at whether everything that is stored can be read.
import { useSignal } from "@preact/signals";
import { request } from "../api.ts";
import { AsCommand, Problem, bytes, say, useAction } from "../ui.tsx";

export function Backup() {
  const key = useSignal(true);
  const action = useAction();
  const take = async () => {
    // Chromium and Firefox keep a large blob on disk, not in memory.
    const data = await (await request(`/v1/backup${key.value ? "" : "?without_key=1"}`)).blob();
    const a = document.createElement("a");
    a.href = URL.createObjectURL(data);
    a.download = `perilune-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.backup`;
    a.click();
    setTimeout(() => URL.revokeObjectURL(a.href), 60_000);
    say(`The backup is here: ${bytes(data.size)}.`);
  };
  return (
    <section>
      <h2>Backup</h2>
      <p class="faint">Everything as it is now, while the server goes on. Put it back with perilune restore.</p>
      <label class="check">
        <input type="checkbox" checked={key.value} onChange={(e) => (key.value = e.currentTarget.checked)} /> With the master key: without it, secrets and access keys in it cannot be read; with it, the file is as secret as the server
      </label>
      <Problem what="There is no backup." error={action.error} />
      <button type="button" disabled={action.busy} onClick={() => void action.run(take)}>
        {action.busy ? "Taking it…" : "Take a backup"}
      </button>
      <AsCommand perilune={`perilune backup FILE${key.value ? "" : " --without-key"}`} />
    </section>
  );
}

interface Told {
  done?: boolean;
  [what: string]: unknown;
}

export function Scrub() {
  const told = useSignal<Told[]>([]);
  const now = useSignal<Told | null>(null);
  const action = useAction();
  const look = async () => {
    told.value = [];
    now.value = null;
    const r = await request("/v1/scrub", { method: "POST" });
    const reader = r.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const lines = (text + part.value).split("\n");
      text = lines.pop()!;
      for (const l of lines.filter(Boolean)) {
        const t = JSON.parse(l) as Told;
        now.value = t;
        if (typeof t.damaged === "string") told.value = [...told.value, t];
      }
    }
    if (!now.value?.done) throw new Error("It was broken off before it had looked at everything.");
  };
  const end = now.value;
  return (
    <section>
      <h2>Is everything there?</h2>
      <p class="faint">Reads all records and bodies and compares them with their digests. It takes as long as reading the disk does.</p>
      <Problem what="It was not looked through." error={action.error} />
      <button type="button" disabled={action.busy} onClick={() => void action.run(look)}>
        {action.busy ? "Looking…" : "Look through everything"}
      </button>
      {end && (
        <p class="facts" role="status">
          {end.done && <strong class={told.value.length ? "bad" : "good-text"}>{told.value.length ? `${told.value.length} findings` : "Everything is there"}</strong>}
          {Object.entries(end)
            .filter(([name, n]) => typeof n === "number" && name !== "ms")
            .map(([name, n]) => (
              <span>
                {name === "bytes" ? bytes(n as number) : `${(n as number).toLocaleString()} ${name}`}
              </span>
            ))}
        </p>
      )}
      <ul class="list">
        {told.value.slice(0, 100).map((t) => (
          <li>
            <code class="bad break">{JSON.stringify(t)}</code>
          </li>
        ))}
      </ul>
      <AsCommand perilune="perilune scrub" />
    </section>
  );
}
