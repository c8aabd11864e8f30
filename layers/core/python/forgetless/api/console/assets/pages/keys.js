// Keys: roles, limits and last use; create, rotate and revoke.

import { call, pageOf } from "../api.js";
import { Badge, Confirm, ErrorNote, Field, Loading, Secret } from "../components.js";
import { t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { useLoad } from "../load.js";
import { useSession } from "../session.js";
import { Time, ago } from "../times.js";

const ROLES = { read: "reads", write: "reads and writes", admin: "administers" };

export function Keys({ params }) {
  const { say } = useSession();
  const [asks, setAsks] = useState(null);
  const [made, setMade] = useState(null);
  const [more, setMore] = useState([]);
  const [failure, setFailure] = useState(null);
  const { data, error, loading, reload } = useLoad((signal) => pageOf("api-keys", { signal }).finally(() => { setMore([]); setFailure(null); }), []);
  const keys = data && [data, ...more].flatMap((page) => page.items);
  const cursor = (more.at(-1) ?? data)?.next;
  const next = () => pageOf("api-keys", { query: { cursor } }).then((page) => { setFailure(null); setMore((all) => [...all, page]); }, setFailure);
  const revoke = async (key) => {
    await call("DELETE", `api-keys/${key.id}`);
    say({ text: t("The key is revoked.") });
    reload();
  };
  const rotate = async (key) => {
    setMade(await call("POST", `api-keys/${key.id}/rotate`));
    reload();
  };
  return html`
    <h1>${t("Keys")}</h1>
    <${ErrorNote} error=${error ?? failure} retry=${reload} />
    ${made && html`<${Secret} title=${t("This is the new key. It is shown only now.")} text=${made.key} onClose=${() => setMade(null)} />`}
    ${!keys && loading && html`<${Loading} />`}
    ${keys && html`
      <ul class="rows">
        ${keys.map((key) => html`
          <li key=${key.id} class=${key.id === params.id ? "row chosen" : "row"}><div class="body">
            <p class="facts">
              <b>${key.label || t("without a label")}</b> <code>${key.key_prefix}…</code>
              <${Badge} kind=${key.role === "admin" ? "past" : ""}>${t(ROLES[key.role])}<//>
              <${Limits} of=${key} />
            </p>
            <p class="facts">
              <span class="faint">${t("created")} <${Time} at=${key.created_at} /></span>
              <span class="faint" title=${key.last_used_at ?? ""}>${key.last_used_at ? t("last used {ago}", { ago: ago(key.last_used_at) }) : t("never used")}</span>
              ${key.expires_at && html`<span class="faint">${t("expires")} <${Time} at=${key.expires_at} /></span>`}
              <button type="button" class="quiet" onClick=${() => setAsks({ rotate: key })}>${t("Rotate")}</button>
              <button type="button" class="quiet danger" onClick=${() => setAsks({ revoke: key })}>${t("Revoke")}</button>
            </p>
          </div></li>
        `)}
      </ul>
      <div class="end">${cursor && html`<button type="button" onClick=${next}>${t("Show more")}</button>`}</div>
      <${Create} onMade=${(key) => { setMade(key); reload(); }} />
    `}
    ${asks?.revoke && html`
      <${Confirm} title=${t("Revoke the key {label}?", { label: asks.revoke.label || asks.revoke.key_prefix })} action=${t("Revoke")} typed=${t("revoke")} onConfirm=${() => revoke(asks.revoke)} onClose=${() => setAsks(null)}>
        <p>${t("Whoever uses it is refused at once, within 30 seconds everywhere. It cannot be taken back.")}</p>
      <//>
    `}
    ${asks?.rotate && html`
      <${Confirm} title=${t("Rotate the key {label}?", { label: asks.rotate.label || asks.rotate.key_prefix })} action=${t("Rotate")} onConfirm=${() => rotate(asks.rotate)} onClose=${() => setAsks(null)}>
        <p>${t("A successor with the same rights is made. The old key stays valid for a while, so that you can replace it.")}</p>
      <//>
    `}
  `;
}

function Limits({ of }) {
  const lists = [["User", of.user_ids], ["Agent", of.agent_ids], ["App", of.app_ids]];
  return lists.flatMap(([kind, ids]) => ids.map((id) => html`<${Badge} key=${kind + id}><span class="kind">${t(kind)}</span> <bdi>${id}</bdi><//>`));
}

const listOf = (text) => text.split(",").map((one) => one.trim()).filter(Boolean);

function Create({ onMade }) {
  const [form, setForm] = useState({ label: "", role: "write", users: "", agents: "", apps: "", days: "" });
  const [error, setError] = useState(null);
  const input = (name) => ({ value: form[name], onInput: (event) => setForm({ ...form, [name]: event.target.value }) });
  const create = (event) => {
    event.preventDefault();
    const limits = form.users ? { user_ids: listOf(form.users), agent_ids: listOf(form.agents || "*"), app_ids: listOf(form.apps || "*") } : {};
    const expires = form.days ? { expires_at: new Date(Date.now() + Number(form.days) * 86_400_000).toISOString() } : {};
    call("POST", "api-keys", { body: { label: form.label, role: form.role, ...limits, ...expires } }).then((key) => {
      setError(null);
      onMade(key);
    }, setError);
  };
  return html`
    <section>
      <h2>${t("New key")}</h2>
      <form class="fields" onSubmit=${create}>
        <${Field} label=${t("Label")}><input required maxlength="100" ...${input("label")} /><//>
        <${Field} label=${t("Role")}>
          <select value=${form.role} onChange=${(event) => setForm({ ...form, role: event.target.value })}>
            ${Object.entries(ROLES).map(([role, label]) => html`<option key=${role} value=${role}>${t(label)}</option>`)}
          </select>
        <//>
        <${Field} label=${t("Only these users")}><input placeholder="ana, ben" ...${input("users")} /><//>
        <${Field} label=${t("Only these agents")}><input placeholder="*" disabled=${!form.users} ...${input("agents")} /><//>
        <${Field} label=${t("Only these apps")}><input placeholder="*" disabled=${!form.users} ...${input("apps")} /><//>
        <${Field} label=${t("Expires after days")}><input type="number" min="1" max="3650" ...${input("days")} /><//>
        <button type="submit" class="primary">${t("Create")}</button>
      </form>
      <${ErrorNote} error=${error} />
    </section>
  `;
}
