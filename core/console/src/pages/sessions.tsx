// sessions: who is signed in to the console; each can be signed out from here.
import { call, request } from "../api.ts";
import { part } from "../router.ts";
import { Busy, Confirm, Problem, Time, useLoad } from "../ui.tsx";

interface SignedIn {
  id: string;
  current: boolean;
  identity: { name: string; arn: string };
  created_ms: number;
  seen_ms: number;
  address: string;
  agent: string;
}

export function Sessions() {
  const got = useLoad(() => call<{ sessions: SignedIn[] }>("GET", "/v1/sessions").then((d) => d.sessions.sort((a, b) => b.seen_ms - a.seen_ms)), []);
  const end = async (s: SignedIn) => {
    await request(`/v1/sessions/${part(s.id)}`, { method: "DELETE" });
    if (!s.current) got.reload();
  };
  return (
    <>
      <p class="lead">A session ends twelve hours after its last call, or with its access key.</p>
      <Problem what="The sessions could not be listed." error={got.error} retry={got.reload} />
      {!got.data && got.busy && <Busy />}
      {got.data && (
        <ul class="list">
          {got.data.map((s) => (
            <li key={s.id}>
              <strong title={s.identity.arn}>{s.identity.name}</strong>
              {s.current && <span class="tag">this one</span>}
              <span class="faint">from {s.address}</span>
              <span class="clip faint" title={s.agent}>
                {s.agent}
              </span>
              <span class="faint">
                seen <Time at={s.seen_ms} />
              </span>
              <Confirm label="Sign out" class="quiet" title={`Sign ${s.identity.name} out?`} act="Sign it out" run={() => end(s)}>
                <p>
                  The session from {s.address}, begun <Time at={s.created_ms} />, ends at once.
                </p>
              </Confirm>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
