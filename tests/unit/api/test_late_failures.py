"""Requests that fail after they have changed something: what was done counts, and stands in the audit list."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Container, Sequence
from typing import Any

import pytest

from forgetless.domain.errors import EmbedderError, VersionConflictError
from forgetless.domain.limits import RequestLimits
from forgetless.domain.memory import Event
from forgetless.service.services import Services
from tests.unit.api.client import MEMBER, Api
from tests.unit.api.conftest import NewApi
from tests.unit.api.test_audit import told
from tests.unit.api.test_import_quotas import an_add, put, stored
from tests.unit.api.test_quotas import figures, limit, supersede
from tests.unit.service.world import facts

_BATCH = "/v1/batch/"


def many(api: Api, number: int, **last: Any) -> list[str]:
    """The ids of so many memories; the last one has these fields."""
    ids = [id_ for _ in range(number // 100) for id_ in api.say(*(f"fact {place}" for place in range(100)))]
    body = {"messages": [{"role": "user", "content": "the last one"}], "user_id": "alice", "infer": False}
    answer = api.post("/v1/memories/", {**body, "async_mode": False, **last})
    assert answer.status_code == 200, answer.text
    return [*ids, answer.json()[0]["id"]]


def changed(api: Api) -> int:
    return sum(text.startswith("changed") for text in api.texts("user_id=alice&top_k=1000"))


def update(api: Api, ids: Sequence[str], **options: Any) -> int:
    body = {"memories": [{"memory_id": id_, "text": f"changed {place}"} for place, id_ in enumerate(ids)]}
    return api.put(_BATCH, body, key=MEMBER, **options).status_code


def before_append(api: Api, monkeypatch: pytest.MonkeyPatch, numbers: Container[int], do: Callable[[], object]) -> None:
    """Do something, as another request would, before the ledger takes the appends with these numbers."""
    append, calls = api.world.ledger.append, iter(range(1, 1000))

    def appending(events: Sequence[Event], **options: Any) -> None:
        if next(calls) in numbers:
            do()
        append(events, **options)

    monkeypatch.setattr(api.world.ledger, "append", appending)


def elsewhere(do: Callable[[], object]) -> None:
    """Do something in a context that is not the request's."""
    thread = threading.Thread(target=do)
    thread.start()
    thread.join()


def test_a_batch_with_a_memory_that_cannot_change_changes_none(api: Api) -> None:
    ids = many(api, 200, immutable=True)
    assert update(api, ids) == 400
    assert changed(api) == 0
    assert figures(api).get("updates", 0) == 0
    assert ("change", f"PUT {_BATCH}", 400) not in told(api, "limit=1000")
    assert update(api, ids[:-1]) == 200


def test_a_batch_with_a_memory_that_has_no_room_changes_none(api: Api) -> None:
    ids = many(api, 200, metadata={"a": "x" * 20_000})
    api.world.services = Services(api.world.services._ports, limits=RequestLimits(history_bytes=20_000))
    assert update(api, ids) == 400
    assert changed(api) == 0
    assert update(api, ids[:-1]) == 200


def test_a_memory_that_a_batch_names_in_two_portions_gets_one_version(api: Api) -> None:
    ids = many(api, 200)
    assert update(api, [*ids, ids[0]]) == 200
    assert api.world.ledger.read("default", ids[:1])[ids[0]].version == 2
    assert figures(api)["updates"] == 201


def test_a_batch_that_is_stopped_counts_what_it_has_done_and_stands_in_the_audit_list(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = many(api, 200)
    delete = api.world.services.changes.delete
    before_append(api, monkeypatch, [2], lambda: elsewhere(lambda: delete("default", ids[-1])))
    again = {"headers": {"Idempotency-Key": "one"}}
    assert update(api, ids, **again) == 404
    assert (changed(api), figures(api)["updates"]) == (200, 200)
    assert told(api, f"memory_id={ids[0]}") == [("change", f"PUT {_BATCH}", 404)]
    assert update(api, ids[:-1], headers={"Idempotency-Key": "two"}) == 200
    assert figures(api)["updates"] == 400


def test_a_batch_that_goes_on_after_a_failure_counts_each_memory_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = many(api, 200)

    def fail() -> None:
        raise EmbedderError("gone")

    before_append(api, monkeypatch, [2], fail)
    again = {"headers": {"Idempotency-Key": "one"}}
    assert update(api, ids, **again) == 503
    assert figures(api)["updates"] == 200
    assert update(api, ids, **again) == 200
    assert (changed(api), figures(api)["updates"]) == (201, 201)


def test_an_update_that_is_stored_counts_although_its_row_fails(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    (id_,) = api.say("tea")

    def fail(*_: object, **__: object) -> None:
        raise EmbedderError("gone")

    monkeypatch.setattr(api.world.services.changes._indexer, "write", fail)
    assert api.put(f"/memories/{id_}", {"text": "coffee"}).status_code == 503
    assert api.world.ledger.read("default", [id_])[id_].text == "coffee"
    assert figures(api)["updates"] == 1


@pytest.mark.parametrize("what", ["a memory", "an add that has ended"])
def test_an_import_that_ends_at_a_broken_line_stands_in_the_audit_list(api: Api, what: str) -> None:
    job = str(uuid.uuid4())
    assert api.post("/import-jobs", {"id": job, "file": "m.jsonl"}).status_code == 200
    memory = {"id": str(uuid.uuid4()), "memory": "tea", "user_id": "alice"}
    header = {"format": "forgetless-events", "version": 1}
    good = "\n".join(map(json.dumps, [memory] if what == "a memory" else [header, an_add(0, state="SUCCEEDED")]))
    lines = f"/import-jobs/{job}/lines"
    assert api.call("POST", f"{lines}?line=1", content=f"{good}\n{{broken\n").status_code == 400
    assert api.texts() == ["tea"] if what == "a memory" else stored(api)[0]
    assert api.call("POST", f"{lines}?line=1", content=good).status_code == 409, "it has failed, and stores nothing"
    assert told(api, "kind=change") == [
        ("change", "POST /import-jobs/{job_id}/lines", 400),
        ("change", "POST /import-jobs", 200),
    ]


def test_an_import_that_a_quota_stops_stands_in_the_audit_list(api: Api) -> None:
    limit(api, adds_per_day=1)
    assert put(api, an_add(0), an_add(1)).status_code == 429
    assert stored(api)[:2] == [True, False]
    assert put(api, an_add(1), again=True).status_code == 429, "this one stores nothing"
    lines = [one for one in told(api, "kind=change") if one[1] == "POST /import-jobs/{job_id}/lines"]
    assert lines == [("change", "POST /import-jobs/{job_id}/lines", 429)]


def test_an_erasure_that_answers_404_stands_in_the_audit_list(new_api: NewApi) -> None:
    api = new_api(lambda _messages: facts("Alice likes tea"))
    waiting = {"messages": [{"role": "user", "content": "I like tea"}], "user_id": "alice/"}
    assert api.post("/v3/memories/add/", waiting).status_code == 200
    route = "DELETE /entities/{entity_type}/{entity_id}"
    assert api.delete("/entities/user/alice/").status_code == 404
    assert api.get("/memories/nothing-is-deleted-here").status_code == 200
    assert told(api, "user_id=alice/&kind=change") == [
        ("change", route, 404),
        ("change", "POST /v3/memories/add/", 200),
    ]


def test_linked_deletions_that_end_in_a_conflict_stand_in_the_audit_list(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = many(api, 200)
    for id_ in ids[:-1]:
        supersede(api, id_, ids[-1])

    def conflict() -> None:
        raise VersionConflictError("changed")

    before_append(api, monkeypatch, range(2, 1000), conflict)
    assert api.delete(f"/v1/memories/{ids[-1]}/?delete_linked=true").status_code == 409
    found = api.world.ledger.read("default", ids)
    assert sum(memory.deleted for memory in found.values()) == 200
    assert told(api, f"memory_id={ids[-1]}") == [("change", "DELETE /v1/memories/{memory_id}/", 409)]


def test_a_quota_of_memories_has_room_after_a_deletion_that_fails_later(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(api, stored_memories=1)
    ids = many(api, 0)
    said = {"messages": [{"role": "user", "content": "tea"}], "user_id": "alice", "infer": False}
    assert api.post("/memories", said).status_code == 413

    def fail(*_: object, **__: object) -> None:
        raise EmbedderError("gone")

    monkeypatch.setattr(api.world.services.changes._eraser._indexer, "write", fail)
    assert api.delete(f"/memories/{ids[0]}").status_code == 503
    monkeypatch.undo()
    assert api.post("/memories", said).status_code == 200
