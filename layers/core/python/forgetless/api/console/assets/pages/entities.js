// Entities: users, agents, apps and runs with the number of their memories.

import { call, segment } from "../api.js";
import { Confirm, Empty, ErrorNote, Loading, SCOPE, SCOPE_LABELS } from "../components.js";
import { counted, number, t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { useLoad } from "../load.js";
import { hrefOf } from "../router.js";
import { useSession } from "../session.js";
import { Time } from "../times.js";

const PAGE_SIZE = 100;

export function Entities() {
  const { may, say } = useSession();
  const [more, setMore] = useState([]);
  const [asks, setAsks] = useState(null);
  const [failure, setFailure] = useState(null);
  const ask = (cursor, signal) => call("GET", "v1/entities/", { query: { page_size: PAGE_SIZE, cursor }, signal });
  const { data, error, loading, reload } = useLoad((signal) => ask(null, signal).finally(() => setMore([])), []);
  const entities = [data, ...more].flatMap((page) => page?.results ?? []);
  const cursor = (more.at(-1) ?? data)?.next_cursor;
  const next = () => ask(cursor).then((page) => setMore((all) => [...all, page]), setFailure);
  const erase = async ({ type, name }) => {
    await call("DELETE", `v2/entities/${type}/${segment(name)}/`);
    say({ text: t("Everything about {name} is erased.", { name }) });
    reload();
  };
  return html`
    <h1>${t("Entities")}</h1>
    <${ErrorNote} error=${error ?? failure} retry=${reload} />
    ${!data && loading && html`<${Loading} />`}
    ${data && entities.length === 0 && html`
      <${Empty} title=${t("Nobody is known yet")}><p>${t("Users, agents, apps and runs appear with their first memory.")}</p><//>
    `}
    ${SCOPE.map((scope) => {
      const kind = scope.replace("_id", "");
      const those = entities.filter((one) => one.type === kind);
      if (those.length === 0) return null;
      return html`
        <section key=${kind}>
          <h2>${t(SCOPE_LABELS[scope])} <span class="faint">${number(data[`total_${kind}s`] ?? those.length)}</span></h2>
          <ul class="rows">
            ${those.map((one) => html`
              <li key=${one.name} class="row"><div class="body spread">
                <a class="text" data-row href=${hrefOf("memories", { [scope]: one.name })}><bdi>${one.name}</bdi></a>
                <span class="faint">${counted(one.total_memories, "{count} memory", "{count} memories")}</span>
                <${Time} at=${one.updated_at} />
                ${may("admin") && html`<button type="button" class="quiet danger" onClick=${() => setAsks(one)}>${t("Erase")}</button>`}
              </div></li>
            `)}
          </ul>
        </section>
      `;
    })}
    <div class="end">${cursor && html`<button type="button" onClick=${next}>${t("Show more")}</button>`}</div>
    ${asks && html`
      <${Confirm} title=${t("Erase everything about {name}?", asks)} action=${t("Erase for ever")} typed=${asks.name} onConfirm=${() => erase(asks)} onClose=${() => setAsks(null)}>
        <p>${t("All memories, their history and the messages are erased, now and in every past moment. Nobody can bring them back.")}</p>
      <//>
    `}
  `;
}
