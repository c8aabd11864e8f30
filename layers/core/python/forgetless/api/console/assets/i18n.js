// The language of the page: English texts are their own keys, and texts_vi.js has the Vietnamese ones.

import { VIETNAMESE } from "./texts_vi.js";

const STORED = "forgetless-language";
const LANGUAGES = ["en", "vi"];

function chosen() {
  try {
    const stored = localStorage.getItem(STORED);
    if (LANGUAGES.includes(stored)) return stored;
  } catch {
    // The browser's language decides.
  }
  return navigator.language?.toLowerCase().startsWith("vi") ? "vi" : "en";
}

let current = chosen();
document.documentElement.lang = current;

export const language = () => current;

export function chooseLanguage(name) {
  current = name;
  document.documentElement.lang = name;
  try {
    localStorage.setItem(STORED, name);
  } catch {
    // It lasts until the page is left.
  }
}

// The text in the page's language; `{name}` stands for the value of that name.
export function t(text, values = {}) {
  const translated = current === "vi" ? (VIETNAMESE[text] ?? text) : text;
  return translated.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export const number = (value, options) => new Intl.NumberFormat(current, options).format(value);

// The text for one thing or for several; `{count}` stands for the number. Vietnamese has one form.
export function counted(count, one, several) {
  return t(new Intl.PluralRules("en").select(count) === "one" ? one : several, { count: number(count) });
}
