"""The audit list: what is in it, that it names nobody, and that it costs few writes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from forgetless.domain.audit import AUDIT, AuditEntry, AuditKind
from forgetless.domain.errors import LedgerError
from forgetless.domain.keys import ApiKey, Role, key_hash
from forgetless.service.access.audit import AUDIT_KEPT_S, MOST_WAITING
from tests.unit.api.client import ADMIN, MEMBER, STRANGER, Api, put_key
from tests.unit.api.conftest import NewApi
from tests.unit.api.mcp_client import connected

_LONG_AGO = "2026-01-02T03:04:05.000000+00:00"
READER, LIMITED = "key-that-may-only-read", "key-limited-to-alice"


def audit(api: Api, query: str = "", **options: Any) -> list[dict[str, Any]]:
    answer = api.get(f"/audit?{query}", **options)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["entries"]
    return found


def told(api: Api, query: str = "") -> list[tuple[str, str, int]]:
    """Kind, route and status of each entry, without those of this test's own look."""
    return [(one["kind"], one["route"], one["status"]) for one in audit(api, query) if one["route"] != "GET /audit"]


def written(api: Api) -> int:
    return len(api.world.ledger.documents("default", AUDIT, limit=100)[0])


@pytest.fixture
def keyed(api: Api) -> Api:
    put_key(api.world, READER, "default", Role.READ)
    put_key(api.world, LIMITED, "default", Role.WRITE, "alice")
    return api


def test_changes_refusals_and_administrators_reads_are_listed_newest_first(keyed: Api) -> None:
    (memory,) = keyed.say("tea", key=MEMBER)
    keyed.texts(key=MEMBER)  # a member's read is not in the list
    keyed.texts()
    keyed.get("/api-keys")  # what only administrators may read is a read, too
    keyed.found("tea")
    keyed.delete(f"/memories/{memory}", key=READER)
    keyed.say("tea", key=LIMITED)
    keyed.post("/memories", {"messages": [{"role": "user", "content": "x"}], "user_id": "bob"}, key=LIMITED)
    keyed.delete(f"/memories/{memory}", key=MEMBER)
    keyed.delete(f"/memories/{memory}", key=MEMBER)  # 404: nothing has changed
    keyed.delete("/entities/user/alice")
    assert told(keyed) == [
        ("change", "DELETE /entities/{entity_type}/{entity_id}", 200),
        ("change", "DELETE /memories/{memory_id}", 200),
        ("refusal", "POST /memories", 403),
        ("change", "POST /memories", 200),
        ("refusal", "DELETE /memories/{memory_id}", 403),
        ("administrator's read", "POST /search", 200),
        ("administrator's read", "GET /api-keys", 200),
        ("administrator's read", "GET /memories", 200),
        ("change", "POST /memories", 200),
    ]


def test_an_entry_names_the_key_the_request_and_digests_of_ids_alone(keyed: Api) -> None:
    keyed.say("tea of somebody", user_id="secret-alice", key=MEMBER)
    (entry, *_) = [one for one in audit(keyed) if one["route"] == "POST /memories"]
    assert list(entry) == ["at", "kind", "key_id", "route", "tool", "status", "times", "scope", "request_id"]
    assert entry["key_id"] == ApiKey(key_hash(MEMBER), "default", Role.WRITE, "").id
    assert [len(digest) for digest in entry["scope"]["user_id"]] == [32]
    documents = keyed.world.ledger.documents("default", AUDIT, limit=9)[0]
    assert "secret-alice" not in repr(documents)
    assert "somebody" not in repr(documents)


def test_who_knows_an_id_finds_what_named_it(keyed: Api) -> None:
    (memory,) = keyed.say("tea", user_id="jose\u0301", key=MEMBER)
    keyed.say("tea", user_id="bob", key=MEMBER)
    keyed.get(f"/memories/{memory}")
    keyed.post("/v3/memories/", {"filters": {"OR": [{"user_id": {"in": ["jos\u00e9", "bob"]}}, {"run_id": "r"}]}})
    keyed.delete("/v1/memories/?user_id=jos%C3%A9&run_id=r")
    assert told(keyed, "user_id=jos%C3%A9") == [
        ("change", "DELETE /v1/memories/", 200),
        ("administrator's read", "POST /v3/memories/", 200),
        ("change", "POST /memories", 200),
    ]
    assert told(keyed, "run_id=r&user_id=bob") == [("administrator's read", "POST /v3/memories/", 200)]
    assert told(keyed, f"memory_id={memory}") == [("administrator's read", "GET /memories/{memory_id}", 200)]
    assert told(keyed, "app_id=nothing") == []


def test_equal_refusals_are_one_entry_so_a_reader_fills_no_ledger(keyed: Api) -> None:
    keyed.texts()
    keyed.world.services.audit.flush()
    before = written(keyed)
    for number in range(200):
        body = {"messages": [{"role": "user", "content": "x"}], "user_id": f"user-{number % 3}"}
        assert keyed.post("/memories", body, key=READER).status_code == 403
        assert keyed.post("/memories", body, key=LIMITED).status_code == 403
        keyed.world.clock.advance(0.04)  # 25 of each in a second
    refusals = [one for one in audit(keyed, "kind=refusal") if one["route"] == "POST /memories"]
    assert sum(one["times"] for one in refusals) == 400
    assert len(refusals) <= 6
    assert written(keyed) - before <= 4
    (key,) = {one["key_id"] for one in refusals if one["scope"]}  # a limited key's body was read
    assert {one["key_id"] for one in audit(keyed, f"key_id={key}")} == {key}
    assert sum(one["times"] for one in audit(keyed, f"kind=refusal&key_id={key}")) == 200
    assert audit(keyed, f"kind=change&key_id={key}") == []
    assert keyed.get("/audit?kind=nothing").status_code == 422


def test_a_repeat_is_no_change_but_an_administrator_reads_the_stored_answer(keyed: Api) -> None:
    (memory,) = keyed.say("tea", key=MEMBER)
    once = {"headers": {"Idempotency-Key": "one"}}
    for key in (MEMBER, MEMBER, MEMBER, ADMIN):
        assert keyed.put(f"/v1/memories/{memory}/", {"text": "coffee"}, key=key, **once).status_code == 200
    route = "PUT /v1/memories/{memory_id}/"
    assert told(keyed, f"memory_id={memory}") == [("administrator's read", route, 200), ("change", route, 200)]


def test_no_memory_of_a_batch_or_a_filter_is_without_a_trace(keyed: Api) -> None:
    memories = [keyed.say(f"tea {number}", key=MEMBER)[0] for number in range(30)]
    one, filtered, *_, rated = sorted(memories)
    texts = [{"memory_id": memory, "text": "coffee"} for memory in memories]
    keyed.put("/v1/batch/", {"memories": texts}, key=MEMBER)
    keyed.post("/v1/feedback/", {"memory_id": rated, "feedback": "NEGATIVE"}, key=MEMBER)
    keyed.post("/v3/memories/", {"filters": {"user_id": "alice", "memory_ids": [filtered]}})
    gone = [{"memory_id": memory} for memory in memories]
    keyed.call("DELETE", "/v1/batch/", json={"memories": gone}, key=MEMBER)
    batches = [("change", "DELETE /v1/batch/", 200), ("change", "PUT /v1/batch/", 200)]
    assert told(keyed, f"memory_id={one}") == batches
    assert told(keyed, f"memory_id={rated}") == [batches[0], ("change", "POST /v1/feedback/", 200), batches[1]]
    read = ("administrator's read", "POST /v3/memories/", 200)
    assert told(keyed, f"memory_id={filtered}") == [batches[0], read, batches[1]]


def test_the_lines_of_an_import_name_whom_they_are_about(keyed: Api) -> None:
    said = [{"position": 0, "role": "user", "content": "tea", "created_at": _LONG_AGO, "scope": {"user_id": "carol"}}]
    job = {"type": "job", "id": str(uuid.UUID(int=1)), "scope": {"user_id": "bob"}, "state": "SUCCEEDED"}
    export = [
        {"format": "forgetless-events", "version": 1},
        {**job, "created_at": _LONG_AGO, "updated_at": _LONG_AGO, "request": {}, "attempts": 0, "messages": said},
    ]
    memory = {"id": str(uuid.UUID(int=2)), "memory": "tea", "user_id": "alice", "run_id": "r"}
    refused = {"id": str(uuid.UUID(int=3)), "memory": "tea"}
    for number, lines in enumerate(([memory, refused], export), start=9):
        import_id = str(uuid.UUID(int=number))
        keyed.post("/import-jobs", {"id": import_id})
        content = "\n".join(map(json.dumps, lines))
        answer = keyed.call("POST", f"/import-jobs/{import_id}/lines?line=1&last=true", content=content)
        assert answer.json()["ended"], answer.text
    asked = keyed.call("POST", "/import-checks", content=json.dumps(memory))
    assert asked.json()["found"] == 1
    imported, checked = (("change", f"POST /import-{what}", 200) for what in ("jobs/{job_id}/lines", "checks"))
    assert told(keyed, "user_id=alice&run_id=r") == [checked, imported]
    assert told(keyed, f"memory_id={memory['id']}") == [checked, imported]
    assert told(keyed, "user_id=bob") == told(keyed, "user_id=carol") == [imported]


def test_a_search_names_whom_its_filter_names_at_any_depth(keyed: Api) -> None:
    (memory,) = keyed.say("tea", key=MEMBER)
    for more in ({"AND": [{"user_id": "alice"}]}, {"app_id": "tea"}, {"id": memory}, {"id": {"in": [memory, None]}}):
        filters = {"agent_id": "bot", **more}
        assert keyed.post("/search", {"query": "tea", "filters": filters}).status_code == 200
    search = ("administrator's read", "POST /search", 200)
    assert told(keyed, "user_id=alice&agent_id=bot") == told(keyed, "app_id=tea") == [search]
    assert told(keyed, f"memory_id={memory}") == [search] * 2


def test_a_key_is_found_by_those_to_whom_it_is_limited(keyed: Api) -> None:
    body = {"label": "reader", "role": "read", "user_ids": ["alice"], "agent_ids": ["bot", "*"], "app_ids": ["tea"]}
    assert keyed.post("/api-keys", body).status_code == 201
    for query in ("user_id=alice", "agent_id=bot", "app_id=tea"):
        assert told(keyed, query) == [("change", "POST /api-keys", 201)]


def test_entries_with_a_thousand_ids_have_documents_and_pages_that_stay_small(keyed: Api) -> None:
    named = {"user_id": [f"user-{number}" for number in range(1000)]}
    log = keyed.world.services.audit
    for number in range(60):
        entry = AuditEntry(AuditKind.CHANGE, "key", "PUT /v1/batch/", 200, f"request-{number}")
        log.note("default", entry, named, at_once=False)
    pages, cursor = [], None
    while not pages or cursor is not None:
        page = log.page("default", limit=1000, cursor=cursor)
        pages.append([entry.request_id for entry in page.entries])
        cursor = page.cursor
    assert [len(page) for page in pages] == [50, 10]
    assert sorted(one for page in pages for one in page) == sorted(f"request-{number}" for number in range(60))
    bodies = [document.body for document in keyed.world.ledger.documents("default", AUDIT, limit=100)[0]]
    assert {len(body["entries"]) for body in bodies} == {2}


def test_a_tool_is_named_with_the_status_that_a_route_would_have(new_api: NewApi) -> None:
    api = new_api(mcp=True)

    async def call(key: str, *asked: tuple[str, dict[str, Any]]) -> None:
        async with connected(api.client.app, key=key) as client:
            for name, arguments in asked:
                await client.call_tool(name, arguments)

    (memory,) = api.say("tea", key=MEMBER)
    anyio.run(call, MEMBER, ("delete_all_memories", {"user_id": "alice"}))
    anyio.run(call, MEMBER, ("delete_memory", {"memory_id": memory}), ("delete_memory", {"memory_id": memory}))
    anyio.run(call, ADMIN, ("get_memories", {"user_id": "alice"}))
    found = [(one["kind"], one["route"], one["tool"], one["status"]) for one in audit(api) if one["tool"]]
    assert found == [
        ("administrator's read", "POST /mcp", "get_memories", 200),
        ("change", "POST /mcp", "delete_memory", 200),
        ("refusal", "POST /mcp", "delete_all_memories", 403),
    ]
    assert [one["tool"] for one in audit(api, f"memory_id={memory}") if one["tool"]] == ["delete_memory"]


def test_it_is_for_administrators_of_the_tenant(keyed: Api) -> None:
    keyed.say("tea", key=MEMBER)
    for key in (MEMBER, READER, LIMITED):
        assert keyed.get("/audit", key=key).status_code == 403
    assert [one for one in audit(keyed, key=STRANGER) if one["route"] != "GET /audit"] == []
    for wrong in ("limit=0", "limit=1001", "cursor=x", "cursor=WyIyMDI2IiwiYSIsMV0"):
        assert keyed.get(f"/audit?{wrong}").status_code in (400, 422)


def test_pages_follow_each_other_within_a_document_and_beyond(keyed: Api) -> None:
    for number in range(7):
        keyed.say(f"tea {number}", key=MEMBER)
        if number == 3:
            keyed.world.services.audit.flush()
            keyed.world.clock.advance(1)
    keyed.world.services.audit.flush()
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = keyed.get(f"/audit?limit=2&cursor={cursor}" if cursor else "/audit?limit=2").json()
        seen += [one["request_id"] for one in answer["entries"] if one["route"] == "POST /memories"]
        cursor = answer["next_cursor"]
    assert len(seen) == len(set(seen)) == 7


def test_reads_and_adds_share_a_write_and_administration_has_its_own(keyed: Api) -> None:
    before = written(keyed)
    for _ in range(MOST_WAITING // 2 - 1):
        keyed.texts()
        keyed.say("tea", key=MEMBER)  # a second passes
        keyed.world.clock.advance(-1)
    assert written(keyed) == before
    keyed.texts()
    keyed.texts()
    assert written(keyed) == before + 1
    keyed.delete("/entities/user/nobody")
    assert written(keyed) == before + 2
    keyed.texts()
    keyed.world.clock.advance(6)
    keyed.texts()
    assert written(keyed) == before + 3


def test_an_outage_of_the_ledger_fails_no_request_and_loses_nothing(
    keyed: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyed.texts()  # the key of the digests is made
    log = keyed.world.services.audit
    put: Callable[..., Any] = log._ledger.put_document

    def fail(document: object) -> bool:
        raise LedgerError("gone")

    monkeypatch.setattr(log._ledger, "put_document", fail)
    log.flush()
    assert keyed.get("/memories?user_id=bob").status_code == 200
    monkeypatch.setattr(log._ledger, "put_document", put)
    assert len(told(keyed)) == 2


def test_sweep_removes_entries_after_their_time(keyed: Api) -> None:
    keyed.texts()
    keyed.world.services.audit.flush()
    keyed.world.clock.advance(AUDIT_KEPT_S - 10)
    keyed.world.services.sweep.sweep()
    assert written(keyed) == 1
    keyed.world.clock.advance(2 * 3600)
    keyed.world.services.sweep.sweep()
    assert written(keyed) == 0
