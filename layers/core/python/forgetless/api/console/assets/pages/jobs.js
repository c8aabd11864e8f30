// Jobs: what adds became, why some failed, and bulk jobs with their progress.

import { call, segment } from "../api.js";
import { Badge, Confirm, Empty, ErrorNote, Field, Loading, SCOPE_LABELS, Scope } from "../components.js";
import { number, t } from "../i18n.js";
import { html, useEffect, useMemo, useState } from "../lib.js";
import { useLoad, usePolling } from "../load.js";
import { go, hrefOf } from "../router.js";
import { useSession } from "../session.js";
import { Time, ago } from "../times.js";
import { FilterInput } from "./memories.js";

// A job names each memory that it made, so pages are short.
const PAGE_SIZE = 20;
const POLL_S = 5;
const STATES = { PENDING: "Waiting", RUNNING: "Running", SUCCEEDED: "Done", FAILED: "Failed" };
const KINDS = {
  ADD: "Add",
  ERASE: "Erasure",
  DELETE: "Deletion",
  REINDEX: "Rebuilding of the index",
  RETENTION: "Retention",
  IMPORT: "Import",
  EXPORT: "Export",
};

export function Jobs({ params }) {
  const chosen = (changes) => go("jobs", { ...params, ...changes });
  return html`
    <h1>${t("Jobs")}</h1>
    ${params.id && html`<${OneJob} key=${params.id} params=${params} />`}
    <div class="choices">
      <${Choice} label=${t("Kind")} value=${params.kind} options=${KINDS} onChange=${(kind) => chosen({ kind })} />
      <${Choice} label=${t("State")} value=${params.state} options=${STATES} onChange=${(state) => chosen({ state })} />
      <${Field} label=${t(SCOPE_LABELS.user_id)}>
        <${FilterInput} name="user_id" value=${params.user_id ?? ""} change=${chosen} />
      <//>
    </div>
    <${List} key=${`${params.kind}-${params.state}-${params.user_id}`} params=${params} />
  `;
}

function Choice({ label, value, options, onChange }) {
  return html`
    <${Field} label=${label}>
      <select value=${value ?? ""} onChange=${(event) => onChange(event.target.value)}>
        <option value="">${t("all")}</option>
        ${Object.entries(options).map(([name, text]) => html`<option key=${name} value=${name}>${t(text)}</option>`)}
      </select>
    <//>
  `;
}

function List({ params }) {
  const { kind, state, user_id } = params;
  const [more, setMore] = useState([]);
  const [failure, setFailure] = useState(null);
  const [busy, setBusy] = useState(false);
  const ask = (cursor, signal) =>
    call("GET", "v1/events/", { query: { page_size: PAGE_SIZE, status: state, event_type: kind, user_id, cursor }, signal });
  const { data, error, loading, reload } = useLoad((signal) => ask(null, signal), []);
  const jobs = useMemo(() => {
    const known = new Map([...more.flatMap((page) => page.results), ...(data?.results ?? [])].map((job) => [job.id, job]));
    return [...known.values()].sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
  }, [data, more]);
  usePolling(() => !loading && reload(), POLL_S);
  const cursor = (more.at(-1) ?? data)?.next_cursor;
  const next = () => {
    setBusy(true);
    setFailure(null);
    ask(cursor).then((page) => setMore((all) => [...all, page]), setFailure).finally(() => setBusy(false));
  };
  return html`
    <${ErrorNote} error=${error} retry=${reload} />
    ${!data && loading && html`<${Loading} />`}
    ${data && jobs.length === 0 && html`<${NoJobs} chosen=${Boolean(state || kind || user_id)} more=${Boolean(cursor)} />`}
    ${jobs.length > 0 && html`<ul class="rows">${jobs.map((job) => html`<${JobRow} key=${job.id} job=${job} href=${hrefOf("jobs", { ...params, id: job.id })} />`)}</ul>`}
    <${ErrorNote} error=${failure} />
    ${busy && html`<${Loading} />`}
    <div class="end">${cursor && html`<button type="button" disabled=${busy} onClick=${next}>${t("Show older ones")}</button>`}</div>
  `;
}

function NoJobs({ chosen, more }) {
  const title = !chosen ? "No jobs yet" : more ? "No such job among the newest thousands" : "No such job";
  return html`
    <${Empty} title=${t(title)}><p>${t("Each add is a job: it says what became of a conversation, and why if it failed.")}</p><//>
  `;
}

function JobRow({ job, href }) {
  return html`
    <li class="row"><div class="body">
      <p class="facts">
        <${State} job=${job} />
        <a data-row href=${href}>${t(KINDS[job.event_type] ?? job.event_type)}</a>
        <${Scope} of=${job.payload} />
        <${Time} at=${job.created_at} />
        ${job.latency != null && html`<span class="faint">${number(job.latency / 1000, { maximumFractionDigits: 2 })} s</span>`}
        <${Progress} job=${job} />
      </p>
      ${job.error && html`<p class="reason">${job.error}${job.next_try_at && html` <span class="faint">${t("next try")} ${ago(job.next_try_at)}</span>`}</p>`}
    </div></li>
  `;
}

function State({ job }) {
  const kind = { FAILED: "bad", SUCCEEDED: "good" }[job.status] ?? "";
  return html`<${Badge} kind=${kind}>${t(STATES[job.status] ?? job.status)}<//>`;
}

function Progress({ job }) {
  const { done, total, llm_calls_done: calls, llm_calls: of } = job.metadata ?? {};
  if (of) return html`<span class="faint">${t("{done} of {total} LLM calls", { done: number(calls), total: number(of) })}</span>`;
  if (done === undefined || done === null) return null;
  return html`
    ${total > 0 && html`<progress max=${total} value=${done} aria-label=${t("Progress")}></progress>`}
    <span class="faint">${total ? t("{done} of {total}", { done: number(done), total: number(total) }) : number(done)}</span>
  `;
}

function OneJob({ params }) {
  const { id } = params;
  const { may, say } = useSession();
  const [failure, setFailure] = useState(null);
  const [asks, setAsks] = useState(false);
  const path = `v1/event/${segment(id)}/`;
  const { data: job, error, reload } = useLoad((signal) => call("GET", path, { signal }), [path]);
  const runs = job && ["PENDING", "RUNNING"].includes(job.status);
  usePolling(() => runs && reload(), 2);
  useEffect(() => scrollTo(0, 0), [id]);
  if (error) return html`<${ErrorNote} error=${error} retry=${reload} />`;
  if (!job) return null;
  const retry = () => call("POST", `${path}retry/`).then(() => { setFailure(null); say({ text: t("It is tried again.") }); reload(); }, setFailure);
  const cancel = () => call("DELETE", path).then(reload);
  return html`
    <section class="note">
      <p class="facts"><${State} job=${job} /> <code>${job.id}</code> <${Scope} of=${job.payload} /> <${Time} at=${job.created_at} /> <${Progress} job=${job} /></p>
      ${job.error && html`<p class="reason">${job.error}</p>`}
      <${ErrorNote} error=${failure} />
      ${job.results.length > 0 && html`
        <ul class="plain">
          ${job.results.map((one) => html`<li key=${one.id}><${Badge}>${one.event}<//> ${one.memory === null
            ? html`<span class="faint">${t("deleted since")}</span>`
            : html`<a dir="auto" href=${hrefOf("memory", { id: one.id })}>${one.memory}</a>`}</li>`)}
        </ul>
      `}
      ${job.status === "SUCCEEDED" && job.event_type === "ADD" && job.results.length === 0 && html`<p>${t("Nothing in it was worth remembering.")}</p>`}
      <div class="actions">
        ${job.status === "FAILED" && job.event_type === "ADD" && may("write") && html`<button type="button" class="primary" onClick=${retry}>${t("Try again")}</button>`}
        ${runs && job.event_type !== "ADD" && may("admin") && html`<button type="button" onClick=${() => setAsks(true)}>${t("Cancel the job")}</button>`}
        <a href=${hrefOf("jobs", { ...params, id: "" })}>${t("Close")}</a>
      </div>
      ${asks && html`
        <${Confirm} title=${t("Cancel this job?")} action=${t("Cancel the job")} onConfirm=${cancel} onClose=${() => setAsks(false)}>
          <p>${t("What it has done stays done.")}</p>
        <//>
      `}
    </section>
  `;
}
