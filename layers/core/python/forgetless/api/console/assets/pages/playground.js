// Playground: a conversation of one's own, what was remembered of it, and questions beside it.

import { addAndWait, eraseUser } from "../adds.js";
import { call, segment } from "../api.js";
import { Badge, ErrorNote, Field } from "../components.js";
import { number, t } from "../i18n.js";
import { html, useEffect, useState } from "../lib.js";
import { go, hrefOf } from "../router.js";
import { useSession } from "../session.js";
import { Found, SearchBox } from "./memories.js";

const ROLES = ["user", "assistant"];

const newUser = () => `playground-${crypto.randomUUID().slice(0, 8)}`;

// The user id stands in the address, so that a reload keeps the playground.
export function Playground({ params }) {
  const user = params.user_id?.startsWith("playground-") ? params.user_id : null;
  useEffect(() => {
    if (!user) go("playground", { user_id: newUser() }, { replace: true });
  }, [user]);
  return user && html`<${Ground} key=${user} user=${user} params=${params} />`;
}

function Ground({ user, params }) {
  const { may, say } = useSession();
  const [round, setRound] = useState(0);
  const [error, setError] = useState(null);
  const erase = () => eraseUser(user).then(() => {
    say({ text: t("The playground is erased.") });
    go("playground", { user_id: newUser() });
  }, setError);
  return html`
    <h1>${t("Playground")}</h1>
    <p>${t("Write a conversation and see what is remembered of it. It belongs to a user of its own:")} <code>${user}</code> ${may("admin")
      ? html`<button type="button" class="quiet danger" onClick=${erase}>${t("Erase this playground")}</button>`
      : html`<span class="faint">${t("An administrator's key may erase it.")}</span>`}</p>
    <${ErrorNote} error=${error} />
    <div class="columns">
      <section><${Conversation} user=${user} onDone=${() => setRound((count) => count + 1)} /></section>
      <section>
        <h2>${t("Ask about it")}</h2>
        <${SearchBox} params=${params} change=${(changes, options) => go("playground", { ...params, ...changes }, options)} />
        <${Found} key=${round} params=${params} empty=${!params.q && html`<p class="faint">${t("Nothing is remembered here yet. Send the conversation first.")}</p>`} />
      </section>
    </div>
  `;
}

function Conversation({ user, onDone }) {
  const [messages, setMessages] = useState([{ role: "user", content: t("I moved to Lisbon in May, and my dog Nilo hates trams.") }]);
  const [infer, setInfer] = useState(true);
  const [run, setRun] = useState(null);
  const [error, setError] = useState(null);
  const change = (place, changes) => setMessages(messages.map((one, index) => (index === place ? { ...one, ...changes } : one)));
  const last = messages.at(-1)?.role;
  const more = () => setMessages([...messages, { role: last === "user" ? "assistant" : "user", content: "" }]);
  const send = async (event) => {
    event.preventDefault();
    setError(null);
    setRun({ busy: true });
    try {
      setRun(await remembered(user, messages.filter((one) => one.content.trim()), infer));
      onDone();
    } catch (failure) {
      setRun(null);
      setError(failure);
    }
  };
  return html`
    <h2>${t("A conversation")}</h2>
    <form onSubmit=${send}>
      ${messages.map((one, place) => html`
        <div key=${place} class="said">
          <select value=${one.role} aria-label=${t("Role")} onChange=${(event) => change(place, { role: event.target.value })}>
            ${ROLES.map((role) => html`<option key=${role} value=${role}>${t(role)}</option>`)}
          </select>
          <textarea rows="3" dir="auto" aria-label=${t("Message")} value=${one.content} onInput=${(event) => change(place, { content: event.target.value })}></textarea>
          <button type="button" class="quiet" aria-label=${t("Remove this message")} onClick=${() => setMessages(messages.filter((_, index) => index !== place))}>×</button>
        </div>
      `)}
      <div class="actions">
        <button type="button" class="quiet" onClick=${more}>+ ${t("Add a message")}</button>
      </div>
      <div class="actions" role="radiogroup" aria-label=${t("What to keep")}>
        <label class="check"><input type="radio" name="infer" checked=${infer} onChange=${() => setInfer(true)} />${t("extract facts")}</label>
        <label class="check"><input type="radio" name="infer" checked=${!infer} onChange=${() => setInfer(false)} />${t("keep as said")}</label>
      </div>
      <div class="actions">
        <button type="submit" class="primary" disabled=${run?.busy || !messages.some((one) => one.content.trim())}>${t("Remember")}</button>
      </div>
    </form>
    <${ErrorNote} error=${error} />
    <div aria-live="polite">
      ${run?.busy && html`<p class="faint">${t("It is being read …")}</p>`}
      ${run?.job && html`<${Outcome} run=${run} />`}
    </div>
  `;
}

function Outcome({ run: { job, seconds, tokens, sources, superseded } }) {
  if (job.status === "FAILED") return html`<${ErrorNote} error=${new Error(job.error)} />`;
  return html`
    <h2>${t("What was remembered")}</h2>
    <p class="faint">${t("{seconds} s", { seconds: number(seconds, { maximumFractionDigits: 2 }) })}${tokens > 0 && ` · ${t("{tokens} tokens", { tokens: number(tokens) })}`}</p>
    ${job.results.length === 0 && html`<p>${t("Nothing in it was worth remembering.")}</p>`}
    <ul class="plain">
      ${job.results.map((one) => html`
        <li key=${one.id}>
          <${Badge} kind=${one.event === "ADD" ? "good" : ""}>${one.event}<//> <a dir="auto" href=${hrefOf("memory", { id: one.id })}>${one.memory}</a>
          ${(sources[one.id] ?? []).map((said, place) => html`<p key=${place} class="faint" dir="auto">← ${said.role}: ${said.content}</p>`)}
          ${(superseded[one.id] ?? []).map((old) => html`<p key=${old.id} class="faint">${t("supersedes")} <a dir="auto" href=${hrefOf("memory", { id: old.id })}>${old.memory}</a></p>`)}
        </li>
      `)}
    </ul>
  `;
}

// Adds the messages, waits for the job, and reads where each memory comes from and what it superseded.
async function remembered(user, messages, infer) {
  const began = performance.now();
  const before = await tokensToday();
  const job = await addAndWait({ messages, user_id: user, infer });
  const seconds = (performance.now() - began) / 1000;
  const [sources, superseded] = [{}, {}];
  await Promise.all(job.results.map(async ({ id: memory }) => {
    const path = `v1/memories/${segment(memory)}`;
    const [history, older] = await Promise.all([call("GET", `${path}/history/`), call("GET", `${path}/superseded/`)]);
    sources[memory] = history.at(-1)?.input ?? [];
    superseded[memory] = older.results;
  }));
  return { job, seconds, tokens: (await tokensToday()) - before, sources, superseded };
}

async function tokensToday() {
  const { usage } = await call("GET", "usage", { query: { from: new Date().toISOString().slice(0, 10) } });
  return usage.reduce((sum, day) => sum + day.llm_tokens, 0);
}
