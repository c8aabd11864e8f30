// Calls of the public API, with the key of this tab.

const SERVICE = new URL(".", document.baseURI);
const KEY = "forgetless-key";
// Where the browser stores nothing (private windows of some browsers), the key lasts until the page is left.
let memory = null;

export function storedKey() {
  try {
    return sessionStorage.getItem(KEY) ?? memory;
  } catch {
    return memory;
  }
}

export function storeKey(key) {
  memory = key;
  try {
    if (key) sessionStorage.setItem(KEY, key);
    else sessionStorage.removeItem(KEY);
  } catch {
    // `memory` holds it.
  }
}

// The address of a path of the API, for the curl lines of the pages.
export const addressOf = (path) => new URL(path, SERVICE).href;

// What the service answered instead of a result; `status` is 0 if it did not answer at all.
export class ApiError extends Error {
  constructor(status, message, { retryAfter = null, requestId = null } = {}) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
    this.requestId = requestId;
  }
}

let onRefusedKey = () => {};
export const whenKeyIsRefused = (listener) => {
  onRefusedKey = listener;
};

// How many requests of this tab may have changed something: what was loaded before may be wrong after one.
let changes = 0;
export const changesSoFar = () => changes;
const READS = /^v3\/memories\/(search\/)?$|^v1\/memories\/explain\/$/;

// An id as a segment of a path. A browser takes the segments `.` and `..` out of an address, also if they are encoded, so
// such an id cannot be asked for in a path.
export function segment(id) {
  if (/^\.{1,2}$/.test(id)) throw new ApiError(400, "the ids . and .. cannot stand in a path: use the API's query");
  return encodeURIComponent(id);
}

// The JSON that a request is answered with; throws ApiError. `body` is sent as JSON, `lines` as they are. `signal` ends
// a request that nobody waits for any more.
export const call = async (method, path, options) => (await answered(method, path, options)).content;

// A page of a list that is answered as a bare list: its items, and the cursor of the next page.
export async function pageOf(path, options) {
  const { content, answer } = await answered("GET", path, options);
  return { items: content, next: answer.headers.get("X-Next-Cursor") };
}

async function answered(method, path, { body, lines, query, signal, headers, key = storedKey() } = {}) {
  const url = new URL(path, SERVICE);
  if (method !== "GET" && !READS.test(path)) changes++;
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  let answer;
  try {
    answer = await fetch(url, {
      method,
      signal,
      headers: { "X-API-Key": key ?? "", ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
      body: lines ?? (body === undefined ? undefined : JSON.stringify(body)),
      credentials: "omit",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, error.message);
  }
  const text = await answer.text();
  const content = parsed(text);
  if (answer.ok) return { content, answer };
  const error = new ApiError(answer.status, reasonOf(content) ?? answer.statusText, {
    retryAfter: Number(answer.headers.get("Retry-After")) || null,
    requestId: answer.headers.get("X-Request-ID"),
  });
  if (answer.status === 401 && key === storedKey()) onRefusedKey(error);
  throw error;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// The dialects name the reason differently; a validation answers with a list.
function reasonOf(content) {
  const reason = content?.detail ?? content?.message ?? content?.error;
  if (Array.isArray(reason)) return reason.map((one) => `${(one.loc ?? []).slice(1).join(".")}: ${one.msg}`).join("; ");
  return typeof reason === "string" ? reason : reason?.message ?? null;
}
