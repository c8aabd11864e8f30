// What several pages show: errors, empty states, badges, ids, dialogs, fields.

import { ApiError } from "./api.js";
import { html, useEffect, useRef, useState } from "./lib.js";
import { t } from "./i18n.js";
import { hrefOf } from "./router.js";

export const SCOPE = ["user_id", "agent_id", "app_id", "run_id"];
export const SCOPE_LABELS = { user_id: "User", agent_id: "Agent", app_id: "App", run_id: "Run" };

// An error with what to do about it.
export function ErrorNote({ error, retry }) {
  if (!error) return null;
  return html`
    <div class="note error" role="alert">
      <p><strong>${t(titleOf(error))}</strong> ${adviceOf(error)}</p>
      ${error.message && error.status !== 0 && html`<p class="reason">${error.message}</p>`}
      ${error.requestId && html`<p class="faint">${t("Request")} <code>${error.requestId}</code></p>`}
      ${retry && html`<button type="button" onClick=${retry}>${t("Try again")}</button>`}
    </div>
  `;
}

function titleOf(error) {
  if (!(error instanceof ApiError)) return "The page failed.";
  if (error.status === 0) return "The service cannot be reached.";
  if (error.status === 401) return "The key is not valid.";
  if (error.status === 403) return "This key may not do that.";
  if (error.status === 404) return "It does not exist, or this key may not see it.";
  if (error.status === 429) return "A quota is used up.";
  if (error.status >= 500) return "The service has a problem.";
  return "The request was refused.";
}

function adviceOf(error) {
  if (!(error instanceof ApiError)) return t("Reload the page. If it happens again, please report it.");
  if (error.status === 0) return t("Check your connection, and that the service runs. What you have typed stays.");
  if (error.status === 401) return t("Sign in with another key.");
  if (error.status === 403) return t("An administrator's key may.");
  if (error.retryAfter) return t("Try again in {seconds} s.", { seconds: error.retryAfter });
  if (error.status >= 500) return t("Nothing was lost. Look at the health of its parts on the overview.");
  return "";
}

// What a page shows without content: what it is for, and how to fill it.
export function Empty({ title, children, curl }) {
  return html`
    <div class="empty">
      <h2>${title}</h2>
      ${children}
      ${curl && html`<${Curl} text=${curl} />`}
    </div>
  `;
}

export function Curl({ text }) {
  return html`
    <div class="curl">
      <pre tabindex="0" aria-label=${t("The same with curl")}>${text}</pre>
      <${Copy} text=${text} />
    </div>
  `;
}

export function Copy({ text, label = "Copy" }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    const timer = done && setTimeout(() => setDone(false), 1500);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = () => navigator.clipboard.writeText(text).then(() => setDone(true));
  return html`<button type="button" class="quiet" onClick=${copy} aria-live="polite">${done ? t("Copied") : t(label)}</button>`;
}

// What is shown once, like a new key.
export function Secret({ title, text, onClose }) {
  return html`
    <section class="note" role="status">
      <p><strong>${title}</strong></p>
      <pre tabindex="0">${text}</pre>
      <div class="actions"><${Copy} text=${text} /><button type="button" class="quiet" onClick=${onClose}>${t("Close")}</button></div>
    </section>
  `;
}

// The ids of a memory or job, each a link to the memories of that id.
export function Scope({ of }) {
  const ids = SCOPE.filter((name) => of[name]);
  return html`
    <span class="scope">
      ${ids.map((name) => html`
        <a key=${name} class="badge" href=${hrefOf("memories", { [name]: of[name] })} title=${t(SCOPE_LABELS[name])}>
          <span class="kind">${t(SCOPE_LABELS[name])}</span> <bdi>${of[name]}</bdi>
        </a>
      `)}
    </span>
  `;
}

export function Badge({ kind = "", children, title }) {
  return html`<span class=${`badge ${kind}`} title=${title}>${children}</span>`;
}

export function Field({ label, hint, children }) {
  return html`<label class="field"><span>${label}</span>${children}${hint && html`<small>${hint}</small>`}</label>`;
}

// The first load of a page; later loads keep the content and only dim it.
export function Loading() {
  return html`<div class="loading" role="status"><span class="visually-hidden">${t("Loading")}</span></div>`;
}

// A dialog that asks before something is destroyed. With `typed`, that word must be typed first.
export function Confirm({ title, children, action, typed, onConfirm, onClose }) {
  const dialog = useRef(null);
  const [text, setText] = useState("");
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => dialog.current.showModal(), []);
  const confirm = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await onConfirm();
      onClose();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  return html`
    <dialog ref=${dialog} onClose=${onClose} aria-labelledby="confirm-title">
      <form onSubmit=${confirm}>
        <h2 id="confirm-title">${title}</h2>
        ${children}
        ${typed && html`
          <${Field} label=${t("Type {word} to confirm", { word: typed })}>
            <input value=${text} onInput=${(event) => setText(event.target.value)} autocomplete="off" autofocus />
          <//>
        `}
        <${ErrorNote} error=${error} />
        <div class="actions">
          <button type="button" onClick=${() => dialog.current.close()}>${t("Cancel")}</button>
          <button type="submit" class="danger" disabled=${busy || (typed && text.trim() !== typed)}>${action}</button>
        </div>
      </form>
    </dialog>
  `;
}

// A message that goes away by itself, with a way to take the deed back.
export function Toast({ toast, onClose }) {
  useEffect(() => {
    const timer = toast && setTimeout(onClose, 10_000);
    return () => clearTimeout(timer);
  }, [toast]);
  return html`
    <div class="toast" role="status" hidden=${!toast}>
      ${toast && html`
        <span>${toast.text}</span>
        ${toast.undo && html`<button type="button" onClick=${() => { toast.undo(); onClose(); }}>${t("Undo")}</button>`}
        <button type="button" class="quiet" onClick=${onClose} aria-label=${t("Close")}>×</button>
      `}
    </div>
  `;
}
