// Scores: how a score is made of its parts.

import { number, t } from "./i18n.js";
import { html } from "./lib.js";

// The parts of `score_breakdown` that add up to the score, in the order in which they are shown.
const PARTS = [
  ["meaning", "Meaning"],
  ["words", "Words"],
  ["mass", "Length"],
  ["asks_when", "Asks when"],
  ["date", "Date"],
  ["question", "A question itself"],
  ["assistant", "Said by the assistant"],
];

const shown = (value) => number(value, { minimumFractionDigits: 3, maximumFractionDigits: 3 });
const percent = (value) => `${Math.max(0, Math.min(100, value * 100))}%`;

// The score as a number above a bar with a segment for each part that adds to it.
export function ScoreBar({ score, parts }) {
  return html`
    <div class="score" title=${t("Score")}>
      <b>${number(score, { minimumFractionDigits: 2, maximumFractionDigits: 2 })}</b>
      <div class="bar" aria-hidden="true">
        ${PARTS.filter(([name]) => parts?.[name] > 0).map(([name]) => html`
          <i key=${name} class=${name} style=${{ width: percent(parts[name]) }}></i>
        `)}
      </div>
    </div>
  `;
}

// A table of all parts, what they are made of, and the calibrated probability.
export function ScoreParts({ item }) {
  const parts = item.score_breakdown;
  if (!parts) return null;
  const made = { meaning: t("cosine {value}", { value: shown(parts.semantic) }), words: t("match {value}", { value: shown(parts.bm25) }) };
  return html`
    <table class="parts">
      <caption class="visually-hidden">${t("Parts of the score")}</caption>
      <tbody>
        ${PARTS.filter(([name]) => parts[name] !== undefined && (parts[name] !== 0 || name in made)).map(([name, label]) => html`
          <tr key=${name}>
            <th scope="row"><i class=${`dot ${name}`} aria-hidden="true"></i>${t(label)}</th>
            <td>${shown(parts[name])}</td>
            <td class="faint">${made[name]}</td>
          </tr>
        `)}
        <tr class="sum"><th scope="row">${t("Score")}</th><td>${shown(item.score)}</td><td class="faint">
          ${parts.probability != null && t("answers with a probability of {value}", { value: number(parts.probability, { style: "percent", maximumFractionDigits: 1 }) })}
        </td></tr>
      </tbody>
    </table>
  `;
}
