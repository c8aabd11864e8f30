// Uses the installed plugin @mem0/openclaw-mem0 against a service; prints one JSON line a step.
// Not a test by itself: test_integrations.py runs it in the client's own folder, with a stand-in for its host, OpenClaw,
// whose packages it does not bring: `definePluginEntry` there gives back what it is given.
// Usage: node openclaw_plugin.mjs HOST KEY STATE-FOLDER
import { randomUUID } from "node:crypto";
import plugin from "@mem0/openclaw-mem0";
import { check, play, until } from "./steps.mjs";

const [baseUrl, apiKey, stateDir] = process.argv.slice(2);
const state = {};

/** What OpenClaw offers to a plugin, as far as this one uses it. */
class Gateway {
  registrationMode = "full";
  logger = { info() {}, debug() {}, warn: (...said) => this.warnings.push(said), error: (...said) => this.warnings.push(said) };
  warnings = [];
  tools = {};
  hooks = {};

  constructor(settings) {
    this.userId = `claw-${randomUUID().slice(0, 8)}`;
    this.pluginConfig = { apiKey, baseUrl, userId: this.userId, ...settings };
    plugin.register(this);
  }
  resolvePath = (path) => path;
  registerTool(tool) {
    this.tools[tool.name] = tool;
  }
  registerCli() {}
  registerMemoryCapability(capability) {
    this.memory = capability;
  }
  registerService(service) {
    service.start({ stateDir });
  }
  on(hook, run) {
    this.hooks[hook] = run;
  }
  async call(tool, given) {
    const answer = await this.tools[`memory_${tool}`].execute("call_1", given);
    check(!answer.details.error && this.warnings.length === 0, [answer, this.warnings]);
    return answer.details;
  }
  async texts() {
    return ((await this.call("list", {})).memories ?? []).map((one) => one.memory).sort();
  }
}

const plain = new Gateway({ autoRecall: true, autoCapture: true });
const skilled = new Gateway({ skills: { triage: { enabled: true }, recall: { strategy: "always" } } });
const session = { sessionKey: "agent:main:main", trigger: "user" };

await play({
  async memory_add_of_facts() {
    const facts = ["Nilo hates trams.", "Nilo is a dog.", "I live in Lisbon."];
    const added = await skilled.call("add", { facts, category: "identity" });
    check(added.results.length === 3, added);
    check((await skilled.texts()).join() === [...facts].sort().join(), await skilled.texts());
  },
  async memory_add_with_inference() {
    await plain.call("add", { text: "My sister is called Ana. I work at Bosch." });
    await until(async () => (await plain.texts()).length > 0);
  },
  async memory_search() {
    const { memories } = await skilled.call("search", { query: "Who hates trams?", limit: 3 });
    check(memories[0].memory === "Nilo hates trams.", memories);
    check(memories.every((one) => one.score > 0 && one.score <= 1), memories);
    const filters = { created_at: { gte: "2024-01-01" } };
    check((await skilled.call("search", { query: "dog", filters, scope: "long-term" })).count > 0);
  },
  async memory_get() {
    state.memory = (await skilled.call("search", { query: "Where do I live, in Lisbon?" })).memories[0];
    const { memory } = await skilled.call("get", { memoryId: state.memory.id });
    check(memory.memory === "I live in Lisbon." && memory.user_id === skilled.userId, memory);
    check(memory.metadata.category === "identity", memory);
  },
  async memory_update() {
    await skilled.call("update", { memoryId: state.memory.id, text: "I live in Porto." });
    check((await skilled.texts()).includes("I live in Porto."), await skilled.texts());
  },
  async memory_delete() {
    await skilled.call("delete", { memoryId: state.memory.id });
    check((await skilled.texts()).join() === "Nilo hates trams.,Nilo is a dog.", await skilled.texts());
  },
  async memory_events() {
    const { events } = await plain.call("event_list", {});
    const { event } = await plain.call("event_status", { event_id: events[0].id });
    check(event.id === events[0].id && event.status, event);
  },
  async recalls_before_a_prompt() {
    const found = await plain.hooks.before_prompt_build({ prompt: "Where do I work, at Bosch?" }, session);
    check(found.prependContext.includes("Bosch"), found);
    const skills = await skilled.hooks.before_prompt_build({ prompt: "What does the dog Nilo hate?" }, session);
    check(skills.prependContext.includes("Nilo hates trams."), skills);
  },
  async captures_after_a_turn() {
    const said = "My brother is called Tom. I play chess every Sunday in the park.";
    const messages = [
      { role: "user", content: [{ type: "text", text: said }] },
      { role: "assistant", content: [{ type: "text", text: "That sounds like a fine way to spend a Sunday." }] },
    ];
    await plain.hooks.agent_end({ success: true, messages }, session);
    await until(async () => (await plain.texts()).join().includes("Tom"));
  },
  async says_its_state() {
    const { manager } = await plain.memory.runtime.getMemorySearchManager({});
    check(manager.status().chunks > 0, manager.status());
  },
  async memory_delete_of_all() {
    for (const gateway of [plain, skilled]) {
      await gateway.call("delete", { all: true, confirm: true });
      check((await gateway.texts()).length === 0);
    }
  },
});
