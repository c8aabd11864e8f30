// The frame of the console: sign-in, navigation, and the page that the address names.

import { storedKey, whenKeyIsRefused } from "./api.js";
import { Toast } from "./components.js";
import { chooseLanguage, language, t } from "./i18n.js";
import { html, render, useEffect, useRef, useState } from "./lib.js";
import { reloadAll } from "./load.js";
import { PAGES } from "./pages.js";
import { hrefOf, useRoute } from "./router.js";
import { SessionContext, signIn, signOut } from "./session.js";
import { SignIn, SignInAgain, Starting } from "./sign_in.js";

function Console() {
  const [, redraw] = useState(0);
  const [session, setSession] = useState(storedKey() ? undefined : null);
  // Why the key was refused, or why it is not known whether it is valid.
  const [refusal, setRefusal] = useState(null);
  const enter = (entered) => {
    setRefusal(null);
    setSession(entered);
    reloadAll();
  };
  const begin = () => signIn(storedKey()).then(enter, (error) => {
    setRefusal(error);
    if (error.status === 401) setSession(null);
  });
  useEffect(() => {
    whenKeyIsRefused(setRefusal);
    if (session === undefined) begin();
  }, []);
  const choose = (name) => {
    chooseLanguage(name);
    redraw((count) => count + 1);
  };
  const leave = () => {
    signOut();
    setRefusal(null);
    setSession(null);
  };
  const languages = html`<${Languages} onChoose=${choose} />`;
  if (session === undefined) return html`<${Starting} error=${refusal} retry=${begin} onLeave=${leave} />`;
  if (session === null) return html`<${SignIn} refusal=${refusal} onEnter=${enter} languages=${languages} />`;
  return html`
    <${Frame} key=${language()} session=${session} onLeave=${leave} languages=${languages} />
    ${refusal && html`<${SignInAgain} onEnter=${enter} onLeave=${leave} />`}
  `;
}

function Languages({ onChoose }) {
  return html`
    <div class="languages" role="group" aria-label=${t("Language")}>
      ${[["en", "English"], ["vi", "Tiếng Việt"]].map(([name, label]) => html`
        <button
          key=${name} type="button" class="quiet" lang=${name}
          aria-pressed=${language() === name} onClick=${() => onChoose(name)}
        >${label}</button>
      `)}
    </div>
  `;
}

function Frame({ session, onLeave, languages }) {
  const route = useRoute();
  const [toast, setToast] = useState(null);
  const [open, setOpen] = useState(false);
  const content = useRef(null);
  const pages = PAGES.filter((one) => session.may(one.needs) && !(one.whole && session.limited));
  const page = pages.find((one) => one.name === route.page);
  useKeys();
  useEffect(() => {
    document.title = page ? `${t(page.title)} · Forgetless` : "Forgetless";
    setOpen(false);
  }, [page]);
  return html`
    <${SessionContext.Provider} value=${{ ...session, say: setToast }}>
      <a class="skip" href="#content" onClick=${(event) => { event.preventDefault(); content.current.focus(); }}>
        ${t("Skip to the content")}
      </a>
      <div class="frame">
        <header class=${open ? "side open" : "side"}>
          <a class="brand" href=${hrefOf("memories")}><span class="mark" aria-hidden="true"></span>Forgetless</a>
          <button type="button" class="menu" aria-expanded=${open} onClick=${() => setOpen(!open)}>${t("Menu")}</button>
          <nav aria-label=${t("Pages")}>
            ${pages.filter((one) => !one.hidden).map((one) => html`
              <a key=${one.name} href=${hrefOf(one.name)} aria-current=${one === page || page?.within === one.name ? "page" : undefined}>
                ${t(one.title)}
              </a>
            `)}
          </nav>
          <div class="foot">
            ${languages}
            <a href="docs">${t("API")}</a>
            <button type="button" class="quiet" onClick=${onLeave}>${t("Sign out")}</button>
          </div>
        </header>
        <main id="content" ref=${content} tabindex="-1">
          ${page
            ? html`<${page.show} key=${page.name} params=${route.params} />`
            : html`<div class="empty"><h1>${t("There is no such page, or this key may not use it.")}</h1>
                <p><a href=${hrefOf("memories")}>${t("Memories")}</a></p></div>`}
        </main>
      </div>
      <${Toast} toast=${toast} onClose=${() => setToast(null)} />
    <//>
  `;
}

// `/` goes to the search box; up and down go from row to row, and from the first row up to the search box.
function useKeys() {
  useEffect(() => {
    const pressed = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
      const box = document.querySelector("[data-search]");
      if (event.key === "/" && box) {
        event.preventDefault();
        box.focus();
        box.select();
      }
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const place = event.target.closest("[data-row]");
      if (!step || (!place && event.target !== document.body)) return;
      const rows = [...document.querySelectorAll("[data-row]")];
      const next = rows[(place ? rows.indexOf(place) : -1) + step] ?? (step < 0 ? box : null);
      if (next) event.preventDefault();
      next?.focus();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}

const place = document.getElementById("console");
// What stood there while the files were on their way.
place.replaceChildren();
render(html`<${Console} />`, place);
