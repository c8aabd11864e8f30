"""OAuth for MCP hosts: the official client logs in, and what a stranger, an old token or a revoked key gets."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from dataclasses import dataclass, field, replace
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl
from starlette.testclient import TestClient

from forgetless.api.app import create_app
from forgetless.api.mcp.oauth_redirects import OAuthRedirects
from forgetless.api.mcp.oauth_tokens import LIFE_S, Purpose, read, sign
from forgetless.domain.keys import Role, key_hash
from forgetless.domain.quotas import Quotas
from forgetless.service.access.keys import KeyService
from tests.unit.api.client import ADMIN, MEMBER, STRANGER, Api, put_key
from tests.unit.api.conftest import NewApi
from tests.unit.servers import serve_app

CALLBACK = "http://127.0.0.1:41999/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
LIMITED = "limited-to-bob-and-long-enough-to-be-a-key"


@dataclass
class Store:
    """What the official client stores."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass
class Person:
    """Enters a key where the official client sends the browser."""

    key: str
    visits: list[str] = field(default_factory=list)
    sent_to: str = ""

    async def visit(self, address: str) -> None:
        self.visits.append(address)
        async with httpx2.AsyncClient(follow_redirects=True) as browser:
            page = await browser.get(address)
            request = unescape(re.findall(r'name="request" value="([^"]+)"', page.text)[0])
            where = f"{str(page.url).partition('?')[0]}"
            answer = await browser.post(where, data={"request": request, "key": self.key}, follow_redirects=False)
            self.sent_to = answer.headers["location"]

    async def come_back(self) -> AuthorizationCodeResult:
        found = {name: values[0] for name, values in parse_qs(urlsplit(self.sent_to).query).items()}
        return AuthorizationCodeResult(code=found["code"], state=found["state"], iss=found["iss"])


def provider(base: str, store: Store, person: Person) -> OAuthClientProvider:
    metadata = OAuthClientMetadata(redirect_uris=[AnyUrl(CALLBACK)], client_name="A host", scope="memories")
    return OAuthClientProvider(f"{base}/mcp", metadata, store, person.visit, person.come_back)


async def call(base: str, store: Store, person: Person, tool: str, **arguments: Any) -> Any:
    async with (
        httpx2.AsyncClient(auth=provider(base, store, person), timeout=30) as http,
        Client(streamable_http_client(f"{base}/mcp", http_client=http)) as client,
    ):
        return (await client.call_tool(tool, arguments)).structured_content


@dataclass
class Host:
    """A host that speaks OAuth by hand, against an application whose Unix time can be moved."""

    api: Api
    http: TestClient
    client_id: str = ""

    def register(self, **fields: Any) -> httpx2.Response:
        body = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none", "client_name": "Host", **fields}
        return self.http.post("/oauth/register", json=body)

    def authorize(self, **fields: str) -> httpx2.Response:
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "code_challenge": CHALLENGE,
            "state": "s",
            **fields,
        }
        return self.http.get("/oauth/authorize", params=query)

    def log_in(self, key: str) -> httpx2.Response:
        request = parse_qs(urlsplit(self.authorize().headers["location"]).query)["request"][0]
        return self.http.post("/oauth/login", data={"request": request, "key": key})

    def code(self, key: str = MEMBER) -> str:
        return parse_qs(urlsplit(self.log_in(key).headers["location"]).query)["code"][0]

    def token(self, **fields: str) -> httpx2.Response:
        return self.http.post("/oauth/token", data={"client_id": self.client_id, **fields})

    def exchange(self, code: str, **fields: str) -> httpx2.Response:
        body = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return self.token(**{**body, **fields})

    def refresh(self, token: str, **fields: str) -> httpx2.Response:
        return self.token(grant_type="refresh_token", refresh_token=token, **fields)

    def status(self, token: str, path: str = "/mcp") -> int:
        """What a call of a tool with this token is answered."""
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
        return self.http.post(path, json=body, headers=headers).status_code


@pytest.fixture
def api(new_api: NewApi) -> Api:
    made = new_api(mcp=True)
    app = create_app(lambda: made.world.services, inline=True, mcp=True, oauth_redirects=["claude.ai", "cursor:"])
    return Api(TestClient(app, follow_redirects=False), made.world)


@pytest.fixture
def host(api: Api) -> Host:
    made = Host(api, api.client)
    made.client_id = made.register().json()["client_id"]
    return made


def test_the_official_client_finds_everything_logs_in_and_acts_for_the_key(new_api: NewApi) -> None:
    api = new_api(inline=False, mcp=True)
    put_key(api.world, LIMITED, "default", Role.WRITE, "bob")
    app = create_app(lambda: api.world.services, inline=False, mcp=True, oauth_redirects=["claude.ai"])
    api.say("alice likes plums")
    store, person = Store(), Person(LIMITED)

    async def converse(base: str) -> None:
        await call(base, store, person, "add_memory", text="bob likes figs", user_id="bob", infer=False)
        found = await call(base, store, person, "get_memories", user_id="bob")
        assert [one["memory"] for one in found["results"]] == ["bob likes figs"]
        # Only the log-in needs a person; and the token may do no more than the key.
        assert len(person.visits) == 1
        assert await call(base, store, person, "get_memories", user_id="alice") == {"results": []}
        # An access token that is over is renewed without the person.
        assert store.tokens is not None
        store.tokens = store.tokens.model_copy(update={"access_token": "over"})
        old = store.tokens.refresh_token
        store_with_refresh = Store(store.tokens.model_copy(update={"expires_in": 0}), store.client)
        await call(base, store_with_refresh, person, "get_memories", user_id="bob")
        assert store_with_refresh.tokens is not None
        assert store_with_refresh.tokens.refresh_token != old

    with serve_app(app) as base:
        anyio.run(converse, base)


def test_a_token_acts_at_mcp_only_and_dies_with_its_key(host: Host) -> None:
    tokens = host.exchange(host.code()).json()
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 3600
    assert host.status(tokens["access_token"]) == 200
    assert host.status(tokens["refresh_token"]) == 401
    listed = host.http.get("/memories?user_id=a", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert listed.status_code == 401
    keys = host.api.world.services.keys
    (member,) = [one.key for one in keys.each("default") if one.key.hash == key_hash(MEMBER)]
    keys.revoke("default", member.id)
    assert host.status(tokens["access_token"]) == 401
    assert host.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_code_works_once_and_a_second_use_ends_what_it_gave(host: Host) -> None:
    code = host.code()
    tokens = host.exchange(code).json()
    assert host.exchange(code).json()["error"] == "invalid_grant"
    assert host.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "wrong",
    [{"code_verifier": "w" * 43}, {"redirect_uri": "http://127.0.0.1:1/other"}, {"code": "eyJ.eyJ.x"}],
    ids=lambda one: next(iter(one)),
)
def test_a_code_needs_its_verifier_its_address_and_our_signature(host: Host, wrong: dict[str, str]) -> None:
    assert host.exchange(**{"code": host.code(), **wrong}).status_code in {400, 401}


def test_a_refresh_token_works_once_but_a_lost_answer_can_be_asked_for_again(host: Host) -> None:
    first = host.exchange(host.code()).json()["refresh_token"]
    second = host.refresh(first).json()["refresh_token"]
    again = host.refresh(first)
    assert again.status_code == 200  # within a minute
    third = host.refresh(second).json()["refresh_token"]
    fourth = host.refresh(third).json()["refresh_token"]
    host.api.world.clock.advance(61)
    # Whoever has an old one may be a thief: nobody goes on.
    assert host.refresh(third).json()["error"] == "invalid_grant"
    assert host.refresh(fourth).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
def test_a_grant_ends_when_either_of_its_tokens_is_revoked(host: Host, kind: str) -> None:
    tokens = host.exchange(host.code()).json()
    body = {"client_id": host.client_id, "token": tokens[kind]}
    assert host.http.post("/oauth/revoke", data=body).status_code == 200
    assert host.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
def test_a_token_whose_time_is_over_still_revokes_its_grant(
    host: Host, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    tokens = host.exchange(host.code()).json()
    later_s = time.time() + LIFE_S[Purpose.ACCESS] + 1
    monkeypatch.setattr(time, "time", lambda: later_s)
    assert host.status(tokens["access_token"]) == 401
    assert host.http.post("/oauth/revoke", data={"client_id": host.client_id, "token": tokens[kind]}).status_code == 200
    assert host.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_grant_ends_when_it_is_not_used(host: Host) -> None:
    unused = host.exchange(host.code()).json()["refresh_token"]
    host.api.world.clock.advance(31 * 86_400)
    assert host.refresh(unused).json()["error"] == "invalid_grant"


def test_tokens_end_with_their_time() -> None:
    key = b"k" * 32
    for purpose, life_s in LIFE_S.items():
        token = sign(key, purpose, {"key": "x"}, now_s=1000.0)
        assert read(key, purpose, token, now_s=1000.0 + life_s - 1) is not None
        assert read(key, purpose, token, now_s=1000.0 + life_s) is None
        assert read(b"o" * 32, purpose, token, now_s=1000.0) is None


def test_another_client_cannot_use_a_token(host: Host) -> None:
    token = host.exchange(host.code()).json()["refresh_token"]
    other = Host(host.api, host.http, host.register(client_name="Other").json()["client_id"])
    assert other.refresh(token).json()["error"] == "invalid_grant"
    assert host.refresh(token).status_code == 200


def test_a_client_with_a_secret_has_to_give_it(host: Host) -> None:
    made = host.register(token_endpoint_auth_method="client_secret_post").json()
    careful = Host(host.api, host.http, made["client_id"])
    token = careful.exchange(careful.code(), client_secret=made["client_secret"]).json()["refresh_token"]
    assert careful.refresh(token).status_code == 401
    assert careful.refresh(token, client_secret="0" * 64).status_code == 401
    assert careful.refresh(token, client_secret=made["client_secret"]).status_code == 200


@pytest.mark.parametrize("key", ["", "no-key-of-anybody", STRANGER[:-1]])
def test_a_wrong_key_is_told_on_the_page_and_gives_no_code(host: Host, key: str) -> None:
    page = host.log_in(key)
    assert page.status_code == 401
    assert 'role="alert"' in page.text
    assert "location" not in page.headers


def test_the_page_names_the_host_runs_nothing_and_shows_no_markup_of_others(host: Host) -> None:
    name = "<script>alert(1)</script> & \u202eCo"
    odd = Host(
        host.api, host.http, host.register(client_name=name, redirect_uris=["https://claude.ai/cb"]).json()["client_id"]
    )
    page = odd.http.get("/oauth/" + odd.authorize(redirect_uri="https://claude.ai/cb").headers["location"])
    assert page.status_code == 200
    assert "<script" not in page.text
    assert "\u202e" not in page.text
    assert "You will be sent to <b>https://claude.ai</b>" in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert policy.endswith("form-action 'self' https://claude.ai")
    assert page.headers["cache-control"] == "no-store"
    cancelled = re.findall(r'<a href="([^"]+)">Cancel', page.text)[0]
    assert unescape(cancelled).startswith("https://claude.ai/cb?error=access_denied")


def test_a_page_that_has_waited_or_was_made_up_cannot_go_on(host: Host) -> None:
    for request in ("", "eyJ.eyJ.x", host.exchange(host.code()).json()["access_token"]):
        page = host.http.get("/oauth/login", params={"request": request})
        assert page.status_code == 400
        assert "cannot go on" in page.text


def test_a_stranger_cannot_be_the_place_to_which_the_page_sends(host: Host) -> None:
    for address in ("https://claude.ai.evil.example/cb", "http://claude.ai/cb", "https://user@claude.ai/cb"):
        refused = host.register(redirect_uris=[address])
        assert refused.status_code == 400
        assert "FORGETLESS_OAUTH_REDIRECTS" in refused.json()["error_description"]
    assert "location" not in host.authorize(redirect_uri="https://evil.example/cb").headers
    assert host.authorize(client_id="eyJ.eyJ.x").status_code == 400


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("http://localhost:1234/cb", True),
        ("http://[::1]/cb", True),
        ("https://claude.ai/api/mcp/auth_callback", True),
        ("HTTPS://Claude.AI/cb", True),
        ("cursor://anysphere.cursor-mcp/oauth/callback", True),
        ("vscode://x", False),
        ("https://claude.ai#fragment", False),
        ("https://claude.ai/#", False),
        ("https://claude.ai./", False),
        ("https://claude.ai@evil.example/", False),
        ("https://evil.example\\@claude.ai/", False),
        ("https://evilclaude.ai/", False),
        ("https://a.claude.ai/", False),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("http://10.0.0.1/", False),
        ("https://[half", False),
        ("https://claude.ai:99999999/", False),
        ("", False),
    ],
)
def test_addresses_to_which_the_page_may_send(address: str, *, allowed: bool) -> None:
    assert OAuthRedirects(["claude.ai", "cursor:", "javascript:", "data:"]).allows(address) is allowed


def test_with_a_star_every_host_of_https_is_allowed() -> None:
    redirects = OAuthRedirects(["*"])
    assert redirects.allows("https://anybody.example/cb")
    assert not redirects.allows("http://anybody.example/cb")
    assert not redirects.allows("cursor://x")


def test_metadata_names_this_service_as_the_client_wrote_it(host: Host) -> None:
    refused = host.http.post("/mcp", json={}, headers={"Host": "memories.example"})
    assert refused.status_code == 401
    where = re.findall(r'resource_metadata="([^"]+)"', refused.headers["www-authenticate"])[0]
    assert where == "http://memories.example/.well-known/oauth-protected-resource/mcp"
    resource = host.http.get(urlsplit(where).path, headers={"Host": "memories.example"}).json()
    assert resource["resource"] == "http://memories.example/mcp"
    (server,) = resource["authorization_servers"]
    for name in ("oauth-authorization-server", "openid-configuration"):
        found = host.http.get(f"/.well-known/{name}", headers={"Host": "memories.example"}).json()
        assert found["issuer"] == server == "http://memories.example"
        assert found["code_challenge_methods_supported"] == ["S256"]


def test_without_hosts_there_is_no_oauth(new_api: NewApi) -> None:
    api = new_api(mcp=True)
    assert api.client.get("/.well-known/oauth-authorization-server").status_code == 401
    assert api.client.post("/mcp", json={}).headers["www-authenticate"] == "Bearer"
    assert api.client.get("/.well-known/oauth-authorization-server", headers={"X-API-Key": ADMIN}).status_code == 404


def test_a_key_that_looks_like_a_token_stays_a_key(host: Host) -> None:
    odd = "eyJ" + "a" * 40 + ".eyJ" + "b" * 10 + ".c"
    put_key(host.api.world, odd, "default", Role.WRITE)
    assert host.status(odd) == 200


FORM = "application/x-www-form-urlencoded"
BOUNDARY = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n\xff\r\n--b--\r\n'


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke", "/oauth/login"])
def test_only_small_forms_in_the_one_encoding_are_read(host: Host, path: str) -> None:
    # Python's character set `undefined` decodes nothing, and `punycode` raises what Starlette does not expect.
    media = [BOUNDARY, *(f"{BOUNDARY}; charset={name}" for name in ("undefined", "punycode", "utf-16")), "", "x/y"]
    for sent in (*((one, PART) for one in media), (FORM, b"&".join(b"f%d=1" % number for number in range(51)))):
        answer = host.http.post(path, content=sent[1], headers={"Content-Type": sent[0]})
        assert answer.status_code == 400, sent
        assert answer.json()["error"] == "invalid_request"
    twice = host.http.post(path, content=b"key=a&key=b", headers={"Content-Type": FORM})
    assert twice.json()["error_description"] == "key: give it once"
    odd = host.http.post(path, content=b"client_id=%ff%00%ed%a0%80&\xff=\xfe", headers={"Content-Type": FORM})
    assert odd.status_code in {400, 401}
    assert host.http.post(path, content=b"a=" + b"a" * 65_536, headers={"Content-Type": FORM}).status_code == 413


def test_a_stranger_cannot_keep_the_service_busy_by_registering(host: Host) -> None:
    assert host.register(redirect_uris=["http://localhost/"] * 4000).status_code == 413
    assert host.register(client_name="a " * 20_000).status_code == 413
    wrong = host.register(redirect_uris=["x"] * 3000)
    assert wrong.status_code == 400
    told = wrong.json()
    assert told["error"] == "invalid_client_metadata"
    assert told["error_description"].startswith("redirect_uris.0: Input should be a valid URL")
    assert len(wrong.content) < 4000


def test_a_client_that_names_itself_in_the_header_only_is_known(host: Host) -> None:
    made = host.register(token_endpoint_auth_method="client_secret_basic").json()
    careful = Host(host.api, host.http, made["client_id"])
    body = {"grant_type": "authorization_code", "code": careful.code(), "redirect_uri": CALLBACK}
    body |= {"code_verifier": VERIFIER, "resource": "x"}
    assert host.http.post("/oauth/token", data=body, auth=(made["client_id"], "0" * 64)).status_code == 401
    assert host.http.post("/oauth/token", data=body, auth=(made["client_id"], made["client_secret"])).status_code == 200
    for header in ("Basic", "Basic \xff", "Basic !", "Basic " + base64.b64encode(b"\xff:x").decode(), "Bearer x"):
        answer = host.http.post("/oauth/token", data=body, headers={"Authorization": header.encode("latin-1")})
        assert answer.status_code == 401


def test_errors_that_go_to_the_host_say_who_answers(host: Host) -> None:
    sent = parse_qs(urlsplit(host.authorize(code_challenge_method="plain").headers["location"]).query)
    assert sent == {
        "error": ["invalid_request"],
        "error_description": ["code_challenge_method: Input should be 'S256'"],
        "state": ["s"],
        "iss": ["http://testserver"],
    }
    asked = host.http.head("/oauth/authorize", headers={"Content-Type": f"{BOUNDARY}; charset=undefined"})
    assert asked.status_code == 400


def test_the_page_is_shown_for_head_and_names_no_address_that_its_policy_does_not_know(host: Host) -> None:
    odd = Host(host.api, host.http, host.register(redirect_uris=["http://[::1]:5/cb"]).json()["client_id"])
    where = "/oauth/" + odd.authorize(redirect_uri="http://[::1]:5/cb").headers["location"]
    assert host.http.head(where).status_code == 200
    assert host.http.get(where).headers["content-security-policy"].endswith("form-action 'self' http:")


def test_a_log_in_stands_in_the_audit_list(host: Host) -> None:
    host.log_in("no-key-of-anybody")
    assert host.log_in(MEMBER).status_code == 303
    entries = host.http.get("/audit", headers={"X-API-Key": ADMIN}).json()["entries"]
    assert [(one["route"], one["kind"]) for one in entries] == [("POST /oauth/login", "change")]


def test_log_ins_and_tokens_count_as_requests_of_their_key(host: Host) -> None:
    put_key(host.api.world, LIMITED, "default", Role.WRITE)
    ledger = host.api.world.ledger
    held = ledger.key(key_hash(LIMITED))
    assert held is not None
    assert ledger.put_key(replace(held, quotas=Quotas.of({"requests_per_minute": 4})), held=held)
    code = host.code(LIMITED)
    token = host.exchange(code).json()["refresh_token"]
    token = host.refresh(token).json()["refresh_token"]
    another = host.code(LIMITED)
    refused = [host.log_in(LIMITED), host.refresh(token), host.exchange(another)]
    assert [answer.status_code for answer in refused] == [429] * 3
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    assert "Rate limit exceeded" in unescape(refused[0].text)
    assert host.log_in(MEMBER).status_code == 303
    host.api.world.clock.advance(61)
    assert host.exchange(another).status_code == host.refresh(token).status_code == 200


def test_tokens_of_a_key_that_has_ended_use_up_the_guesses_of_their_address_only(new_api: NewApi) -> None:
    made = new_api(mcp=True)
    world = made.world
    world.services.keys = KeyService(ledger=world.ledger, clock=world.clock, guesses_per_minute=2)
    app = create_app(lambda: made.world.services, inline=True, mcp=True, oauth_redirects=["claude.ai"])
    clients = [TestClient(app, follow_redirects=False, client=(name, 1)) for name in ("10.0.0.1", "10.0.0.2")]
    thief, other = (Host(made, client) for client in clients)
    thief.client_id = other.client_id = other.register().json()["client_id"]
    put_key(made.world, LIMITED, "default", Role.WRITE)
    stolen, kept = (other.exchange(other.code(key)).json()["refresh_token"] for key in (LIMITED, MEMBER))
    keys = made.world.services.keys
    (limited,) = [one.key for one in keys.each("default") if one.key.hash == key_hash(LIMITED)]
    keys.revoke("default", limited.id)
    made.world.clock.advance(61)
    assert [thief.refresh(stolen).status_code for _ in range(4)] == [400, 400, 400, 429]
    assert other.refresh(stolen).status_code == 400
    assert other.refresh(kept).status_code == 200
