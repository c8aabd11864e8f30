// Overview: what is remembered, what was asked, what waits, what failed, and the health of each part.

import { call } from "../api.js";
import { Badge, ErrorNote, Loading } from "../components.js";
import { number, t } from "../i18n.js";
import { html } from "../lib.js";
import { useLoad, usePolling } from "../load.js";
import { filtersOf } from "../memory_filters.js";
import { hrefOf } from "../router.js";
import { useSession } from "../session.js";
import { shownDay } from "../times.js";
import { RowFacts } from "./memories.js";

const POLL_S = 5;
const DAYS = 30;
const NEWEST = 6;
const JOBS = 20;

export function Overview() {
  const { limited, may } = useSession();
  const { data, error, loading, reload } = useLoad((signal) => overview(may("admin"), limited, signal), [limited]);
  usePolling(() => loading || reload(), POLL_S);
  return html`
    <h1>${t("Overview")}</h1>
    <${ErrorNote} error=${error} retry=${reload} />
    ${!data && loading && html`<${Loading} />`}
    ${data && html`
      <${Health} health=${data.health} />
      <div class="cards">
        ${data.memories && html`<${Figure} label=${t("Memories")} value=${data.memories.count} more=${data.memories.count_is_lower_bound} href=${hrefOf("memories")} />`}
        <${Figure} label=${t("Adds today")} value=${today(data.usage, "adds")} />
        <${Figure} label=${t("Searches today")} value=${today(data.usage, "searches")} />
        ${data.jobs && html`<${Figure} label=${t("Waiting, of the last {count} jobs", { count: JOBS })} value=${data.waiting} href=${hrefOf("jobs", { state: "PENDING" })} />
        <${Figure} label=${t("Failed, of the last {count} jobs", { count: JOBS })} value=${data.failed} bad=${data.failed > 0} href=${hrefOf("jobs", { state: "FAILED" })} />`}
      </div>
      <div class="charts">
        <${Chart} title=${t("Adds")} usage=${data.usage} name="adds" />
        <${Chart} title=${t("Searches")} usage=${data.usage} name="searches" />
      </div>
      ${data.memories && html`<h2>${t("Newest memories")}</h2>
      <ul class="rows">
        ${data.memories.results.map((one) => html`
          <li key=${one.id} class="row"><div class="body">
            <a class="text" data-row dir="auto" href=${hrefOf("memory", { id: one.id })}>${one.memory}</a>
            <${RowFacts} memory=${one} />
          </div></li>
        `)}
      </ul>`}
    `}
  `;
}

// Everybody's memories are for administrators, and their jobs too, unless the key is limited to some users.
async function overview(admin, limited, signal) {
  const from = new Date(Date.now() - (DAYS - 1) * 86_400_000).toISOString().slice(0, 10);
  const [memories, usage, jobs, health] = await Promise.all([
    admin && call("POST", "v3/memories/", { body: { filters: filtersOf({}) }, query: { page: 1, page_size: NEWEST }, signal }),
    call("GET", "usage", { query: { from, limit: 100 }, signal }),
    (admin || limited) && call("GET", "v1/events/", { query: { page_size: JOBS }, signal }),
    call("GET", "health", { signal }).catch((error) => ({ status: "down", detail: error.message })),
  ]);
  const counted = (...states) => (jobs ? jobs.results : []).filter((job) => states.includes(job.status)).length;
  return { memories, jobs, usage: usage.usage, health, waiting: counted("PENDING", "RUNNING"), failed: counted("FAILED") };
}

const dayOf = (offset) => new Date(Date.now() - offset * 86_400_000).toISOString().slice(0, 10);
const on = (usage, day, name) => usage.filter((one) => one.day === day).reduce((sum, one) => sum + one[name], 0);
const today = (usage, name) => on(usage, dayOf(0), name);

function Figure({ label, value, more, href, bad }) {
  const shown = html`<b class=${bad ? "bad" : ""}>${number(value)}${more && "+"}</b><span>${label}</span>`;
  return href ? html`<a class="card" href=${href}>${shown}</a>` : html`<div class="card">${shown}</div>`;
}

function Health({ health }) {
  const good = health.status === "ok";
  const parts = Object.entries(health.parts ?? {});
  return html`
    <section class=${good ? "note" : "note error"} aria-label=${t("Health")}>
      <p><strong>${t(good ? "Everything works." : health.status === "degraded" ? "A part is out; what it does waits." : "The service is down.")}</strong></p>
      <p class="facts">
        ${parts.map(([name, state]) => html`<${Badge} key=${name} kind=${state === "ok" ? "good" : "bad"}>${name}: ${state === "ok" ? t("ok") : t("out")}<//>`)}
      </p>
      ${health.detail && html`<p class="reason">${typeof health.detail === "string" ? health.detail : JSON.stringify(health.detail)}</p>`}
    </section>
  `;
}

// A bar for each of the last days; the figures are in a table for readers who do not see it.
function Chart({ title, usage, name }) {
  const days = Array.from({ length: DAYS }, (_, place) => dayOf(DAYS - 1 - place));
  const values = days.map((day) => on(usage, day, name));
  const most = Math.max(1, ...values);
  return html`
    <figure class="chart">
      <figcaption>${title} <span class="faint">${t("last {days} days", { days: DAYS })}</span></figcaption>
      <svg viewBox=${`0 0 ${DAYS * 10} 60`} preserveAspectRatio="none" role="img" aria-label=${t("{title}: {sum} in {days} days", { title, sum: number(values.reduce((a, b) => a + b, 0)), days: DAYS })}>
        ${values.map((value, place) => html`
          <rect key=${place} x=${place * 10 + 1} width="8" y=${60 - (value / most) * 58} height=${Math.max(1, (value / most) * 58)}>
            <title>${shownDay(days[place])}: ${number(value)}</title>
          </rect>
        `)}
      </svg>
    </figure>
  `;
}
