// Why not: at which step of a search a memory fell, or that it passed them all.

import { call } from "./api.js";
import { ErrorNote, Field } from "./components.js";
import { number, t } from "./i18n.js";
import { html, useState } from "./lib.js";
import { useLoad } from "./load.js";
import { filtersOf } from "./memory_filters.js";
import { ScoreParts } from "./scores.js";

const STEPS = {
  superseded: "Not superseded",
  expired: "Not expired",
  filter: "Matches the filter",
  indexed: "In the index",
  candidate: "A candidate",
  threshold: "Reaches the threshold",
  rank: "Among the results",
};

// With `memoryId`, the steps of that memory; without it, a field that asks for one.
export function WhyNot({ params, memoryId, compact = false }) {
  const [text, setText] = useState("");
  const [asked, setAsked] = useState(memoryId ?? null);
  const submit = (event) => {
    event.preventDefault();
    setAsked(text.trim() || null);
  };
  return html`
    <section class="why-not">
      ${!compact && html`
        <h2>${t("Missing a memory?")}</h2>
        <form onSubmit=${submit}>
          <${Field} label=${t("Id of the memory")} hint=${t("See at which step of this search it fell.")}>
            <input value=${text} onInput=${(event) => setText(event.target.value)} spellcheck=${false} />
          <//>
          <button type="submit">${t("Why not?")}</button>
        </form>
      `}
      ${asked && html`<${Steps} params=${params} memoryId=${asked} compact=${compact} />`}
    </section>
  `;
}

function Steps({ params, memoryId, compact }) {
  const inputs = [JSON.stringify(params), memoryId];
  const { data, error, reload } = useLoad((signal) => explain(params, memoryId, signal), inputs);
  if (error) return html`<${ErrorNote} error=${error} retry=${reload} />`;
  if (!data) return null;
  return html`
    <p role="status"><strong>${data.found ? t("It is found.") : t("It fell at: {step}", { step: t(STEPS[data.fell_at] ?? data.fell_at) })}</strong></p>
    <ol class="steps">
      ${data.steps.map((step) => html`
        <li key=${step.name} class=${step.passed === null ? "skipped" : step.passed ? "passed" : "fell"}>
          <span class="visually-hidden">${step.passed === null ? t("not judged") : step.passed ? t("passed") : t("fell")}</span>
          <b>${t(STEPS[step.name] ?? step.name)}</b>
          <span>${step.reason}</span>
          ${step.limit != null && typeof step.value === "number" && html`
            <span class="faint">${number(step.value)} · ${t("limit {limit}", { limit: number(step.limit) })}</span>
          `}
        </li>
      `)}
    </ol>
    ${!compact && data.score_breakdown && html`<${ScoreParts} item=${data} />`}
  `;
}

function explain(params, memoryId, signal) {
  const body = {
    query: params.q,
    filters: filtersOf(params),
    memory_id: memoryId,
    top_k: 50,
    threshold: Number(params.threshold ?? 0.1),
    show_expired: params.expired === "1",
  };
  return call("POST", "v1/memories/explain/", { body, signal });
}
