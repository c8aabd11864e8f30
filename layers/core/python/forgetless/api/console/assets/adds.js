// Adds that a page waits for, and the users of its own that it erases afterwards.

import { call, segment } from "./api.js";

const SHORT_MS = 700;
const ENDED = ["SUCCEEDED", "FAILED"];

// The job of an add, once it has ended.
export async function addAndWait(body) {
  const added = await call("POST", "v3/memories/add/", { body });
  for (;;) {
    const job = await call("GET", `v1/event/${segment(added.event_id)}/`);
    if (ENDED.includes(job.status)) return job;
    await new Promise((done) => setTimeout(done, SHORT_MS));
  }
}

// Everything about a user is erased; one that nobody knows is no error.
export const eraseUser = (user) => call("DELETE", `v2/entities/user/${segment(user)}/`).catch((error) => {
  if (error.status !== 404) throw error;
});
