// The difference of two texts by words, as the longest common subsequence gives it.

import { html } from "./lib.js";
import { t } from "./i18n.js";

// A table of this many cells takes a few milliseconds; longer texts are shown one below the other.
const MOST_CELLS = 400_000;

const wordsOf = (text) => text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? [];

// Pieces of `kind` "same", "out" or "in", in the order of reading; null if the texts are too long to compare.
export function difference(before, after) {
  const [one, two] = [wordsOf(before), wordsOf(after)];
  if (one.length * two.length > MOST_CELLS) return null;
  const width = two.length + 1;
  const lengths = new Uint32Array((one.length + 1) * width);
  for (let i = one.length - 1; i >= 0; i--) {
    for (let j = two.length - 1; j >= 0; j--) {
      lengths[i * width + j] =
        one[i] === two[j] ? lengths[(i + 1) * width + j + 1] + 1 : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const pieces = [];
  const put = (kind, text) => (pieces.at(-1)?.kind === kind ? (pieces.at(-1).text += text) : pieces.push({ kind, text }));
  let [i, j] = [0, 0];
  while (i < one.length || j < two.length) {
    if (i < one.length && j < two.length && one[i] === two[j]) {
      put("same", one[i]);
      i++;
      j++;
    } else if (j >= two.length || (i < one.length && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1])) {
      put("out", one[i++]);
    } else {
      put("in", two[j++]);
    }
  }
  return pieces;
}

export function Difference({ before, after }) {
  if (!before || !after || before === after) return html`<p class="text" dir="auto">${after ?? before}</p>`;
  const pieces = difference(before, after);
  if (!pieces) return html`<p class="text" dir="auto"><del>${before}</del></p><p class="text" dir="auto"><ins>${after}</ins></p>`;
  return html`
    <p class="text" dir="auto">
      ${pieces.map(({ kind, text }) =>
        kind === "same" ? text : kind === "out" ? html`<del title=${t("removed")}>${text}</del>` : html`<ins title=${t("added")}>${text}</ins>`)}
    </p>
  `;
}
