// What lists and searches ask for: from the parameters in the address to the bodies of the API.

import { SCOPE } from "./components.js";
import { endOfDay, startOfDay } from "./times.js";

// How many results a search shows, and the threshold until its reader moves it.
const SEARCHED = 50;
export const THRESHOLD = "0.1";

export const FILTERS = [...SCOPE, "category", "metadata", "from", "to"];

// The `filters` of the Platform's dialect. Without an id, all memories of any user, agent, app or run are meant.
export function filtersOf(params) {
  const named = SCOPE.filter((name) => params[name]).map((name) => ({ [name]: params[name] }));
  const conditions = named.length ? named : [{ OR: SCOPE.map((name) => ({ [name]: "*" })) }];
  if (params.category) conditions.push({ categories: { contains: params.category } });
  if (params.metadata) conditions.push({ metadata: metadataOf(params.metadata) });
  if (params.from) conditions.push({ created_at: { gte: isDay(params.from) ? startOfDay(params.from) : params.from } });
  if (params.to) conditions.push({ created_at: { lte: isDay(params.to) ? endOfDay(params.to) : params.to } });
  return conditions.length === 1 ? conditions[0] : { AND: conditions };
}

// The moments of time travel.
export const momentsOf = ({ as_of, known_at }) => ({ ...(as_of && { as_of }), ...(known_at && { known_at }) });

// The search that the parameters mean. A question why a memory did not come asks about the same one.
export const searchBody = (params) => ({
  query: params.q,
  filters: filtersOf(params),
  top_k: SEARCHED,
  threshold: Number(params.threshold ?? THRESHOLD),
  show_expired: params.expired === "1",
  ...momentsOf(params),
});

// A day is that of the reader, from its beginning to its end.
const isDay = (moment) => /^\d{4}-\d{2}-\d{2}$/.test(moment);

// `key=value`; numbers and truth values are those of JSON, everything else is text.
export function metadataOf(text) {
  const place = text.indexOf("=");
  const [name, value] = place < 0 ? [text, "*"] : [text.slice(0, place).trim(), text.slice(place + 1).trim()];
  try {
    const parsed = JSON.parse(value);
    return { [name]: typeof parsed === "object" ? value : parsed };
  } catch {
    return { [name]: value };
  }
}
