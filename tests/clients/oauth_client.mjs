// Logs in at /mcp by OAuth with the official client of TypeScript, unmodified, in either of its lines.
// Not a test by itself: test_oauth_clients.py runs it in each client's own folder. A browser is a program: it is given the
// address that a person would be sent to, and prints where that person's log-in led. One JSON line a step.
// Usage: node oauth_client.mjs HOST KEY VERSION BROWSER...
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { check, play } from "./steps.mjs";

const [host, KEY, version, ...browser] = process.argv.slice(2);
const address = new URL(`${host}/mcp`);
const callback = "http://127.0.0.1:41999/callback";
const old = version.startsWith("1.");
const { Client, StreamableHTTPClientTransport, UnauthorizedError } = old
  ? {
      ...(await import("@modelcontextprotocol/sdk/client/index.js")),
      ...(await import("@modelcontextprotocol/sdk/client/streamableHttp.js")),
      ...(await import("@modelcontextprotocol/sdk/client/auth.js")),
    }
  : await import("@modelcontextprotocol/client");

/** What the client asks of its host: a place for what it has to keep, and the way to a browser. */
class Host {
  visits = [];
  get redirectUrl() {
    return callback;
  }
  get clientMetadata() {
    const grant_types = ["authorization_code", "refresh_token"];
    return { client_name: "A host", redirect_uris: [callback], grant_types, token_endpoint_auth_method: "none" };
  }
  state = () => "state-of-the-host";
  clientInformation = () => this.client;
  saveClientInformation = (client) => void (this.client = client);
  tokens = () => this.saved;
  saveTokens = (tokens) => void (this.saved = tokens);
  redirectToAuthorization = (visited) => void this.visits.push(visited.href);
  saveCodeVerifier = (verifier) => void (this.verifier = verifier);
  codeVerifier = () => this.verifier;
  saveDiscoveryState = (found) => void (this.found = found);
  discoveryState = () => this.found;
  invalidateCredentials(which) {
    if (which === "all" || which === "tokens") delete this.saved;
    if (which === "all" || which === "client") delete this.client;
    if (which === "all" || which === "discovery") delete this.found;
  }

  /** Where the person comes back, after the key was posted. */
  async comeBack() {
    const given = [...browser.slice(1), this.visits.at(-1)];
    const { stdout } = await promisify(execFile)(browser[0], given, { env: { ...process.env, KEY } });
    const landed = new URL(stdout.trim());
    check(landed.href.startsWith(callback) && landed.searchParams.get("state") === "state-of-the-host", landed.href);
    return landed.searchParams;
  }
}

const person = new Host();
const transport = () => new StreamableHTTPClientTransport(address, { authProvider: person });

/** The result of a tool, called over a connection of its own. */
async function call(name, given) {
  const client = new Client({ name: "tester", version: "1" });
  await client.connect(transport());
  const answer = await client.callTool({ name, arguments: given });
  await client.close();
  check(!answer.isError, answer);
  return answer.structuredContent;
}

await play({
  async is_sent_to_the_log_in() {
    const first = transport();
    const error = await new Client({ name: "tester", version: "1" }).connect(first).catch((one) => one);
    check(error instanceof UnauthorizedError, String(error));
    check(person.visits.length === 1 && person.visits[0].startsWith(`${host}/`), person.visits);
    const landed = await person.comeBack();
    await first.finishAuth(old ? landed.get("code") : landed);
    check(person.saved.access_token && person.saved.refresh_token && person.saved.expires_in === 3600, person.saved);
  },
  async acts_for_the_key() {
    await call("add_memory", { text: "Nilo hates trams.", user_id: "oauth", infer: false });
    const { results } = await call("get_memories", { user_id: "oauth" });
    check(results.some((one) => one.memory === "Nilo hates trams."), results);
    check(person.visits.length === 1, person.visits);
  },
  async renews_its_token_without_a_person() {
    const before = person.saved;
    person.saved = { ...before, access_token: "over" };
    await call("get_memories", { user_id: "oauth" });
    check(person.saved.refresh_token !== before.refresh_token && person.visits.length === 1, person.visits);
  },
  async needs_a_person_again_when_the_log_in_has_ended() {
    person.saved = { ...person.saved, access_token: "over", refresh_token: "over" };
    const error = await call("get_memories", { user_id: "oauth" }).catch((one) => one);
    check(error instanceof UnauthorizedError && person.visits.length === 2, String(error));
  },
});
