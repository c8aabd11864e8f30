// Signing in: at the beginning, again when the key was refused in between, and the wait for a service that is away.

import { ErrorNote, Field } from "./components.js";
import { t } from "./i18n.js";
import { html, useEffect, useRef, useState } from "./lib.js";
import { waitOf } from "./load.js";
import { signIn } from "./session.js";

// Until the service has said what the stored key may do. Without an answer the key stays, and is tried again.
export function Starting({ error, retry, onLeave }) {
  useEffect(() => {
    const timer = error && setTimeout(retry, waitOf(error));
    return () => clearTimeout(timer);
  }, [error]);
  if (!error) return html`<div class="starting"><span class="mark" aria-hidden="true"></span><p>Forgetless</p></div>`;
  return html`
    <main class="sign-in">
      <div class="panel">
        <h1>Forgetless</h1>
        <${ErrorNote} error=${error} retry=${retry} />
        <button type="button" class="quiet" onClick=${onLeave}>${t("Sign out")}</button>
      </div>
    </main>
  `;
}

export function SignIn({ refusal, onEnter, languages }) {
  return html`
    <main class="sign-in">
      <div class="panel">
        <h1>Forgetless</h1>
        <p>${t("What your agents remember, about whom, and why a search found it.")}</p>
        <${KeyForm} refusal=${refusal} onEnter=${onEnter} />
        <p class="faint">${t("After make up, the key is in the file .forgetless/api_key:")}</p>
        <pre tabindex="0">cat .forgetless/api_key</pre>
        ${languages}
      </div>
    </main>
  `;
}

// The key was revoked or has expired while the page was open: the page stays as it is behind the dialog.
export function SignInAgain({ onEnter, onLeave }) {
  const dialog = useRef(null);
  useEffect(() => dialog.current.showModal(), []);
  return html`
    <dialog ref=${dialog} onCancel=${(event) => event.preventDefault()} aria-labelledby="again-title">
      <h2 id="again-title">${t("The key is not valid any more.")}</h2>
      <p>${t("It was revoked, or it has expired. Sign in with another key; what you have typed stays.")}</p>
      <${KeyForm} onEnter=${onEnter} />
      <button type="button" class="quiet" onClick=${onLeave}>${t("Sign out")}</button>
    </dialog>
  `;
}

function KeyForm({ refusal = null, onEnter }) {
  const [key, setKey] = useState("");
  const [error, setError] = useState(refusal);
  const [busy, setBusy] = useState(false);
  const submit = (event) => {
    event.preventDefault();
    setBusy(true);
    signIn(key.trim()).then(onEnter, (failure) => {
      setError(failure);
      setBusy(false);
    });
  };
  return html`
    <form onSubmit=${submit}>
      <${Field} label=${t("API key")} hint=${t("It is kept in this tab only, and sent to this service only.")}>
        <input
          type="password" value=${key} onInput=${(event) => setKey(event.target.value)}
          autocomplete="off" spellcheck=${false} required autofocus
        />
      <//>
      <${ErrorNote} error=${error} />
      <button type="submit" class="primary" disabled=${busy}>${t("Sign in")}</button>
    </form>
  `;
}
