// Usage: what was used by day or by key, and the quotas.

import { call, pageOf } from "../api.js";
import { ErrorNote, Field, Loading } from "../components.js";
import { number, t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { useLoad } from "../load.js";
import { go } from "../router.js";
import { useSession } from "../session.js";
import { Time, shownDay } from "../times.js";

const SPANS = [30, 90, 365];
const COUNTED = { requests: "Requests", adds: "Adds", updates: "Updates", searches: "Searches", llm_tokens: "LLM tokens" };
const QUOTAS = { requests: "Requests", adds: "Adds", updates: "Updates", searches: "Searches", llm_tokens: "LLM tokens", stored_memories: "Stored memories" };
const WINDOWS = { per_minute: "a minute", per_day: "a day", per_month: "a month" };
const PAGE_SIZE = 1000;

export function Usage({ params }) {
  const { may, limited } = useSession();
  const whole = may("admin") && !limited;
  const days = SPANS.includes(Number(params.days)) ? Number(params.days) : SPANS[0];
  const byKey = whole && params.by === "key";
  const from = new Date(Date.now() - (days - 1) * 86_400_000).toISOString().slice(0, 10);
  const { data, error, reload } = useLoad((signal) => usage(from, byKey, null, signal), [from, byKey]);
  return html`
    <h1>${t("Usage")}</h1>
    <${ErrorNote} error=${error} retry=${reload} />
    ${!data && !error && html`<${Loading} />`}
    ${data && html`
      <${Quotas} quotas=${data.quotas} />
      <h2>${t("What was used")}</h2>
      <div class="choices">
        <${Field} label=${t("Time")}>
          <select value=${days} onChange=${(event) => go("usage", { ...params, days: event.target.value })}>
            ${SPANS.map((one) => html`<option key=${one} value=${one}>${t("last {days} days", { days: one })}</option>`)}
          </select>
        <//>
        ${whole && html`
          <${Field} label=${t("By")}>
            <select value=${byKey ? "key" : "day"} onChange=${(event) => go("usage", { ...params, by: event.target.value })}>
              <option value="day">${t("day")}</option>
              <option value="key">${t("key")}</option>
            </select>
          <//>
        `}
      </div>
      <${Figures} key=${`${from}-${byKey}`} first=${data} more=${(cursor) => usage(from, byKey, cursor)} byKey=${byKey} />
    `}
  `;
}

const usage = (from, byKey, cursor, signal) =>
  call("GET", "usage", { query: { from, by: byKey ? "key" : "day", limit: PAGE_SIZE, cursor }, signal });

function Quotas({ quotas }) {
  if (quotas.length === 0) return html`<p class="faint">${t("There are no quotas. An operator sets them with forgetless tenants set and forgetless keys set.")}</p>`;
  return html`
    <h2>${t("Quotas")}</h2>
    <ul class="rows">
      ${quotas.map((one) => html`
        <li key=${one.of + one.quota} class="row"><div class="body spread">
          <b>${nameOf(one.quota)}</b> <span class="faint">${one.of === "key" ? t("of this key") : t("of all keys")}</span>
          <progress max=${Math.max(1, one.limit)} value=${Math.min(one.used, one.limit)} aria-label=${nameOf(one.quota)}></progress>
          <span class=${one.used >= one.limit ? "bad" : ""}>${t("{done} of {total}", { done: number(one.used), total: number(one.limit) })}</span>
          ${one.resets_at && html`<span class="faint">${t("anew at")} <${Time} at=${one.resets_at} /></span>`}
        </div></li>
      `)}
    </ul>
  `;
}

// `adds_per_day` as words.
function nameOf(quota) {
  const [, what, window] = /^(.*?)(?:_(per_\w+))?$/.exec(quota);
  return [t(QUOTAS[what] ?? what), window && t(WINDOWS[window] ?? window)].filter(Boolean).join(" ");
}

// The sums of each day or each key, the newest day or the busiest key first.
function Figures({ first, more, byKey }) {
  const [later, setLater] = useState([]);
  const [failure, setFailure] = useState(null);
  const keys = useLoad((signal) => (byKey ? allKeys(signal) : Promise.resolve([])), [byKey]);
  const labels = new Map((keys.data ?? []).map((key) => [key.id, key.label || key.key_prefix]));
  const rows = summed([first, ...later].flatMap((page) => page.usage), byKey ? "key_id" : "day");
  const cursor = (later.at(-1) ?? first).next_cursor;
  const total = rows.length > 1 && summed(rows.map(([, sums]) => ({ ...sums, all: "" })), "all")[0][1];
  const cells = (sums) => Object.keys(COUNTED).map((name) => html`<td key=${name}>${number(sums[name])}</td>`);
  if (rows.length === 0) return html`<p>${t("Nothing was used in this time.")}</p>`;
  return html`
    <div class="wide" tabindex="0" role="region" aria-label=${t("What was used")}>
      <table class="figures">
        <thead><tr><th scope="col">${byKey ? t("Key") : t("Day")}</th>${Object.entries(COUNTED).map(([name, label]) => html`<th key=${name} scope="col">${t(label)}</th>`)}</tr></thead>
        <tbody>
          ${rows.map(([name, sums]) => html`<tr key=${name}><th scope="row">${byKey ? labels.get(name) ?? name : shownDay(`${name}T12:00:00`)}</th>${cells(sums)}</tr>`)}
          ${total && html`<tr class="sum"><th scope="row">${t("Together")}</th>${cells(total)}</tr>`}
        </tbody>
      </table>
    </div>
    <${ErrorNote} error=${failure} />
    ${cursor && html`<button type="button" onClick=${() => more(cursor).then((page) => setLater([...later, page]), setFailure)}>${t("Show more")}</button>`}
    <p class="faint">${t("Days are those of UTC.")}</p>
  `;
}

function summed(rows, by) {
  const sums = new Map();
  for (const row of rows) {
    const sum = sums.get(row[by]) ?? Object.fromEntries(Object.keys(COUNTED).map((name) => [name, 0]));
    for (const name of Object.keys(COUNTED)) sum[name] += row[name];
    sums.set(row[by], sum);
  }
  const order = by === "day" ? ([a], [b]) => (a < b ? 1 : -1) : ([, a], [, b]) => b.requests - a.requests;
  return [...sums].sort(order);
}

async function allKeys(signal) {
  const found = [];
  let cursor;
  do {
    const page = await pageOf("api-keys", { query: { cursor }, signal });
    found.push(...page.items);
    cursor = page.next;
  } while (cursor);
  return found;
}
