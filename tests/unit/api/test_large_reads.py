"""Requests that read much of large memories: metadata has a bound of values, and a search stops in time."""

from __future__ import annotations

import random
from typing import Any

import pytest

from forgetless.api.answer_size import TRUNCATED_HEADER
from forgetless.api.app import all_routes
from forgetless.api.routing import Route
from forgetless.domain import loaded_bytes
from forgetless.domain.errors import BusyError
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.keys import Role
from forgetless.domain.limits import MAX_METADATA_VALUES
from forgetless.domain.memory import Message, MessageRef
from forgetless.service.access.hiding_ledger import HidingLedger
from forgetless.service.reading import retrieval
from tests.unit.api.client import ADMIN, Api
from tests.unit.api.conftest import NewApi
from tests.unit.api.mcp_calls import call_tool
from tests.unit.heavy import AT
from tests.unit.service.world import ALICE, facts

_SAID: dict[str, Any] = {"messages": [{"role": "user", "content": "I like tea"}], "user_id": "alice", "infer": False}
_MANY: dict[str, Any] = {"a": [[]] * MAX_METADATA_VALUES}


@pytest.mark.parametrize("path", ["/memories", "/v1/memories/", "/v3/memories/add/"])
def test_metadata_has_a_bounded_number_of_values(api: Api, path: str) -> None:
    refused = api.post(path, {**_SAID, "metadata": _MANY})
    assert refused.status_code == 400
    assert "1,000 keys and list entries" in refused.text
    assert api.post(path, {**_SAID, "metadata": {"a": [[]] * (MAX_METADATA_VALUES - 1)}}).status_code == 200


def test_updates_may_not_add_up_to_more_values(api: Api) -> None:
    [memory] = api.say("tea")
    half = [[]] * (MAX_METADATA_VALUES // 2)
    assert api.put(f"/v1/memories/{memory}/", {"metadata": {"a": half}}).status_code == 200
    refused = api.put(f"/v1/memories/{memory}/", {"metadata": {"b": half}})
    assert (refused.status_code, "1002 keys and list entries" in refused.text) == (400, True)
    assert api.put(f"/v1/memories/{memory}/", {"metadata": {"a": None, "b": half}}).status_code == 200


def test_what_an_earlier_version_stored_may_be_sent_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    [memory] = api.say("tea")
    vector = [*range(1200)]
    with monkeypatch.context() as before:
        before.setattr("forgetless.domain.metadata.MAX_METADATA_VALUES", 5000)
        assert api.put(f"/v1/memories/{memory}/", {"metadata": {"v": vector, "a": 1}}).status_code == 200
    assert api.put(f"/v1/memories/{memory}/", {"metadata": {"v": vector, "a": 2}}).status_code == 200
    assert api.put(f"/v1/memories/{memory}/", {"metadata": {"v": vector[:1100]}}).status_code == 200
    assert api.put(f"/v1/memories/{memory}/", {"metadata": {"v": vector}}).status_code == 400


def test_a_search_that_has_read_enough_looks_no_further(new_api: NewApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api = new_api(inline=False)
    api.say(*(f"tea {number} {'x' * 6000}" for number in range(100)))
    query = {"query": "tea", "filters": {"user_id": "alice"}, "top_k": 100, "threshold": 0}
    whole = api.post("/search", query)
    assert len(whole.json()["results"]) == 100
    assert "truncated" not in whole.json()
    assert TRUNCATED_HEADER not in whole.headers
    monkeypatch.setattr("forgetless.service.reading.retrieval._READ_AT_MOST", 20)
    monkeypatch.setattr(loaded_bytes, "_ENOUGH", 200_000)
    cut = api.post("/search", query)
    assert (few := len(cut.json()["results"])) in range(20, 61)
    assert cut.json()["truncated"] is True
    assert cut.headers[TRUNCATED_HEADER] == f"{few} of {few} or more"


@pytest.mark.parametrize("path", ["/v1/memories/search/", "/v2/memories/search/", "/v3/memories/search/"])
def test_a_search_that_ends_early_says_so_in_every_dialect(
    new_api: NewApi, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    api = new_api(inline=False, mcp=True)
    api.say(*(f"tea {number} {'x' * 6000}" for number in range(100)))
    monkeypatch.setattr("forgetless.service.reading.retrieval._READ_AT_MOST", 20)
    monkeypatch.setattr(loaded_bytes, "_ENOUGH", 200_000)
    whose = {"user_id": "alice"} if path.startswith("/v1") else {"filters": {"user_id": "alice"}}
    cut = api.post(path, {"query": "tea", "top_k": 100, "threshold": 0, **whose})
    found = cut.json() if isinstance(cut.json(), list) else cut.json()["results"]
    assert cut.headers[TRUNCATED_HEADER] == f"{len(found)} of {len(found)} or more"
    assert isinstance(cut.json(), list) or cut.json()["truncated"] is True
    told = call_tool(api, "search_memories", {"query": "tea", "user_id": "alice", "limit": 100, "threshold": 0})
    assert isinstance(told, dict), told
    assert len(told["results"]) < 100
    assert told["truncated"] is True
    # Of fewer, it finds all that was asked for.
    enough = api.post(path, {"query": "tea", "top_k": 5, "threshold": 0, **whose})
    assert TRUNCATED_HEADER not in enough.headers


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_second_look_does_not_lose_what_the_first_found(
    new_api: NewApi, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Where the index shows rows that are refused, a search looks again, also when it has read enough by then."""
    api, chosen = new_api(inline=False), random.Random(seed)
    words = ["tea", "lake", "dog", "sun", "rain", "car", "tree", "book", "song", "door"]
    for user in ("alice", "bob"):
        for part in range(6):
            said = [" ".join(chosen.choices(words, k=chosen.randint(2, 9))) for _ in range(50)]
            api.say(*(f"{text} {user} {part} {number} {'x' * 5000}" for number, text in enumerate(said)), user_id=user)
    api.world.index.filters = False  # type: ignore[attr-defined]
    monkeypatch.setattr(loaded_bytes, "_ENOUGH", 200_000)
    query = {"query": "tea dog lake song", "filters": {"user_id": "alice"}, "top_k": 40, "threshold": 0}
    assert len(api.post("/search", query).json()["results"]) >= 10


def test_nobody_waits_for_a_large_read_that_waits_for_the_llm(new_api: NewApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a summary of large memories, or an add beside one, asks the LLM, others read large memories as well."""
    monkeypatch.setattr(loaded_bytes, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(loaded_bytes, "_LIGHT", 5000)
    found: list[int] = []

    def reply(_messages: object) -> str:
        found.append(api.get("/memories?user_id=alice").status_code)
        return facts("Alice likes milk")

    api = new_api(reply, inline=False)
    api.say(*(f"tea {number} {'x' * 6000}" for number in range(3)))
    assert api.post("/v1/summary/", {"filters": {"user_id": "alice"}}).status_code == 200
    assert api.post("/memories", {**_SAID, "infer": True}).status_code == 200
    assert found == [200, 200]


def test_writes_need_no_turn(new_api: NewApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api = new_api(inline=False)
    memories = api.say(*(f"tea {number} {'x' * 6000}" for number in range(3)))
    monkeypatch.setattr(loaded_bytes, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(loaded_bytes, "_LIGHT", 5000)
    with loaded_bytes.loading():
        loaded_bytes.count_loaded(b"x" * 6000)
        loaded_bytes.await_turn()
        assert api.get("/memories?user_id=alice").status_code == 503
        body = {"memories": [{"memory_id": memory, "metadata": {"a": 1}} for memory in memories]}
        assert api.put("/v1/batch/", body).status_code == 200
        assert api.delete("/entities/user/alice").status_code == 200


def test_whoever_changes_nothing_takes_the_turn_and_nobody_else() -> None:
    others = [route for route in all_routes() if not route.changes and route.method != "GET"]
    assert {route.path for route in others if route.role is not Role.READ} == {
        "/import-checks",
        "/export-jobs/{job_id}/lines",
    }
    assert not any(route.changes for route in all_routes() if route.method == "GET" or route.role is Role.READ)
    assert Route("POST", "/", lambda: None, needs=Role.ADMIN).changes  # type: ignore[arg-type, return-value]


def test_an_administrators_reads_take_the_turn(new_api: NewApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api = new_api(inline=False)
    api.say(*(f"tea {number} {'x' * 6000}" for number in range(3)))
    job = "5f0c1d5e-1111-4222-8333-944445555666"
    assert api.post("/export-jobs", {"id": job}, key=ADMIN).status_code == 200
    monkeypatch.setattr(loaded_bytes, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(loaded_bytes, "_LIGHT", 5000)
    with loaded_bytes.loading("other"):
        loaded_bytes.count_loaded(b"x" * 6000)
        loaded_bytes.await_turn()
        assert api.get("/export", key=ADMIN).status_code == 503
        assert api.post(f"/export-jobs/{job}/lines", {}, key=ADMIN).status_code == 503
    assert api.get("/export", key=ADMIN).status_code == 200
    assert api.post(f"/export-jobs/{job}/lines", {}, key=ADMIN).status_code == 200


def test_the_messages_of_an_export_count(new_api: NewApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where retention has removed everything but messages, nothing else of the export is large."""
    api = new_api(inline=False)
    job = Job("5f0c1d5e-1111-4222-8333-944445555666", ALICE, JobState.SUCCEEDED, AT, AT)
    api.world.ledger.put_jobs([(job, [Message(MessageRef(job.id, 0), ALICE, "user", "x" * 6000, AT)])])
    monkeypatch.setattr(loaded_bytes, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(loaded_bytes, "_LIGHT", 5000)
    assert api.get("/export", key=ADMIN).status_code == 200
    with loaded_bytes.loading("other"):
        loaded_bytes.count_loaded(b"x" * 6000)
        loaded_bytes.await_turn()
        ledger = HidingLedger(api.world.ledger)
        with loaded_bytes.loading("default"), pytest.raises(BusyError):
            ledger.messages_of_jobs("default", [job.id])
        assert api.get("/export", key=ADMIN).status_code == 503


def test_nobody_has_the_turn_while_a_search_waits_for_the_index(
    new_api: NewApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = new_api(inline=False)
    for user in ("alice", "bob"):
        api.say(*(f"tea {user} {number} {'x' * 6000}" for number in range(20)), user_id=user)
    api.world.index.filters = False  # type: ignore[attr-defined]
    monkeypatch.setattr(loaded_bytes, "_LIGHT", 5000)
    taken, complete = list[bool](), retrieval._complete

    def watched(*given: Any, **named: Any) -> bool:
        taken.append(loaded_bytes._turn._taken)
        return complete(*given, **named)

    monkeypatch.setattr(retrieval, "_complete", watched)
    query = {"query": "tea", "filters": {"user_id": "alice"}, "top_k": 20, "threshold": 0}
    assert len(api.post("/search", query).json()["results"]) == 20
    assert len(taken) > 1
    assert not any(taken)
