// Times: shown in the reader's zone, with the exact UTC on hover.

import { html } from "./lib.js";
import { language } from "./i18n.js";

const formats = new Map();
// The reader's own way to write dates, if it is of the page's language: 28/11/2026 or 11/28/2026.
const locale = () => navigator.languages?.find((one) => one.toLowerCase().startsWith(language())) ?? language();

function formatted(date, options) {
  const id = language() + JSON.stringify(options);
  if (!formats.has(id)) formats.set(id, new Intl.DateTimeFormat(locale(), options));
  return formats.get(id).format(date);
}

// The text of a moment (an ISO time), to the minute.
export const shownTime = (at) => formatted(new Date(at), { dateStyle: "medium", timeStyle: "short" });
export const shownDay = (at) => formatted(new Date(at), { dateStyle: "medium" });

export function Time({ at, day = false }) {
  if (!at) return null;
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return html`<span>${at}</span>`;
  const shown = day ? shownDay(at) : shownTime(at);
  return html`<time datetime=${at} title=${date.toISOString().replace("T", " ").replace("Z", " UTC")}>${shown}</time>`;
}

const two = (value) => String(value).padStart(2, "0");

// The day of a moment in the reader's zone, as a date field has it.
export function dayOf(at) {
  const date = new Date(at);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

// The first and the last moment of a day of the reader's, as the API takes them.
export const startOfDay = (day) => new Date(`${day}T00:00:00.000`).toISOString();
export const endOfDay = (day) => new Date(`${day}T23:59:59.999`).toISOString();

// How long ago, or in how long, in words.
export function ago(at, now = Date.now()) {
  const seconds = (new Date(at).getTime() - now) / 1000;
  const format = new Intl.RelativeTimeFormat(language(), { numeric: "auto" });
  for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= length) return format.format(Math.trunc(seconds / length), unit);
  }
  return format.format(Math.trunc(seconds), "second");
}
