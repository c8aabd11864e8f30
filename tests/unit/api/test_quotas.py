"""Quotas over HTTP and MCP: who is refused how, what counts, and what `GET /usage` shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import httpx2
import pytest

from forgetless.domain.keys import ApiKey, key_hash
from forgetless.domain.memory import Event, EventKind
from forgetless.domain.quotas import Quotas
from forgetless.domain.usage import OF_TENANT, UsageKind
from forgetless.ports.request_usage import note_tokens
from tests.fakes.counting_ledger import CountingLedger
from tests.unit.api.client import ADMIN, MEMBER, STRANGER, Api, put_key
from tests.unit.api.conftest import NewApi
from tests.unit.api.mcp_client import connected
from tests.unit.service.world import facts

_SAID: dict[str, Any] = {"messages": [{"role": "user", "content": "I like tea"}], "user_id": "alice", "infer": False}
_QUERY = {"query": "tea", "filters": {"user_id": "alice"}}
#: Path and body of the adds and the searches of both dialects.
ADDS = {"/memories": _SAID, "/v3/memories/add/": _SAID, "/v1/memories/": _SAID}
SEARCHES = dict.fromkeys(("/search", "/v1/memories/search/", "/v2/memories/search/", "/v3/memories/search/"), _QUERY)


def limit(api: Api, key: str = ADMIN, *, tenant: bool = False, **limits: int) -> ApiKey:
    """Give a key, or the whole tenant of the key, quotas; a process knows them with the key."""
    held = api.world.ledger.key(key_hash(key))
    assert held is not None
    quotas = Quotas.of(limits)
    changed = replace(held, tenant_quotas=quotas) if tenant else replace(held, quotas=quotas)
    assert api.world.ledger.put_key(changed, held=held)
    return changed


def figures(api: Api, key_id: str = OF_TENANT, tenant: str = "default") -> dict[str, int]:
    """What was used today."""
    api.world.services.meter.flush()
    used = api.world.ledger.used(tenant, [key_id], now=api.world.clock.now())[key_id]
    return {str(kind): number for kind, number in used.day.items()}


def supersede(api: Api, id_: str, by: str) -> None:
    """Let another memory supersede this one, as an extraction does."""
    held = api.world.ledger.read("default", [id_])[id_]
    gone = held.next_version(api.world.clock.now(), event_id=f"{id_}:{held.version}", superseded_by=by)
    api.world.ledger.append([Event(EventKind.UPDATE, gone)])


@pytest.mark.parametrize("path", [*ADDS, *SEARCHES])
def test_a_quota_that_is_used_up_is_429_in_every_dialect(api: Api, path: str) -> None:
    limit(api, adds_per_day=2, searches_per_month=2)
    body = ADDS.get(path) or SEARCHES[path]
    answers = [api.post(path, body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert not any(name.startswith("x-ratelimit") for answer in answers[:2] for name in answer.headers)
    refused = answers[-1]
    assert refused.json()["detail"] == refused.json()["error"]
    assert "Rate limit exceeded: 2 " in refused.json()["error"]
    assert refused.headers["Retry-After"].isdigit()
    assert (refused.headers["X-RateLimit-Limit"], refused.headers["X-RateLimit-Remaining"]) == ("2", "0")
    assert refused.headers["X-RateLimit-Reset"].isdigit()
    assert api.get("/memories?user_id=alice").status_code == 200, "everything else goes on"


@pytest.mark.parametrize("path", ADDS)
def test_a_full_quota_of_memories_is_413_with_its_name(api: Api, path: str) -> None:
    limit(api, stored_memories=2)
    assert [api.post(path, ADDS[path]).status_code for _ in range(3)] == [200, 200, 413]
    refused = api.post(path, ADDS[path])
    assert "stored_memories of 2" in refused.json()["detail"]
    assert not any(name.startswith("x-ratelimit") or name == "retry-after" for name in refused.headers)
    assert api.post("/search", _QUERY).status_code == 200
    (one, *_) = [item["id"] for item in api.get("/memories?user_id=alice").json()["results"]]
    assert api.delete(f"/memories/{one}").status_code == 200
    assert api.post(path, ADDS[path]).status_code == 200, "there is room again at once"


@pytest.mark.parametrize("window", ["day", "month"])
@pytest.mark.parametrize("path", ["/memories/{id}", "/v1/memories/{id}/", "/v1/batch/", "/v1/memories/{id}/restore/"])
def test_each_changed_memory_is_an_update(api: Api, path: str, window: str) -> None:
    batch, restore = "batch" in path, "restore" in path
    key = limit(api, **{f"updates_per_{window}": 4 if batch else 2})
    ids = [api.post("/memories", _SAID).json()["results"][0]["id"] for _ in range(2)]
    body = {"memories": [{"memory_id": id_, "metadata": {"a": 1}} for id_ in ids]} if batch else {"metadata": {"a": 1}}

    def change(headers: dict[str, str] | None = None) -> int:
        if restore:
            supersede(api, ids[0], ids[1])
        call = api.call("POST" if restore else "PUT", path.format(id=ids[0]), json=body, headers=headers or {})
        return call.status_code

    assert change({"If-Match": '"9"'}) in {400, 412}, "what fails does not count"
    assert change({"Idempotency-Key": "one"}) == 200
    if restore:
        assert api.post(path.format(id=ids[0]), {}).status_code == 200, "what is not superseded does not change"
    assert [change(), change()] == [200, 429]
    if not restore:  # the answer of a restore goes with the next version
        assert change({"Idempotency-Key": "one"}) == 200, "a repeat changes nothing"
    assert figures(api, key.id)["updates"] == (4 if batch else 2)
    assert api.delete(f"/memories/{ids[0]}").status_code == 200, "deletions go on"


def test_a_batch_that_is_larger_than_what_is_left_is_refused_whole(api: Api) -> None:
    limit(api, updates_per_day=1)
    ids = [api.post("/memories", _SAID).json()["results"][0]["id"] for _ in range(2)]
    batch = [{"memory_id": id_, "metadata": {"a": 1}} for id_ in ids]
    assert api.call("PUT", "/v1/batch/", json={"memories": batch}).status_code == 429
    assert api.call("PUT", "/v1/batch/", json={"memories": batch[:1] * 2}).status_code == 200, "one memory, named twice"


def test_what_fails_does_not_count(api: Api) -> None:
    key = limit(api, adds_per_day=1, searches_per_day=1)
    for _ in range(3):
        assert api.post("/memories", {**_SAID, "user_id": ""}).status_code in {400, 422}
        assert api.post("/search", {"query": ""}).status_code in {400, 422}
    assert [api.post("/memories", _SAID).status_code for _ in range(2)] == [200, 429]
    assert [api.post("/search", _QUERY).status_code for _ in range(2)] == [200, 429]
    assert figures(api, key.id) == {"requests": 10, "adds": 1, "searches": 1}


@pytest.mark.parametrize("path", ["/memories", "/v1/memories/{id}/"])
def test_a_repeat_counts_as_a_request_alone_and_gets_its_answer_although_the_quota_is_used_up(
    api: Api, path: str
) -> None:
    (id_,) = api.say("tea", key=MEMBER)
    key = limit(api, adds_per_day=1, updates_per_day=1, llm_tokens_per_day=0, requests_per_minute=8)
    again = {"headers": {"Idempotency-Key": "one"}}
    method, body = ("PUT", {"text": "I like tea"}) if "{id}" in path else ("POST", _SAID)

    def ask(**options: Any) -> httpx2.Response:
        return api.call(method, path.format(id=id_), json=body, **options)

    first = ask(**again)
    assert (first.status_code, ask().status_code) == (200, 429)
    repeats = [ask(**again) for _ in range(6)]
    assert [(answer.status_code, answer.json()) for answer in repeats] == [(200, first.json())] * 6
    refused = ask(**again)
    assert (refused.status_code, "8 requests per 1 minute" in refused.json()["error"]) == (429, True)
    assert figures(api, key.id) == {"requests": 8, "adds" if method == "POST" else "updates": 1}
    api.world.clock.advance(60)
    assert ask(**again).json() == first.json(), "a minute later it comes again"


def test_a_key_without_quotas_costs_no_read(new_api: NewApi) -> None:
    api = new_api()
    counting = CountingLedger(api.world.ledger)
    api.world.services.meter._ledger = counting
    for _ in range(30):
        api.post("/search", _QUERY)
        api.post("/memories", _SAID)
    assert set(counting.calls) == {"add_usage"}
    assert counting.calls["add_usage"] <= 4


def test_one_tenants_quota_is_nothing_to_another(api: Api) -> None:
    for key in (ADMIN, MEMBER):
        limit(api, key, tenant=True, searches_per_day=1, stored_memories=0)
    assert [api.post("/search", _QUERY, key=key).status_code for key in (ADMIN, MEMBER)] == [200, 429]
    assert api.post("/memories", _SAID).status_code == 413
    calm = [api.post("/search", _QUERY, key=STRANGER).status_code for _ in range(30)]
    assert calm == [200] * 30
    assert api.post("/memories", _SAID, key=STRANGER).status_code == 200


def test_a_limited_key_is_told_no_counts_of_its_tenant(api: Api) -> None:
    put_key(api.world, "limited", "default", limit(api).role.WRITE, "alice")
    for key in (ADMIN, "limited"):
        limit(api, key, tenant=True, searches_per_day=4217, adds_per_day=0, stored_memories=4217)
    refused = api.post("/memories", _SAID, key="limited")
    assert refused.status_code == 429
    assert refused.headers["Retry-After"].isdigit()
    assert not any(name.startswith("x-ratelimit") for name in refused.headers)
    assert "adds_per_day of the tenant" in refused.json()["error"]
    told = api.get("/usage", key="limited")
    assert (told.status_code, told.json()["quotas"]) == (200, [])
    assert "4217" not in told.text


def test_usage_of_the_last_days_of_the_calendar_is_empty(api: Api) -> None:
    answer = api.get("/usage?from=9999-12-01&to=9999-12-31")
    assert (answer.status_code, answer.json()["usage"]) == (200, [])


def test_usage(api: Api) -> None:
    key = limit(api, adds_per_day=5, stored_memories=9)
    api.post("/memories", _SAID)
    api.post("/search", _QUERY)
    api.post("/search", _QUERY, key=MEMBER)
    day = api.world.clock.now()[:10]
    mine = {"day": day, "requests": 3, "adds": 1, "updates": 0, "searches": 1, "llm_tokens": 0}
    whole = api.get("/usage").json()
    assert whole["usage"] == [{**mine, "key_id": None, "requests": 4, "searches": 2}]
    assert [(one["of"], one["quota"], one["limit"], one["used"]) for one in whole["quotas"]] == [
        ("key", "adds_per_day", 5, 1),
        ("key", "stored_memories", 9, 1),
    ]
    assert whole["quotas"][0]["resets_at"] > api.world.clock.now()
    member = api.world.ledger.key(key_hash(MEMBER))
    assert member is not None
    by_key = api.get("/usage?by=key").json()["usage"]
    assert {row["key_id"]: row["searches"] for row in by_key} == {key.id: 1, member.id: 1}
    page = api.get("/usage?by=key&limit=1").json()
    rest = api.get(f"/usage?by=key&limit=2&cursor={page['next_cursor']}").json()
    assert [row["key_id"] for row in page["usage"] + rest["usage"]] == sorted([key.id, member.id])
    assert api.get(f"/usage?key_id={member.id}").json()["usage"][0]["searches"] == 1
    assert api.get("/usage?from=2020-01-01&to=2020-02-01").json()["usage"] == []


def test_a_key_that_is_no_administrators_sees_only_itself(api: Api) -> None:
    admin = api.world.ledger.key(key_hash(ADMIN))
    assert admin is not None
    api.post("/memories", _SAID)
    assert [row["adds"] for row in api.get("/usage", key=MEMBER).json()["usage"]] == [0]
    assert [row["adds"] for row in api.get("/usage?by=key", key=MEMBER).json()["usage"]] == [0]
    assert api.get(f"/usage?key_id={admin.id}", key=MEMBER).status_code == 403
    assert [row["adds"] for row in api.get(f"/usage?key_id={admin.id}", key=STRANGER).json()["usage"]] == []


@pytest.mark.parametrize(
    "query", ["from=yesterday", "from=2026-02-01&to=2026-01-01", "from=2020-01-01&to=2026-01-01", "to=2026-02-31"]
)
def test_days_that_are_none(api: Api, query: str) -> None:
    answer = api.get(f"/usage?{query}")
    assert (answer.status_code, answer.json()["detail"].split(":")[0] in {"from", "to"}) == (400, True)


def test_tokens_count_for_the_key_whose_add_needed_them(new_api: NewApi) -> None:
    def reply(_messages: object) -> str:
        note_tokens(700)
        return facts("Alice likes tea")

    api = new_api(reply)
    key = limit(api, llm_tokens_per_day=700)
    said = {**_SAID, "infer": True}
    assert [api.post("/memories", said).status_code for _ in range(2)] == [200, 429]
    assert api.post("/generate-instructions", {"use_case": "tea"}).status_code == 429
    assert api.post("/memories", _SAID).status_code == 200, "an add that needs no LLM"
    assert figures(api, key.id)["llm_tokens"] == 700


def test_tokens_of_an_add_that_fails_count_too(new_api: NewApi) -> None:
    def reply(_messages: object) -> str:
        note_tokens(5)
        return "no JSON"

    api = new_api(reply)
    key = limit(api)
    assert api.post("/memories", {**_SAID, "infer": True}).status_code == 502
    assert figures(api, key.id)["llm_tokens"] == 10, "the call, and the one to repair its reply"


def test_a_queued_add_counts_when_it_is_accepted_and_its_tokens_when_it_is_done(new_api: NewApi) -> None:
    def reply(_messages: object) -> str:
        note_tokens(9)
        return facts("Alice likes tea")

    api = new_api(reply)
    key = limit(api, adds_per_day=1)
    told = api.post("/v3/memories/add/", {**_SAID, "infer": True}).json()
    assert figures(api, key.id) == {"requests": 1, "adds": 1}
    limit(api, llm_tokens_per_day=0)
    api.world.services.ingest.run("default", told["event_id"], seconds=60)
    assert figures(api, key.id) == {"requests": 1, "adds": 1, "llm_tokens": 9}, "what was accepted is done"


def test_a_retry_keeps_to_the_quotas_and_counts_on_its_day_for_the_key_that_asks(new_api: NewApi) -> None:
    replies = ["no JSON", "no JSON", "no JSON", "no JSON", facts("Alice likes tea")]

    def reply(_messages: object) -> str:
        note_tokens(5)
        return replies.pop(0)

    api = new_api(reply, inline=False)
    asker, other = limit(api, MEMBER), limit(api)
    event_id = api.post("/v3/memories/add/", {**_SAID, "infer": True}, key=MEMBER).json()["event_id"]
    retry = f"/v1/event/{event_id}/retry/"

    def run() -> str:
        api.world.services.ingest.run("default", event_id, seconds=60)
        return str(api.get(f"/v1/event/{event_id}/").json()["status"])

    assert run() == "FAILED"
    for quotas in ({"llm_tokens_per_day": 10}, {"llm_tokens_per_month": 9}):
        for key, tenant in ((MEMBER, False), (ADMIN, True)):
            limit(api, key, tenant=tenant, **quotas)
            api.world.clock.advance(30)  # from then on, no process goes by an old copy of the key
            api.get("/memories?user_id=alice", key=key)  # its first request with quotas reads the figures
            refused = api.post(retry, {}, key=key)
            assert refused.status_code == 429
            assert (refused.json()["detail"], refused.headers["Retry-After"].isdigit()) == (
                refused.json()["error"],
                True,
            )
            limit(api, key, tenant=tenant)
    limit(api, stored_memories=0)
    api.world.clock.advance(30)
    assert api.post(retry, {}).status_code == 413, "it would store memories"
    limit(api, llm_tokens_per_day=10)
    api.world.clock.advance(86400)
    assert api.post(retry, {}).status_code == 202
    assert run() == "FAILED"
    assert (figures(api, asker.id).get("llm_tokens"), figures(api, other.id)["llm_tokens"]) == (None, 10)
    assert api.post(retry, {}).status_code == 429, "what the first retry used counts"
    api.world.clock.advance(86400)
    assert api.post(retry, {}).status_code == 202
    assert run() == "SUCCEEDED"
    assert figures(api, other.id)["llm_tokens"] == 5, "also with what is stored, on the day of the retry"


@pytest.mark.parametrize("dialect", ["platform", "mcp"])
def test_a_memory_that_comes_back_needs_room(new_api: NewApi, dialect: str) -> None:
    replies = [facts(f"Alice lives in town {number}") for number in range(3)]
    api = new_api(lambda _messages: replies.pop(0), mcp=True)
    ids = [api.post("/memories", {**_SAID, "infer": True}).json()["results"][0]["id"] for _ in range(3)]
    for old in ids[:2]:
        supersede(api, old, ids[2])
    limit(api, stored_memories=2)
    api.world.clock.advance(30)

    def restored(id_: str) -> bool:
        if dialect == "platform":
            return api.post(f"/v1/memories/{id_}/restore/", {}).status_code == 200

        async def call() -> Any:
            async with connected(api.client.app) as client:
                return await client.call_tool("restore_memory", {"memory_id": id_})

        return not anyio.run(call).is_error

    assert [restored(id_) for id_ in ids[:2]] == [True, False]
    refused = api.post(f"/v1/memories/{ids[1]}/restore/", {})
    assert (refused.status_code, "stored_memories of 2" in refused.json()["detail"]) == (413, True)
    assert len(api.world.texts()) == 2


def test_mcp(new_api: NewApi) -> None:
    api = new_api(mcp=True)
    key = limit(api, adds_per_day=1, searches_per_day=1)

    async def calls() -> list[Any]:
        async with connected(api.client.app) as client:
            add = {"text": "I like tea", "user_id": "alice", "infer": False}
            search = {"query": "tea", "user_id": "alice"}
            asked = [("add_memory", add)] * 2 + [("search_memories", {"query": "tea"})]
            return [await client.call_tool(*one) for one in [*asked, *[("search_memories", search)] * 2]]

    first, refused, failed, found, no_more = anyio.run(calls)
    assert [one.is_error for one in (first, refused, failed, found, no_more)] == [False, True, True, False, True]
    assert "Rate limit exceeded: 1 adds per 1 day" in refused.content[0].text
    assert "try again in" in no_more.content[0].text
    assert figures(api, key.id) | {"requests": 0} == {"requests": 0, "adds": 1, "searches": 1}
    assert UsageKind.REQUESTS in figures(api, key.id)


def test_updates_of_mcp(new_api: NewApi) -> None:
    api = new_api(mcp=True)
    key = limit(api, updates_per_day=2)
    id_, other = (api.post("/memories", _SAID).json()["results"][0]["id"] for _ in range(2))
    supersede(api, id_, other)

    async def calls() -> list[Any]:
        async with connected(api.client.app) as client:
            update = ("update_memory", {"memory_id": id_, "metadata": {"a": 1}})
            asked = [update, ("restore_memory", {"memory_id": id_}), update]
            return [await client.call_tool(*one) for one in asked]

    *done, refused = anyio.run(calls)
    assert [one.is_error for one in (*done, refused)] == [False, False, True]
    assert "2 updates per 1 day" in refused.content[0].text
    assert figures(api, key.id)["updates"] == 2


@pytest.mark.parametrize("path", [*SEARCHES, "MCP"])
def test_a_search_that_is_refused_after_the_work_counts(
    new_api: NewApi, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = new_api(mcp=True)
    api.say("tea")
    monkeypatch.setattr("forgetless.domain.filters.evaluate.MOST_FILTER_STEPS", 0)
    if path == "MCP":

        async def ask() -> str:
            async with connected(api.client.app) as client:
                found = await client.call_tool("search_memories", {"query": "tea", "user_id": "alice"})
                return str(found.content[0].text)

        told = anyio.run(ask)
    else:
        answer = api.post(path, _QUERY)
        assert answer.status_code == 400
        told = answer.text
    assert "too much work" in told
    assert figures(api)["searches"] == 1
    assert api.post("/search", {**_QUERY, "query": " "}).status_code == 400
    assert figures(api)["searches"] == 1, "what is refused before the work does not count"
