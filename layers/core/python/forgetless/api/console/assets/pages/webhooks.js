// Webhooks: where changes are sent, the log of what was delivered, and a test.

import { addAndWait, eraseUser } from "../adds.js";
import { call, segment } from "../api.js";
import { Badge, Confirm, Empty, ErrorNote, Field, Loading, Secret } from "../components.js";
import { counted, t } from "../i18n.js";
import { html, useEffect, useState } from "../lib.js";
import { useLoad, usePolling } from "../load.js";
import { hrefOf } from "../router.js";
import { useSession } from "../session.js";
import { Time } from "../times.js";

const POLL_S = 5;
// The kinds that are delivered; the API accepts more names, and sends nothing for them.
const KINDS = { memory_add: "added", memory_update: "changed", memory_delete: "deleted" };
const STATES = { pending: "waiting", delivered: "delivered", failed: "failed" };
const TESTER = "playground-webhook";

export function Webhooks({ params }) {
  const { place, say } = useSession();
  const path = `api/v1/webhooks/projects/${segment(place.project)}/`;
  const { data: hooks, error, reload } = useLoad((signal) => call("GET", path, { signal }), []);
  const [made, setMade] = useState(null);
  const [asks, setAsks] = useState(null);
  const [failure, setFailure] = useState(null);
  const switched = (hook) =>
    call("PUT", `api/v1/webhooks/${segment(hook.webhook_id)}/`, { body: { is_active: !hook.is_active } }).then(reload, setFailure);
  const remove = async (hook) => {
    await call("DELETE", `api/v1/webhooks/${segment(hook.webhook_id)}/`);
    say({ text: t("The webhook is deleted.") });
    reload();
  };
  return html`
    <h1>${t("Webhooks")}</h1>
    <${ErrorNote} error=${error ?? failure} retry=${error && reload} />
    ${made && html`<${Secret} title=${t("This is the secret that signs what it receives. It is shown only now.")} text=${made.secret} onClose=${() => setMade(null)} />`}
    ${!hooks && !error && html`<${Loading} />`}
    ${hooks?.length === 0 && html`
      <${Empty} title=${t("Nobody is told of changes yet")}><p>${t("A webhook is an address that receives each change of a memory within a minute.")}</p><//>
    `}
    ${hooks?.length > 0 && html`
      <ul class="rows">
        ${hooks.map((hook) => html`
          <li key=${hook.webhook_id} class=${hook.webhook_id === params.id ? "row chosen" : "row"}><div class="body">
            <p class="facts"><b>${hook.name}</b> <code>${hook.url}</code></p>
            <p class="facts">
              <${Badge} kind=${hook.is_active ? "good" : "bad"}>${hook.is_active ? t("active") : hook.disabled_reason ?? t("not active")}<//>
              ${hook.event_types.map((kind) => html`<${Badge} key=${kind} kind="category">${t(KINDS[kind] ?? kind)}<//>`)}
              <a data-row href=${hrefOf("webhooks", { id: hook.webhook_id })}>${t("Deliveries and test")}</a>
              <button type="button" class="quiet" onClick=${() => switched(hook)}>${hook.is_active ? t("Deactivate") : t("Activate")}</button>
              <button type="button" class="quiet danger" onClick=${() => setAsks(hook)}>${t("Delete")}</button>
            </p>
            ${hook.webhook_id === params.id && html`<${Deliveries} hook=${hook} />`}
          </div></li>
        `)}
      </ul>
    `}
    ${hooks && html`<${Create} path=${path} onMade=${(hook) => { setMade(hook); reload(); }} />`}
    ${asks && html`
      <${Confirm} title=${t("Delete the webhook {name}?", asks)} action=${t("Delete")} onConfirm=${() => remove(asks)} onClose=${() => setAsks(null)}>
        <p>${t("It receives nothing more, and the log of its deliveries is gone.")}</p>
      <//>
    `}
  `;
}

function Deliveries({ hook }) {
  const path = `api/v1/webhooks/${segment(hook.webhook_id)}/deliveries/`;
  const { data, error, loading, reload } = useLoad((signal) => call("GET", path, { query: { limit: 20 }, signal }), [path]);
  usePolling(() => !loading && reload(), POLL_S);
  return html`
    <${ErrorNote} error=${error} retry=${reload} />
    <${Test} hook=${hook} deliveries=${data?.results ?? []} onSent=${reload} />
    ${data?.results.length === 0 && html`<p class="faint">${t("Nothing was delivered in the last three days.")}</p>`}
    <ul class="plain">
      ${(data?.results ?? []).map((one) => html`
        <li key=${one.id}>
          <p class="facts">
            <${Badge} kind=${{ delivered: "good", failed: "bad" }[one.status] ?? ""}>${t(STATES[one.status] ?? one.status)}<//>
            <span>${counted(one.events.length, "{count} change", "{count} changes")}</span> <${Time} at=${one.created_at} />
            ${one.next_attempt_at && html`<span class="faint">${t("next try")} <${Time} at=${one.next_attempt_at} /></span>`}
          </p>
          ${one.attempts.map((tried) => html`
            <p key=${tried.at} class="reason"><${Time} at=${tried.at} /> ${tried.status ?? ""} ${tried.error ?? ""}</p>
          `)}
        </li>
      `)}
    </ul>
  `;
}

// A memory of a user of its own is the test: it is stored, and erased when its delivery has an end.
function Test({ hook, deliveries, onSent }) {
  const { say } = useSession();
  const [tested, setTested] = useState(null);
  const [error, setError] = useState(null);
  const arrived = tested && deliveries.find((one) => one.status !== "pending" && one.events.some((event) => event.memory_id === tested));
  useEffect(() => {
    if (!arrived) return;
    setTested(null);
    say({ text: arrived.status === "delivered" ? t("The test has arrived.") : t("The test did not arrive: see the log.") });
    eraseUser(TESTER).catch(setError);
  }, [arrived?.id]);
  const send = async () => {
    setError(null);
    try {
      await eraseUser(TESTER);
      const messages = [{ role: "user", content: "This is a test of a webhook." }];
      const job = await addAndWait({ messages, user_id: TESTER, infer: false });
      setTested(job.results[0].id);
      onSent();
    } catch (failure) {
      setError(failure);
    }
  };
  const able = hook.is_active && hook.event_types.includes("memory_add");
  return html`
    <div class="actions">
      <button type="button" disabled=${!able || tested} onClick=${send}>${t("Send a test")}</button>
      <span class="faint">${tested ? t("It is sent within a minute.") : t("It stores a memory of the user {user}, and erases it when it was sent.", { user: TESTER })}</span>
    </div>
    <${ErrorNote} error=${error} />
  `;
}

function Create({ path, onMade }) {
  const [form, setForm] = useState({ name: "", url: "", kinds: Object.keys(KINDS) });
  const [error, setError] = useState(null);
  const input = (name) => ({ value: form[name], onInput: (event) => setForm({ ...form, [name]: event.target.value }) });
  const choose = (kind, chosen) => setForm({ ...form, kinds: Object.keys(KINDS).filter((one) => (one === kind ? chosen : form.kinds.includes(one))) });
  const create = (event) => {
    event.preventDefault();
    setError(null);
    call("POST", path, { body: { name: form.name, url: form.url.trim(), event_types: form.kinds } }).then((hook) => {
      setForm({ ...form, name: "", url: "" });
      onMade(hook);
    }, setError);
  };
  return html`
    <section>
      <h2>${t("New webhook")}</h2>
      <form class="stack" onSubmit=${create}>
        <${Field} label=${t("Name")}><input required maxlength="255" ...${input("name")} /><//>
        <${Field} label=${t("Address")}><input required type="url" ...${input("url")} /><//>
        <div class="check" role="group" aria-labelledby="told">
          <span id="told">${t("It is told when a memory is")}</span>
          ${Object.entries(KINDS).map(([kind, label]) => html`
            <label key=${kind} class="check"><input type="checkbox" checked=${form.kinds.includes(kind)} onChange=${(event) => choose(kind, event.target.checked)} />${t(label)}</label>
          `)}
        </div>
        <div><button type="submit" class="primary" disabled=${form.kinds.length === 0}>${t("Create")}</button></div>
      </form>
      <${ErrorNote} error=${error} />
    </section>
  `;
}
