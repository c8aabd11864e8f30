// One memory: its text, scope and sources, its history, what it superseded, and what can be done with it.

import { addressOf, call, segment } from "../api.js";
import { Badge, Confirm, Copy, ErrorNote, Field, Loading, Scope } from "../components.js";
import { Difference } from "../diff.js";
import { t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { useLoad } from "../load.js";
import { go, hrefOf } from "../router.js";
import { useSession } from "../session.js";
import { Time } from "../times.js";

const pathOf = (id, more = "") => `v1/memories/${segment(id)}/${more}`;

export function MemoryPage({ params: { id = "" } }) {
  const { data: memory, error, reload } = useLoad((signal) => call("GET", pathOf(id), { signal }), [id]);
  const history = useLoad((signal) => call("GET", pathOf(id, "history/"), { signal }), [id, memory?.version]);
  const before = useLoad((signal) => call("GET", pathOf(id, "superseded/"), { signal }), [id, memory?.version]);
  if (error) return html`<h1>${t("Memory")}</h1><${ErrorNote} error=${error} retry=${reload} />`;
  if (!memory) return html`<${Loading} />`;
  return html`
    <article>
      <p class="crumb"><a href=${hrefOf("memories", { user_id: memory.user_id, agent_id: memory.agent_id })}>← ${t("Memories")}</a></p>
      <h1 class="memory-text" dir="auto">${memory.memory}</h1>
      <p class="facts">
        <${Scope} of=${memory} />
        ${(memory.categories ?? []).map((one) => html`<${Badge} key=${one} kind="category">${one}<//>`)}
        ${memory.lifecycle_state === "superseded" && html`<${Badge} kind="past">${t("superseded")}<//>`}
        ${memory.immutable && html`<${Badge}>${t("immutable")}<//>`}
      </p>
      <${Actions} memory=${memory} changed=${reload} />
      <${Lineage} memory=${memory} before=${before.data?.results ?? []} changed=${() => { reload(); before.reload(); }} />
      <${Sources} messages=${history.data?.at(-1)?.input ?? []} />
      <${History} events=${history.data} error=${history.error} />
      <${Fields} memory=${memory} />
    </article>
  `;
}

async function bringBack(id, say) {
  await call("POST", pathOf(id, "restore/"));
  say({ text: t("It is remembered again. What superseded it stays, too.") });
}

function Actions({ memory, changed }) {
  const { may, say } = useSession();
  const [open, setOpen] = useState(null);
  const [error, setError] = useState(null);
  if (!may("write")) return null;
  const restore = () => bringBack(memory.id, say).then(changed, setError);
  const erase = async () => {
    await call("DELETE", pathOf(memory.id));
    say({ text: t("The memory is erased.") });
    go("memories", { user_id: memory.user_id });
  };
  return html`
    <div class="actions">
      ${memory.lifecycle_state === "superseded"
        ? html`<button type="button" class="primary" onClick=${restore}>${t("Bring it back")}</button>`
        : !memory.immutable && html`<button type="button" onClick=${() => setOpen("edit")}>${t("Edit")}</button>`}
      <button type="button" class="danger" onClick=${() => setOpen("erase")}>${t("Delete")}</button>
    </div>
    <${ErrorNote} error=${error} />
    ${open === "edit" && html`<${Edit} memory=${memory} changed=${changed} onClose=${() => setOpen(null)} />`}
    ${open === "erase" && html`
      <${Confirm}
        title=${t("Delete this memory?")} action=${t("Delete for ever")} typed=${t("delete")}
        onConfirm=${erase} onClose=${() => setOpen(null)}
      >
        <p>${t("Its text, its history and the messages that say the same are erased. No past moment shows it any more, and nobody can bring it back.")}</p>
      <//>
    `}
  `;
}

function Edit({ memory, changed, onClose }) {
  const { say } = useSession();
  const [text, setText] = useState(memory.memory);
  const put = (content) => call("PUT", pathOf(memory.id), { body: { text: content } });
  const save = async () => {
    if (text !== memory.memory) {
      await put(text);
      say({ text: t("The text is changed."), undo: () => put(memory.memory).then(changed) });
      changed();
    }
  };
  return html`
    <${Confirm} title=${t("Edit the text")} action=${t("Save")} onConfirm=${save} onClose=${onClose}>
      <${Field} label=${t("Text")} hint=${t("The old text stays in the history.")}>
        <textarea rows="6" value=${text} onInput=${(event) => setText(event.target.value)} dir="auto"></textarea>
      <//>
    <//>
  `;
}

// What it superseded and what superseded it, as a chain from the oldest to the newest.
function Lineage({ memory, before, changed }) {
  const { may, say } = useSession();
  const [error, setError] = useState(null);
  if (before.length === 0 && !memory.replaced_by) return null;
  const step = ({ id, memory: text, created_at: at }) => html`
    <li key=${id}>
      <a href=${hrefOf("memory", { id })} dir="auto">${text}</a> <${Time} at=${at} />
      ${may("write") && html`<button type="button" class="quiet" onClick=${() => bringBack(id, say).then(changed, setError)}>${t("Bring it back")}</button>`}
    </li>
  `;
  return html`
    <section>
      <h2>${t("Supersession")}</h2>
      <ol class="lineage">
        ${[...before].reverse().map(step)}
        <li class="here" aria-current="true"><span dir="auto">${memory.memory}</span> <${Time} at=${memory.created_at} /></li>
        ${memory.replaced_by && html`<${Successor} id=${memory.replaced_by} />`}
      </ol>
      <p class="faint">${t("The oldest first. Searches show only the last one; the others can be brought back.")}</p>
      <${ErrorNote} error=${error} />
    </section>
  `;
}

function Successor({ id }) {
  const { data, error } = useLoad((signal) => call("GET", pathOf(id), { signal }), [id]);
  if (error) return html`<li>${t("A memory that was deleted since")}</li>`;
  return html`<li>${data && html`<a href=${hrefOf("memory", { id })} dir="auto">${data.memory}</a> <${Time} at=${data.created_at} />`}</li>`;
}

function Sources({ messages }) {
  if (messages.length === 0) return null;
  return html`
    <section>
      <h2>${t("Where it comes from")}</h2>
      <ul class="talk">
        ${messages.map((one, place) => html`<li key=${place} class=${one.role}><b>${t(one.role)}</b><p dir="auto">${one.content}</p></li>`)}
      </ul>
    </section>
  `;
}

const KINDS = { ADD: "Remembered", UPDATE: "Changed", DELETE: "Deleted" };

function History({ events, error }) {
  return html`
    <section>
      <h2>${t("History")}</h2>
      <${ErrorNote} error=${error} />
      <ol class="history">
        ${(events ?? []).map((one, place) => html`
          <li key=${one.id}>
            <p><b>${t(one.superseded_by ? "Superseded" : KINDS[one.event] ?? one.event)}</b> <${Time} at=${place ? one.updated_at : one.created_at} /></p>
            ${one.superseded_by
              ? html`<p>${t("by")} <a href=${hrefOf("memory", { id: one.superseded_by })}>${one.superseded_by}</a></p>`
              : html`<${Difference} before=${one.old_memory} after=${one.new_memory} />`}
          </li>
        `)}
      </ol>
    </section>
  `;
}

// Everything else that is known of it, and where its provenance is seen.
function Fields({ memory }) {
  const { may } = useSession();
  const metadata = Object.entries(memory.metadata ?? {});
  const row = (label, value) => value && html`<div><dt>${t(label)}</dt><dd>${value}</dd></div>`;
  return html`
    <section>
      <h2>${t("Details")}</h2>
      <dl class="fields-of">
        ${row("Id", html`<code>${memory.id}</code> <${Copy} text=${memory.id} />`)}
        ${row("True from", html`<${Time} at=${memory.created_at} />`)}
        ${row("Known from", html`<${Time} at=${memory.recorded_at} />`)}
        ${row("Last change", html`<${Time} at=${memory.updated_at} /> (${t("version {number}", { number: memory.version })})`)}
        ${row("Expires after", memory.expiration_date)}
        ${row("Said by", [memory.role, memory.actor_id].filter(Boolean).join(", "))}
        ${row("Added by", html`<a href=${hrefOf("jobs", { id: memory.source_job })}>${t("job")} <code>${memory.source_job}</code></a>`)}
        ${row("Written with the key", memory.source_key && (may("admin")
          ? html`<a href=${hrefOf("keys", { id: memory.source_key })}><code>${memory.source_key}</code></a>`
          : html`<code>${memory.source_key}</code>`))}
        ${metadata.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd dir="auto">${typeof value === "string" ? value : JSON.stringify(value)}</dd></div>`)}
      </dl>
      <details>
        <summary>${t("The same with curl")}</summary>
        <pre tabindex="0">${`curl -s ${addressOf(pathOf(memory.id))} -H "X-API-Key: $KEY"`}</pre>
      </details>
    </section>
  `;
}
