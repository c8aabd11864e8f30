// Runs every public method of the installed npm `mem0ai` against a service; prints one JSON line a method.
// Not a test by itself: test_clients.py runs it in each client's own folder. Usage: node npm_client.mjs HOST KEY VERSION
import { randomUUID } from "node:crypto";
import { MemoryClient } from "mem0ai";
import { check, play, until } from "./steps.mjs";

const [host, apiKey, version] = process.argv.slice(2);
const old = version.startsWith("2.");
const client = new MemoryClient({ apiKey, host });
const plain = `plain-${randomUUID().slice(0, 8)}`;
const strange = `user ${randomUUID().slice(0, 8)}/x${old ? "" : "%25"}`;
const state = {};

const items = (answer) => (Array.isArray(answer) ? answer : answer.results);
const says = (...texts) => texts.map((content) => ({ role: "user", content }));
const id = old ? "user_id" : "userId";
const whose = (name = plain) => (old ? { user_id: name } : { filters: { user_id: name } });
const names = async () => (await client.users()).results.map((one) => one.name);

await play({
  async ping() {
    await client.ping();
  },
  async add_verbatim() {
    const answer = await client.add(says("I live in Lisbon.", "I like green tea."), {
      [id]: plain,
      infer: false,
      metadata: { aB: 1 },
    });
    state.ids = items(answer).map((one) => one.id);
    check(state.ids.length === 2, answer);
    await client.add(says("With a strange id."), { [id]: strange, infer: false });
  },
  async add_in_background() {
    const options = old ? { async_mode: true } : {};
    await client.add(says("My sister is called Ana. I work at Bosch."), { [id]: `${plain}-llm`, ...options });
    await until(async () => items(await client.getAll(whose(`${plain}-llm`))).length > 0);
  },
  async search() {
    const found = items(await client.search("Where do I live?", { ...whose(), ...(old ? { top_k: 5 } : { topK: 5 }) }));
    check(found[0].memory.includes("Lisbon") && found[0].score <= 1, found);
  },
  async search_logic() {
    const filters = { AND: [{ user_id: plain }, { created_at: { gte: "2024-01-01" } }] };
    const found = items(await client.search("tea", { filters, ...(old ? { api_version: "v2" } : {}) }));
    check(found.length > 0, found);
  },
  async getAll() {
    check(items(await client.getAll(whose())).length === 2);
    const page = await client.getAll({ ...whose(), page: 1, ...(old ? { page_size: 1 } : { pageSize: 1 }) });
    check(page.count === 2 && page.results.length === 1, page);
  },
  async get() {
    const memory = await client.get(state.ids[0]);
    check(memory.memory === "I live in Lisbon." && memory.metadata.aB === 1, memory);
  },
  async get_unknown() {
    const error = await client.get(randomUUID()).then(
      () => null,
      (one) => one,
    );
    check(error !== null && JSON.stringify([error.message, error]).includes("Memory not found"), String(error));
  },
  async update() {
    await client.update(state.ids[0], { text: "I live in Porto." });
    check((await client.get(state.ids[0])).memory === "I live in Porto.");
  },
  async history() {
    const events = (await client.history(state.ids[0])).map((one) => one.event);
    check(events.join() === "ADD,UPDATE", events);
  },
  async users() {
    check((await names()).includes(plain) && (await names()).includes(strange));
  },
  async batchUpdate() {
    const [key, value] = old ? ["memoryId", state.ids[1]] : ["memoryId", state.ids[1]];
    await client.batchUpdate([{ [key]: value, text: "I like black tea." }]);
    check((await client.get(state.ids[1])).memory === "I like black tea.");
  },
  async batchDelete() {
    await client.batchDelete([state.ids[1]]);
    check(items(await client.getAll(whose())).length === 1);
  },
  async feedback() {
    const name = old ? "memory_id" : "memoryId";
    check((await client.feedback({ [name]: state.ids[0], feedback: "POSITIVE" })).feedback === "POSITIVE");
  },
  async export() {
    const schema = { type: "object", properties: { facts: { type: "array", items: { type: "string" } } } };
    const filters = { AND: [{ user_id: plain }] };
    const made = await client.createMemoryExport({ schema, filters, exportInstructions: "All." });
    const shaped = await client.getMemoryExport({ memoryExportId: made.id, memory_export_id: made.id });
    check(Array.isArray(shaped.facts), shaped);
  },
  async project() {
    const name = old ? "custom_instructions" : "customInstructions";
    await client.updateProject({ [name]: "Keep everything." });
    const project = await client.getProject({ fields: ["custom_instructions"] });
    check(project[name] === "Keep everything.", project);
  },
  async webhooks() {
    const made = await client.createWebhook({
      name: "hook",
      url: "https://example.com/hook",
      projectId: client.projectId,
      eventTypes: ["memory_add"],
    });
    const webhookId = made.webhook_id ?? made.webhookId;
    await client.updateWebhook({ webhookId, name: "renamed", url: "https://example.com/hook", projectId: client.projectId });
    const found = (await client.getWebhooks({ projectId: client.projectId })).map((one) => one.name);
    check(found.includes("renamed"), found);
    await client.deleteWebhook({ webhookId });
  },
  async profiles() {
    if (old) return;
    check((await client.getProfile(plain)).status === "not_enabled");
  },
  async delete() {
    await client.delete(state.ids[0]);
    check(items(await client.getAll(whose())).length === 0);
  },
  async deleteAll() {
    await client.add(says("Gone soon."), { [id]: plain, infer: false });
    await client.deleteAll({ [id]: plain });
    check(items(await client.getAll(whose())).length === 0);
  },
  async deleteUser() {
    await client.add(says("Gone soon."), { [id]: plain, infer: false });
    const found = (await client.users()).results.find((one) => one.name === plain);
    const given = { entityId: found.id, entityType: "user", entity_id: found.id, entity_type: "user" };
    await client.deleteUser(given);
    check(!(await names()).includes(plain));
  },
  async deleteUsers() {
    await client.deleteUsers({ [id]: strange });
    check(!(await names()).includes(strange));
  },
});
