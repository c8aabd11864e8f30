// Uses /mcp by the official client of TypeScript, unmodified, in either of its lines; prints one JSON line a step.
// Not a test by itself: test_mcp_clients.py runs it in each client's own folder. Usage: node mcp_client.mjs HOST KEY VERSION
import { randomUUID } from "node:crypto";

const [host, key, version] = process.argv.slice(2);
const [{ Client }, { StreamableHTTPClientTransport }] = version.startsWith("1.")
  ? [
      await import("@modelcontextprotocol/sdk/client/index.js"),
      await import("@modelcontextprotocol/sdk/client/streamableHttp.js"),
    ]
  : Array(2).fill(await import("@modelcontextprotocol/client"));

const [mai, ana] = ["mai", "ana"].map((name) => `${name}-${randomUUID().slice(0, 8)}`);
const address = new URL(`${host}/mcp?user_id=${mai}`);
const headers = { Authorization: `Bearer ${key}` };
const client = new Client({ name: "tester", version: "1" });
await client.connect(new StreamableHTTPClientTransport(address, { requestInit: { headers } }));

function check(holds, shown) {
  if (!holds) throw new Error(`not so: ${JSON.stringify(shown)}`);
}

async function call(name, given) {
  const answer = await client.callTool({ name, arguments: given });
  check(!answer.isError, answer);
  check(JSON.stringify(JSON.parse(answer.content[0].text)) === JSON.stringify(answer.structuredContent), answer);
  return answer.structuredContent;
}

const texts = (answer) => answer.results.map((one) => one.memory).sort().join();

const STEPS = {
  async lists_ten_tools_without_references() {
    const { tools } = await client.listTools();
    check(tools.length === 10, tools);
    check(!JSON.stringify(tools).includes("$ref"), tools);
    check(tools.filter((tool) => tool.annotations.readOnlyHint).length === 4, tools);
  },
  async adds_for_the_user_of_the_address() {
    await call("add_memory", { text: "Nilo hates trams.", run_id: "s1", infer: false });
    const messages = [{ role: "user", content: "Nilo is a dog." }];
    await call("add_memory", { messages, user_id: ana, infer: false });
  },
  async adds_what_the_llm_extracts() {
    const added = await call("add_memory", { text: "My sister is called Ana. I work at Bosch.", app_id: "llm" });
    check(added.extraction === "llm" && added.results.length > 0, added);
  },
  async searches_and_finds() {
    const found = await call("search_memories", { query: "What does the dog fear?", run_id: "s1", threshold: 0 });
    check(texts(found) === "Nilo hates trams.", found);
  },
  async filters_name_another_user() {
    for (const filters of [{ AND: [{ user_id: ana }] }, JSON.stringify({ user_id: ana })]) {
      const found = await call("get_memories", { filters });
      check(texts(found) === "Nilo is a dog.", found);
    }
  },
  async leaves_out_by_null_and_adds_arguments_of_its_own() {
    const nulls = { user_id: null, agent_id: null, filters: null, page: null };
    const found = await call("get_memories", { ...nulls, run_id: "s1", toolCallId: "call_1" });
    check(texts(found) === "Nilo hates trams." && found.ignored.join() === "toolCallId", found);
  },
  async updates_and_deletes() {
    const [one] = (await call("get_memories", { run_id: "s1" })).results;
    const changed = await call("update_memory", { memory_id: one.id, text: "Nilo loves trams.", toolCallId: "call_2" });
    check(changed.memory.memory === "Nilo loves trams." && changed.memory.version === 2, changed);
    check((await call("delete_memory", { memory_id: one.id })).deleted === 1);
  },
  async is_told_what_is_wrong() {
    const refused = await client.callTool({ name: "delete_all_memories", arguments: { userId: ana } });
    check(refused.isError && refused.content[0].text.startsWith("userId: delete_all_memories has no such"), refused);
  },
};

for (const [method, run] of Object.entries(STEPS)) {
  let failed = null;
  try {
    await run();
  } catch (error) {
    failed = `${error?.name}: ${error?.message}`.slice(0, 2000);
  }
  console.log(JSON.stringify({ method, error: failed }));
}
process.exit(0);
