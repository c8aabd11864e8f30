// Why not: at which step of a search a memory fell, or that it passed them all.

import { call, segment } from "./api.js";
import { Badge, ErrorNote, Field, Loading, Scope } from "./components.js";
import { t } from "./i18n.js";
import { html, useState } from "./lib.js";
import { useLoad } from "./load.js";
import { hrefOf } from "./router.js";
import { searchBody } from "./memory_filters.js";
import { ScoreParts } from "./scores.js";
import { reasonOf } from "./step_reasons.js";

const STEPS = {
  superseded: "Not superseded",
  expired: "Not expired",
  filter: "Matches the filter",
  indexed: "In the index",
  candidate: "A candidate",
  threshold: "Reaches the threshold",
  rank: "Among the results",
};

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const NAMED = 8;
// Of this many of the named memories, those that they superseded are offered, too: no search finds them.
const PREDECESSORS_OF = 4;

// Goes to the field that asks which memory is missing: it stands below all results.
export const askWhyNot = () => document.querySelector("[data-why-not]").focus();

// With `memoryId`, the steps of that memory; without it, a field that asks for one, by its words or its id.
export function WhyNot({ params, memoryId, compact = false }) {
  const [text, setText] = useState("");
  const [words, setWords] = useState(null);
  const [asked, setAsked] = useState(memoryId ?? null);
  const submit = (event) => {
    event.preventDefault();
    const said = text.trim();
    const isId = ID.test(said);
    setAsked(isId ? said : null);
    setWords(isId ? null : said || null);
  };
  return html`
    <section class="why-not">
      ${!compact && html`
        <h2>${t("Missing a memory?")}</h2>
        <form onSubmit=${submit}>
          <${Field} label=${t("Words of the memory, or its id")} hint=${t("See at which step of this search it fell.")}>
            <input data-why-not value=${text} onInput=${(event) => setText(event.target.value)} spellcheck=${false} dir="auto" />
          <//>
          <button type="submit">${t("Why not?")}</button>
        </form>
        ${words && html`<${Named} words=${words} chosen=${asked} onChoose=${setAsked} />`}
      `}
      ${asked && html`<${Steps} params=${params} memoryId=${asked} compact=${compact} />`}
    </section>
  `;
}

// The memories that the words may mean, whatever the filters and the threshold of the search are.
function Named({ words, chosen, onChoose }) {
  const { data, error, reload } = useLoad((signal) => named(words, signal), [words]);
  if (error) return html`<${ErrorNote} error=${error} retry=${reload} />`;
  if (!data) return html`<${Loading} />`;
  if (data.length === 0) return html`<p>${t("No memory has such words. Perhaps it was never stored: look at the jobs.")}</p>`;
  return html`
    <p id="named">${t("Which one do you mean?")}</p>
    <ul class="named" aria-labelledby="named">
      ${data.map((one) => html`
        <li key=${one.id}>
          <button type="button" class="quiet" dir="auto" aria-pressed=${chosen === one.id} onClick=${() => onChoose(one.id)}>${one.memory}</button>
          <span class="facts"><${Scope} of=${one} />${one.lifecycle_state === "superseded" && html`<${Badge} kind="past">${t("superseded")}<//>`}</span>
        </li>
      `)}
    </ul>
  `;
}

async function named(words, signal) {
  const body = { ...searchBody({ q: words, threshold: 0, expired: "1" }), top_k: NAMED };
  const { results } = await call("POST", "v3/memories/search/", { body, signal });
  const older = await Promise.all(results.slice(0, PREDECESSORS_OF).map((one) =>
    call("GET", `v1/memories/${segment(one.id)}/superseded/`, { signal }).then((found) => found.results)));
  const all = results.flatMap((one, place) => [one, ...(older[place] ?? [])]);
  return [...new Map(all.map((one) => [one.id, one])).values()];
}

function Steps({ params, memoryId, compact }) {
  const inputs = [JSON.stringify(params), memoryId];
  const { data, error, reload } = useLoad((signal) => explain(params, memoryId, signal), inputs);
  if (error) return html`<${ErrorNote} error=${error} retry=${reload} />`;
  if (!data) return html`<${Loading} />`;
  return html`
    <p role="status"><strong>${data.found ? t("It is found.") : t("It fell at: {step}", { step: t(STEPS[data.fell_at] ?? data.fell_at) })}</strong></p>
    <ol class="steps">
      ${data.steps.map((step) => html`
        <li key=${step.name} class=${step.passed === null ? "skipped" : step.passed ? "passed" : "fell"}>
          <span class="visually-hidden">${step.passed === null ? t("not judged") : step.passed ? t("passed") : t("fell")}</span>
          <b>${t(STEPS[step.name] ?? step.name)}</b>
          <span>${reasonOf(step)}</span>
        </li>
      `)}
    </ol>
    ${!compact && html`<p><a href=${hrefOf("memory", { id: memoryId })}>${t("Open this memory")}</a></p>`}
    ${!compact && data.score_breakdown && html`<${ScoreParts} item=${data} />`}
  `;
}

const explain = (params, memoryId, signal) =>
  call("POST", "v1/memories/explain/", { body: { ...searchBody(params), memory_id: memoryId }, signal });
