// Time travel: what was true, and what was known, at two moments, over any list or search.

import { eraseUser } from "../adds.js";
import { call, segment } from "../api.js";
import { ErrorNote, Field } from "../components.js";
import { t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { useLoad } from "../load.js";
import { go } from "../router.js";
import { useSession } from "../session.js";
import { dayOf, endOfDay, shownTime } from "../times.js";
import { writeExample } from "../time_example.js";
import { FilterFields, Found, SearchBox } from "./memories.js";

const STEPS = 1000;
const EXAMPLE = "playground-time-travel";

export function TimeTravel({ params }) {
  const change = (changes, options) => go("time", { ...params, ...changes }, options);
  const { data: first, error } = useLoad((signal) => firstTime(params, signal), [params.user_id, params.agent_id]);
  const span = spanOf(first, params);
  return html`
    <h1>${t("Time travel")}</h1>
    <p>${t("Two moments: what was true then, and what the service knew then. A correction changes what is known; a move changes what is true.")}</p>
    <${Example} params=${params} />
    <${ErrorNote} error=${error} />
    <div class="moments">
      <${MomentSlider} label=${t("What was true at")} value=${params.as_of} span=${span} onChange=${(as_of) => change({ as_of }, { replace: true })} />
      <${MomentSlider} label=${t("as it was known at")} value=${params.known_at} span=${span} onChange=${(known_at) => change({ known_at }, { replace: true })} />
    </div>
    <${SearchBox} params=${params} change=${change} />
    <${FilterFields} params=${params} change=${change} />
    <${Found} params=${params} empty=${(params.as_of || params.known_at) && html`<${NothingYet} params=${params} change=${change} />`} />
  `;
}

const MONTH_MS = 30 * 86_400_000;

// What the sliders span: from well before the first memory that is still true, since others may have been true before.
function spanOf(first, { as_of, known_at }) {
  const now = Date.now();
  const age = Math.max(MONTH_MS, now - new Date(first ?? now).getTime());
  const named = [as_of, known_at].filter(Boolean).map((one) => new Date(one).getTime());
  return [Math.min(now - 1.5 * age, ...named), now];
}

// When the oldest of the present memories of the scope began.
async function firstTime({ user_id, agent_id }, signal) {
  const [kind, id] = user_id ? ["user", user_id] : agent_id ? ["agent", agent_id] : [];
  const found = kind
    ? await call("GET", `v2/entities/${kind}/${segment(id)}/`, { signal }).catch((error) => (error.status === 404 ? [] : Promise.reject(error)))
    : (await call("GET", "v1/entities/", { query: { page_size: 100 }, signal })).results;
  return found.map((one) => one.created_at).sort()[0] ?? null;
}

// Nothing at these moments: most often what was true then was told, or imported, only later.
function NothingYet({ params, change }) {
  return html`
    <div class="note">
      <p>${params.known_at
        ? t("Nothing was known on {moment}. What was true then may have been told, or imported, only later.", { moment: shownTime(params.known_at) })
        : t("Nothing was true on {moment}.", { moment: shownTime(params.as_of) })}</p>
      ${params.known_at && html`<button type="button" onClick=${() => change({ as_of: params.as_of || params.known_at, known_at: "" })}>
        ${t("Show what was true then, as it is known now")}
      </button>`}
    </div>
  `;
}

function MomentSlider({ label, value, span, onChange }) {
  const [from, to] = span;
  const at = value ? new Date(value).getTime() : to;
  const place = Math.round(((at - from) / (to - from)) * STEPS);
  const slide = (event) => {
    const step = Number(event.target.value);
    onChange(step >= STEPS ? "" : new Date(from + ((to - from) * step) / STEPS).toISOString());
  };
  return html`
    <div class="moment">
      <${Field} label=${label}>
        <input type="range" min="0" max=${STEPS} step="1" value=${place} aria-valuetext=${value ? shownTime(value) : t("now")} onInput=${slide} />
      <//>
      <p class="facts">
        <b>${value ? shownTime(value) : t("now")}</b>
        <input type="date" aria-label=${label} value=${value ? dayOf(value) : ""} onChange=${(event) => onChange(event.target.value && endOfDay(event.target.value))} />
        ${value && html`<button type="button" class="quiet" onClick=${() => onChange("")}>${t("now")}</button>`}
      </p>
    </div>
  `;
}

// An example of two memories, which an administrator may write and erase.
function Example({ params }) {
  const { may, limited, say } = useSession();
  const [error, setError] = useState(null);
  if (!may("admin") || limited) return null;
  const write = () => writeExample(EXAMPLE).then(() => go("time", { user_id: EXAMPLE, as_of: "2026-05-15T12:00:00.000Z" }), setError);
  const erase = () => eraseUser(EXAMPLE).then(() => {
    say({ text: t("The example is erased.") });
    go("time");
  }, setError);
  const shown = params.user_id === EXAMPLE;
  return html`
    <div class="note">
      ${shown
        ? html`<p>${t("Ana told us on 20 May that she had moved to Berlin on 10 May. On 15 May she lived in Berlin, but set what was known back before 20 May, and it was Lisbon.")}</p>
            <div class="actions">
              <button type="button" onClick=${() => go("time", { ...params, known_at: "2026-05-16T12:00:00.000Z" })}>${t("What did we know on 16 May?")}</button>
              <button type="button" onClick=${() => go("time", { ...params, known_at: "" })}>${t("What do we know now?")}</button>
              <button type="button" class="quiet danger" onClick=${erase}>${t("Erase the example")}</button>
            </div>`
        : html`<p>${t("Ten seconds with an example: Ana moves from Lisbon to Berlin, and tells it late.")} <button type="button" onClick=${write}>${t("Show me")}</button></p>`}
      <${ErrorNote} error=${error} />
    </div>
  `;
}
