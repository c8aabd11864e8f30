// Uses the installed @mem0/vercel-ai-provider against a service; prints one JSON line a step.
// Not a test by itself: test_integrations.py runs it in the client's own folder.
// Usage: node vercel_provider.mjs HOST KEY BASE-URL-OF-AN-LLM
import { randomUUID } from "node:crypto";
import { addMemories, createMem0, getMemories, retrieveMemories, searchMemories } from "@mem0/vercel-ai-provider";
import { generateText, streamText } from "ai";
import { check, play, until } from "./steps.mjs";

const [host, mem0ApiKey, baseURL] = process.argv.slice(2);
const user_id = `vercel-${randomUUID().slice(0, 8)}`;
const config = { host, mem0ApiKey, user_id };
const says = (text) => [{ role: "user", content: [{ type: "text", text }] }];
const texts = (memories) => memories.map((one) => one.memory);

const mem0 = createMem0({
  provider: "openai",
  apiKey: "none",
  mem0ApiKey,
  mem0Config: { host, user_id: `${user_id}-chat` },
  config: { baseURL },
});

await play({
  async addMemories() {
    const added = await addMemories(says("I live in Lisbon."), { ...config, infer: false, metadata: { aB: 1 } });
    check(added.results.length === 1, added);
    await addMemories("I like green tea.", { ...config, infer: false });
  },
  async getMemories() {
    const found = await getMemories(says("Where do I live?"), { ...config, top_k: 5, threshold: 0, rerank: true });
    check(texts(found)[0] === "I live in Lisbon." && found[0].metadata.aB === 1, found);
  },
  async searchMemories() {
    const filters = { metadata: { aB: 1 } };
    const { results } = await searchMemories("Lisbon", { ...config, filters });
    check(texts(results).join() === "I live in Lisbon.", results);
  },
  async retrieveMemories() {
    const prompt = await retrieveMemories("What do I drink?", config);
    check(prompt.includes("Memory: I like green tea."), prompt);
  },
  async is_told_of_an_error() {
    const refused = await getMemories("x", { host, mem0ApiKey }).catch((error) => String(error));
    check(String(refused).includes("status: 400"), refused);
  },
  async generateText_adds() {
    await generateText({ model: mem0.chat("stub"), prompt: "My sister is called Ana. I work at Bosch." });
    await until(async () => (await getMemories("Where do I work?", { ...config, user_id: `${user_id}-chat` })).length > 0);
  },
  async generateText_finds() {
    const { sources } = await generateText({ model: mem0.chat("stub"), prompt: "Where do I work, at Bosch?" });
    const { memories } = sources[0].providerMetadata.mem0;
    check(texts(memories).join().includes("Bosch"), sources);
  },
  async streamText_adds() {
    // The LLM of the tests does not stream; what the provider adds and finds comes before.
    await streamText({ model: mem0.chat("stub"), prompt: "My brother is called Tom." }).consumeStream();
    const found = () => getMemories("Who is my brother Tom?", { ...config, user_id: `${user_id}-chat` });
    await until(async () => texts(await found()).join().includes("Tom"));
  },
});
