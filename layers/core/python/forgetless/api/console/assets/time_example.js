// The example of time travel: two memories with a past, imported for a user id of their own.

import { eraseUser } from "./adds.js";
import { call } from "./api.js";

const event = (kind, memory) => JSON.stringify({ type: "event", kind, memory });

// Writes it anew: Ana lives in Lisbon from January on; on 20 May she says that she moved to Berlin on 10 May.
export async function writeExample(user) {
  await eraseUser(user);
  const [lisbon, berlin, job] = [crypto.randomUUID(), crypto.randomUUID(), crypto.randomUUID()];
  const base = { scope: { user_id: user }, job_id: job, role: "user" };
  const heard = "2026-05-20T09:00:00.000000+00:00";
  const first = { ...base, id: lisbon, version: 1, text: "Ana lives in Lisbon.", created_at: "2026-01-12T09:00:00.000000+00:00", updated_at: "2026-01-12T09:00:00.000000+00:00", event_id: `${job}:0` };
  const second = { ...base, id: berlin, version: 1, text: "Ana lives in Berlin.", created_at: "2026-05-10T09:00:00.000000+00:00", updated_at: heard, recorded_at: heard, position: 1, event_id: `${job}:1` };
  const lines = [
    JSON.stringify({ format: "forgetless-events", version: 1 }),
    event("ADD", first),
    event("ADD", second),
    event("UPDATE", { ...first, version: 2, updated_at: heard, superseded_by: berlin, event_id: `${job}:2` }),
  ];
  const id = crypto.randomUUID();
  await call("POST", "import-jobs", { body: { id, file: "time travel example", lines: lines.length } });
  await call("POST", `import-jobs/${id}/lines`, { query: { line: 1, last: true }, lines: `${lines.join("\n")}\n` });
}
