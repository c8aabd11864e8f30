// Settings of the project: what extractions are told to keep, with a preview on a sample.

import { addAndWait, eraseUser } from "../adds.js";
import { call, segment } from "../api.js";
import { Badge, ErrorNote, Field, Loading } from "../components.js";
import { t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { useLoad } from "../load.js";
import { useSession } from "../session.js";

// The settings that extractions read, each with its name in the body of an add.
const TEXTS = [
  ["custom_instructions", "custom_instructions", "Instructions"],
  ["agent_custom_instructions", "agent_custom_instructions", "Instructions for agents' own memories"],
  ["inclusion_prompt", "includes", "Keep in particular"],
  ["exclusion_prompt", "excludes", "Never keep"],
];
const TESTER = "playground-settings";

export function Settings() {
  const { place } = useSession();
  const path = `api/v1/orgs/organizations/${segment(place.organization)}/projects/${segment(place.project)}/`;
  const { data, error, reload } = useLoad((signal) => call("GET", path, { signal }), [path]);
  return html`
    <h1>${t("Settings")}</h1>
    <p>${t("What the LLM is told when it extracts facts from conversations. It holds for later adds; an add may name its own.")}</p>
    <${ErrorNote} error=${error} retry=${reload} />
    ${!data && !error && html`<${Loading} />`}
    ${data && html`<${Form} path=${path} stored=${data} />`}
  `;
}

// One category a line: `name: what belongs to it`.
const shown = (categories) => (categories ?? []).flatMap(Object.entries).map(([name, text]) => `${name}: ${text}`).join("\n");
const read = (text) => text.split("\n").filter((line) => line.trim()).map((line) => {
  const [name, ...rest] = line.split(":");
  return { [name.trim()]: rest.join(":").trim() };
});

function Form({ path, stored }) {
  const { say } = useSession();
  const [draft, setDraft] = useState(() => ({ ...stored, categories: shown(stored.custom_categories) }));
  const [error, setError] = useState(null);
  const input = (name) => ({ value: draft[name] ?? "", onInput: (event) => setDraft({ ...draft, [name]: event.target.value }) });
  const save = (event) => {
    event.preventDefault();
    const texts = TEXTS.map(([name]) => [name, draft[name]?.trim() || null]);
    const categories = read(draft.categories);
    const body = { ...Object.fromEntries(texts), custom_categories: categories.length ? categories : null };
    call("PATCH", path, { body }).then(() => {
      setError(null);
      say({ text: t("The settings are saved.") });
    }, setError);
  };
  return html`
    <div class="columns">
      <form class="stack" onSubmit=${save}>
        ${TEXTS.map(([name, , label]) => html`
          <${Field} key=${name} label=${t(label)}><textarea rows="3" dir="auto" maxlength="20000" ...${input(name)}></textarea><//>
        `)}
        <${Field} label=${t("Categories")} hint=${t("One a line: its name, a colon, and what belongs to it.")}>
          <textarea rows="5" dir="auto" placeholder="travel: journeys, hotels and flights" ...${input("categories")}></textarea>
        <//>
        <${ErrorNote} error=${error} />
        <div class="actions"><button type="submit" class="primary">${t("Save")}</button></div>
      </form>
      <section><${Preview} draft=${draft} /></section>
    </div>
  `;
}

// The sample is added with what is typed, for a user of its own that is erased afterwards.
function Preview({ draft }) {
  const [sample, setSample] = useState(t("I moved to Lisbon in May, and my dog Nilo hates trams."));
  const [found, setFound] = useState(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const run = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      setFound(await extracted(sample, draft));
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  return html`
    <h2>${t("Preview")}</h2>
    <p class="faint">${t("See what would be kept of a message, before you save. What you have emptied here still counts until then.")}</p>
    <form onSubmit=${run}>
      <${Field} label=${t("Message")}>
        <textarea rows="4" dir="auto" required value=${sample} onInput=${(event) => setSample(event.target.value)}></textarea>
      <//>
      <div class="actions"><button type="submit" disabled=${busy}>${t("Try it")}</button></div>
    </form>
    <${ErrorNote} error=${error} />
    <div aria-live="polite">
      ${busy && html`<p class="faint">${t("It is being read …")}</p>`}
      ${!busy && found && (found.length === 0 ? html`<p>${t("Nothing in it was worth remembering.")}</p>` : html`
        <ul class="plain">
          ${found.map((one) => html`
            <li key=${one.id} dir="auto">${one.memory} ${(one.categories ?? []).map((name) => html`<${Badge} key=${name} kind="category">${name}<//>`)}</li>
          `)}
        </ul>
      `)}
    </div>
  `;
}

async function extracted(sample, draft) {
  await eraseUser(TESTER);
  const settings = Object.fromEntries(TEXTS.map(([name, asked]) => [asked, draft[name]?.trim()]).filter(([, text]) => text));
  const categories = read(draft.categories);
  try {
    const job = await addAndWait({
      messages: [{ role: "user", content: sample }],
      user_id: TESTER,
      ...settings,
      ...(categories.length > 0 && { custom_categories: categories }),
    });
    if (job.status === "FAILED") throw new Error(job.error);
    return (await call("POST", "v3/memories/", { body: { filters: { user_id: TESTER } } })).results;
  } finally {
    await eraseUser(TESTER);
  }
}
