// Times: shown in the reader's zone, with the exact UTC on hover.

import { html } from "./lib.js";
import { language } from "./i18n.js";

const formats = new Map();

function formatted(date, options) {
  const id = language() + JSON.stringify(options);
  if (!formats.has(id)) formats.set(id, new Intl.DateTimeFormat(language(), options));
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

// How long ago, or in how long, in words.
export function ago(at, now = Date.now()) {
  const seconds = (new Date(at).getTime() - now) / 1000;
  const format = new Intl.RelativeTimeFormat(language(), { numeric: "auto" });
  for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= length) return format.format(Math.trunc(seconds / length), unit);
  }
  return format.format(Math.trunc(seconds), "second");
}
