// The reasons that the service gives for each step of a search, in English, in the page's language.

import { number, t } from "./i18n.js";

// What is compared, with the numbers of the step.
const COMPARED = {
  threshold: (values) => t("score {value}, threshold {limit}", values),
  rank: (values) => t("number {value}, and the search returns {limit}", values),
};

// What a service may say, and the same as a text of the page.
const REASONS = [
  [/^it is current$/, () => t("it is current")],
  [/^(\S+) superseded it$/, (id) => t("{id} superseded it", { id })],
  [/^it has no expiration date(, .*)?$/, () => t("it has no expiration date")],
  [/^its last day is (\S+?)$/, (day) => t("its last day is {day}", { day })],
  [/^its last day is (\S+?), and .*$/, (day) => t("its last day is {day}, and the search shows expired ones", { day })],
  [/^it matches every condition$/, () => t("it matches every condition")],
  [/^version (\d+) is in the index$/, (version) => t("version {number} is in the index", { number: version })],
  [/^it waits to be indexed/, () => t("it waits to be indexed; look again in a moment")],
  [/^the index does not hold this version$/, () => t("the index does not hold this version")],
  [/^the embedder refuses/, () => t("the embedder refuses the query, so only words count, and none is in common")],
  [/^beyond the candidates: \D+(\d+)/, (most) => t("beyond the candidates: each retriever lists {most} at most", { most })],
  [
    /^number (\d+) by meaning, number (\d+) by words of (\d+) candidates$/,
    (near, worded, all) => t("number {near} by meaning, number {worded} by words of {all} candidates", { near, worded, all }),
  ],
  [/^number (\d+) by meaning of (\d+) candidates$/, (near, all) => t("number {near} by meaning of {all} candidates", { near, all })],
  [/^number (\d+) by words of (\d+) candidates$/, (worded, all) => t("number {worded} by words of {all} candidates", { worded, all })],
];

// What a condition demands, as the service words it.
const DEMANDS = {
  "be": (value) => t("be {value}", { value }),
  "not be": (value) => t("not be {value}", { value }),
  "be greater than": (value) => t("be greater than {value}", { value }),
  "be at least": (value) => t("be at least {value}", { value }),
  "be less than": (value) => t("be less than {value}", { value }),
  "be at most": (value) => t("be at most {value}", { value }),
  "be one of": (value) => t("be one of {value}", { value }),
  "be none of": (value) => t("be none of {value}", { value }),
  "contain": (value) => t("contain {value}", { value }),
  "contain, whatever the case,": (value) => t("contain {value}", { value }),
};
const DEMAND = new RegExp(`^(\\S+) must (${Object.keys(DEMANDS).sort((a, b) => b.length - a.length).join("|")}) (.*), and is (.*)$`, "s");

// The reason of a step; that of a step that was not judged is left out. What is not known stays in the service's words.
export function reasonOf({ name, passed, reason, value, limit }) {
  if (passed === null) return "";
  if (name in COMPARED) return COMPARED[name]({ value: exact(value), limit: exact(limit) });
  return reason.split(/; (?=\S+ must )/).map(translated).join("; ");
}

function translated(reason) {
  for (const [known, said] of REASONS) {
    const found = known.exec(reason);
    if (found) return said(...found.slice(1));
  }
  const [, field, demand, value, actual] = DEMAND.exec(reason) ?? [];
  if (!field) return reason;
  const demanded = DEMANDS[demand](value === "absent" ? t("absent") : value);
  return t("{field} must {demanded}, and is {actual}", { field, demanded, actual: actual === "absent" ? t("absent") : actual });
}

const exact = (value) => number(value, { maximumFractionDigits: 4 });
