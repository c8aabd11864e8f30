// Memories: a list by scope and other conditions, or a search whose results show what their scores are made of.

import { addressOf, call, changesSoFar } from "../api.js";
import { Badge, Empty, ErrorNote, Field, Loading, SCOPE, SCOPE_LABELS, Scope } from "../components.js";
import { counted, number, t } from "../i18n.js";
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../lib.js";
import { useLoad, useSettled } from "../load.js";
import { FILTERS, THRESHOLD, filtersOf, momentsOf, searchBody } from "../memory_filters.js";
import { go, hrefOf } from "../router.js";
import { ScoreBar, ScoreParts } from "../scores.js";
import { Time } from "../times.js";
import { WhyNot, askWhyNot } from "../why_not.js";

const PAGE_SIZE = 50;
const LATER_PAGE_SIZE = 200;
const OFFERED = 100;
// How far from the window rows are kept, and the next page is asked for.
const AROUND = "2400px";

export function Memories({ params }) {
  const change = (changes, options) => go("memories", { ...params, ...changes }, options);
  return html`
    <h1>${t("Memories")}</h1>
    <${SearchBox} params=${params} change=${change} />
    <${FilterFields} params=${params} change=${change} />
    <${Found} params=${params} />
  `;
}

// The list or the search results for some parameters, which a page may complete by moments (`as_of`, `known_at`).
// `empty` is shown instead of the usual words if nothing is found.
export function Found({ params, empty }) {
  const asked = useMemo(() => JSON.stringify(params), [params]);
  return params.q
    ? html`<${Results} params=${params} asked=${asked} empty=${empty} />`
    : html`<${List} params=${params} asked=${asked} empty=${empty} />`;
}

export function SearchBox({ params, change }) {
  const [query, setQuery] = useState(params.q ?? "");
  const settled = useSettled(query, 350);
  useEffect(() => setQuery(params.q ?? ""), [params.q]);
  useEffect(() => {
    if (settled.trim() !== (params.q ?? "").trim() && settled === query) change({ q: settled.trim() }, { replace: true });
  }, [settled]);
  const escaped = (event) => {
    if (event.key === "Escape") {
      setQuery("");
      change({ q: "" });
    }
    if (event.key === "ArrowDown") document.querySelector("[data-row]")?.focus();
  };
  const threshold = params.threshold ?? THRESHOLD;
  return html`
    <form class="search" role="search" onSubmit=${(event) => { event.preventDefault(); change({ q: query.trim() }); }}>
      <input
        type="search" data-search value=${query} placeholder=${t("Ask, as an agent would: Where does she live?")}
        aria-label=${t("Search")} onInput=${(event) => setQuery(event.target.value)} onKeyDown=${escaped}
      />
      <label class="threshold" title=${t("Results with a lower score are left out")}>
        <span>${t("Threshold")} <output>${number(Number(threshold), { minimumFractionDigits: 2 })}</output></span>
        <input
          type="range" min="0" max="1" step="0.01" value=${threshold}
          onInput=${(event) => change({ threshold: event.target.value }, { replace: true })}
        />
      </label>
    </form>
  `;
}

export function FilterFields({ params, change }) {
  const used = FILTERS.filter((name) => params[name]).length;
  const ids = useKnownIds();
  const field = (name, label, more = {}) => html`
    <${Field} key=${name} label=${t(label)}>
      <${FilterInput} name=${name} value=${params[name] ?? ""} change=${change} ...${more} />
    <//>
  `;
  return html`
    <details class="filters" open=${used > 0 && matchMedia("(min-width: 52rem)").matches} onToggle=${(event) => event.target.open && ids.ask()}>
      <summary>${t("Filters")} ${used > 0 && html`<${Badge}>${used}<//>`}</summary>
      <div class="fields">
        ${SCOPE.map((name) => field(name, SCOPE_LABELS[name], { offered: ids.of(name) }))}
        ${field("category", "Category")}
        ${field("metadata", "Metadata", { placeholder: "topic=food" })}
        ${field("from", "Created from", { type: "date" })}
        ${field("to", "Created until", { type: "date" })}
        <label class="check">
          <input type="checkbox" checked=${params.expired === "1"} onChange=${(event) => change({ expired: event.target.checked ? "1" : "" })} />
          ${t("Show expired ones")}
        </label>
        ${used > 0 && html`
          <button type="button" class="quiet" onClick=${() => change(Object.fromEntries(FILTERS.map((name) => [name, ""])))}>
            ${t("Clear")}
          </button>
        `}
      </div>
    </details>
  `;
}

// The ids of the first users, agents, apps and runs, for whoever does not know them. They are asked for when needed.
function useKnownIds() {
  const [entities, setEntities] = useState(null);
  const ask = () => entities ?? call("GET", "v1/entities/", { query: { page_size: OFFERED } }).then((page) => setEntities(page.results), () => {});
  const of = (scope) => (entities ?? []).filter((one) => `${one.type}_id` === scope).map((one) => one.name);
  return { ask, of };
}

export function FilterInput({ name, value, change, type = "text", placeholder, offered = [] }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const commit = () => text !== value && change({ [name]: text.trim() });
  return html`
    <input
      type=${type} value=${text} placeholder=${placeholder} spellcheck=${false} list=${offered.length > 0 ? `known-${name}` : undefined}
      onInput=${(event) => setText(event.target.value)} onChange=${commit}
      onKeyDown=${(event) => event.key === "Enter" && commit()}
    />
    ${offered.length > 0 && html`<datalist id=${`known-${name}`}>${offered.map((id) => html`<option key=${id} value=${id} />`)}</datalist>`}
  `;
}

function Results({ params, asked, empty }) {
  const { data, error, loading, reload } = useLoad((signal) => search(params, signal), [asked]);
  const [explained, setExplained] = useState(null);
  // Only searches of the present are explained.
  const present = !params.as_of && !params.known_at;
  return html`
    <${ErrorNote} error=${error} retry=${reload} />
    ${!data && loading && html`<${Loading} />`}
    ${data && html`
      <p class="count"><span role="status">${counted(data.length, "{count} result", "{count} results")}</span>
        ${present && data.length > 0 && html`<button type="button" class="quiet" onClick=${askWhyNot}>${t("Missing a memory?")}</button>`}
      </p>
      <ol class=${loading ? "rows dim" : "rows"}>
        ${data.map((one) => html`
          <li key=${one.id} class="row">
            <${ScoreBar} score=${one.score} parts=${one.score_breakdown} />
            <div class="body">
              <${RowText} memory=${one} />
              <${RowFacts} memory=${one} />
              <details onToggle=${(event) => event.target.open && setExplained(one.id)}>
                <summary>${t("Why this score")}</summary>
                <${ScoreParts} item=${one} />
                ${explained === one.id && present && html`<${WhyNot} key=${one.id} params=${params} memoryId=${one.id} compact />`}
              </details>
            </div>
          </li>
        `)}
      </ol>
      ${data.length === 0 && (empty || html`<p>${t("No memory reaches the threshold. Lower it, or widen the filters.")}</p>`)}
      ${present && html`<${WhyNot} params=${params} />`}
    `}
  `;
}

const search = (params, signal) =>
  call("POST", "v3/memories/search/", { body: searchBody(params), signal }).then((found) => found.results);

function List({ params, asked, empty }) {
  const { kept, keep } = useKept(asked);
  const first = useLoad((signal) => page(params, null, signal), [asked], kept?.first);
  const [later, setLater] = useState({ of: kept?.first, pages: kept?.pages ?? [] });
  const [failure, setFailure] = useState(null);
  const busy = useRef(null);
  // Pages of another first page belong to another list.
  const pages = later.of === first.data ? later.pages : [];
  const last = pages.at(-1) ?? first.data;
  keep(first.data, pages);
  const more = async () => {
    if (busy.current === last || !last?.next_cursor) return;
    busy.current = last;
    setFailure(null);
    try {
      const next = await page(params, last.next_cursor);
      setLater({ of: first.data, pages: [...pages, next] });
    } catch (error) {
      busy.current = null;
      setFailure(error);
    }
  };
  const end = useEnd(more, [last]);
  const memories = [first.data, ...pages].flatMap((one) => one?.results ?? []);
  if (!first.data && first.loading) return html`<${Loading} />`;
  return html`
    <${ErrorNote} error=${first.error} retry=${first.reload} />
    ${first.data && memories.length === 0 && (empty || html`<${NoMemories} filtered=${FILTERS.some((name) => params[name])} />`)}
    ${memories.length > 0 && html`
      <p class="count">${countOf(first.data)}</p>
      <div class=${first.loading ? "rows dim" : "rows"}>
        ${[first.data, ...pages].map((one) => html`<${PageOfRows} key=${one.results[0]?.id} page=${one} />`)}
      </div>
      <${ErrorNote} error=${failure} retry=${more} />
      <div ref=${end} class="end">${last?.next_cursor && html`<button type="button" onClick=${more}>${t("Show more")}</button>`}</div>
    `}
  `;
}

// The list that was left last, with its place: whoever comes back from a memory finds it as it was.
let left = null;
const KEPT_MS = 120_000;

function useKept(asked) {
  const [kept] = useState(() => {
    const fits = left?.asked === asked && left.changes === changesSoFar() && Date.now() - left.at < KEPT_MS;
    return fits ? left : null;
  });
  const now = useRef(null);
  useLayoutEffect(() => {
    if (kept) scrollTo(0, kept.scroll);
    const scrolled = () => now.current && (now.current.scroll = scrollY);
    addEventListener("scroll", scrolled);
    return () => {
      removeEventListener("scroll", scrolled);
      left = now.current && { ...now.current, at: Date.now(), changes: changesSoFar() };
    };
  }, []);
  const keep = (first, pages) => {
    now.current = first ? { asked, first, pages, scroll: now.current?.scroll ?? kept?.scroll ?? 0 } : null;
  };
  return { kept, keep };
}

// The rows of a page while it is near the window, otherwise the room that they take: a list of thousands stays as quick
// as a short one, and its scroll bar as it is.
function PageOfRows({ page }) {
  const list = useRef(null);
  const [height, setHeight] = useState(heights.get(page) ?? 0);
  useEffect(() => {
    const seen = new IntersectionObserver((entries) => {
      const { isIntersecting, boundingClientRect } = entries.at(-1);
      if (!isIntersecting) heights.set(page, boundingClientRect.height);
      setHeight(isIntersecting ? 0 : boundingClientRect.height);
    }, { rootMargin: AROUND });
    seen.observe(list.current);
    return () => seen.disconnect();
  }, [page]);
  return html`<ul ref=${list} style=${{ height: height ? `${height}px` : "" }}>${height ? null : rowsOf(page)}</ul>`;
}

// What the rows of a page took when it was last near.
const heights = new WeakMap();

const rowsOf = (page) => page.results.map((one) => html`
  <li key=${one.id} class="row"><div class="body"><${RowText} memory=${one} /><${RowFacts} memory=${one} /></div></li>
`);

function countOf({ count, count_is_lower_bound: more }) {
  if (more) return t("{count} memories or more", { count: number(count) });
  return counted(count, "{count} memory", "{count} memories");
}

function page(params, cursor, signal) {
  const body = { filters: filtersOf(params), show_expired: params.expired === "1", ...momentsOf(params) };
  const query = cursor ? { page_size: LATER_PAGE_SIZE, cursor } : { page: 1, page_size: PAGE_SIZE };
  return call("POST", "v3/memories/", { body, query, signal });
}

// Calls `reached` when the end of a list comes near the lower edge of the window.
function useEnd(reached, inputs) {
  const end = useRef(null);
  useEffect(() => {
    if (!end.current) return undefined;
    const seen = new IntersectionObserver((entries) => entries.some((one) => one.isIntersecting) && reached(), {
      rootMargin: AROUND,
    });
    seen.observe(end.current);
    return () => seen.disconnect();
  }, inputs);
  return end;
}

function RowText({ memory }) {
  return html`<a class="text" data-row dir="auto" href=${hrefOf("memory", { id: memory.id })}>${memory.memory}</a>`;
}

export function RowFacts({ memory }) {
  return html`
    <div class="facts">
      <${Scope} of=${memory} />
      ${(memory.categories ?? []).map((one) => html`<${Badge} key=${one} kind="category">${one}<//>`)}
      ${memory.lifecycle_state === "superseded" && html`<${Badge} kind="past">${t("superseded")}<//>`}
      <${Time} at=${memory.created_at} />
    </div>
  `;
}

function NoMemories({ filtered }) {
  if (filtered) return html`<p>${t("No memory matches these filters.")}</p>`;
  const curl = `curl -s ${addressOf("memories")} -H "X-API-Key: $KEY" -H 'Content-Type: application/json' \\
  -d '{"messages": [{"role": "user", "content": "I moved to Lisbon in May."}], "user_id": "ana", "infer": false}'`;
  return html`
    <${Empty} title=${t("Nothing is remembered yet")} curl=${curl}>
      <p>${t("An agent sends its conversations, and what is worth remembering appears here. Send one:")}</p>
    <//>
  `;
}
