"""No request holds much more than a portion of what is stored, however much memory that takes when it is read."""

from __future__ import annotations

from typing import Any

import pytest

from forgetless.api import history_answer
from forgetless.api.history_answer import NEXT_VERSION_HEADER
from forgetless.api.platform import event_texts
from forgetless.domain.documents import Document
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.domain.schema_exports import EXPORT
from tests.unit.api.client import Api
from tests.unit.heavy import AT, HEAVY, MB, a_heavy_memory, heavy_history, peak_of

#: Together, what these memories or versions store is 120 MB of Python objects.
MANY = 70
#: What a request may take: three portions, and its answer.
MOST = 60 * MB


@pytest.fixture
def changed(api: Api) -> str:
    """A memory with a heavy history."""
    events = heavy_history(MANY)
    api.world.ledger.append(events)
    return events[0].memory.id


HISTORIES = ["/memories/{}/history", "/v1/memories/{}/history/"]


@pytest.mark.parametrize("path", HISTORIES)
def test_a_history_is_read_in_portions(api: Api, changed: str, path: str) -> None:
    versions, start = list[int](), 1
    while start:
        given = {"from_version": start}
        answer, peak = peak_of(lambda: api.get(path.format(changed), params=given))  # noqa: B023 - it is called here
        assert peak < MOST, f"{peak / MB:.0f} MB"
        versions += [item["version"] for item in answer.json()]
        start = int(answer.headers.get(NEXT_VERSION_HEADER, 0))
    assert versions == list(range(1, MANY + 1))


@pytest.mark.parametrize("path", HISTORIES)
def test_a_history_goes_on_in_the_next_request_after_so_many_portions(
    api: Api, changed: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_answer, "_MOST_PORTIONS", 2)
    found: list[dict[str, Any]] = []
    start, answers = 1, 0
    while start:
        answer = api.get(path.format(changed), params={"from_version": start})
        shown = answer.json()
        found += shown
        start, answers = int(answer.headers.get(NEXT_VERSION_HEADER, 0)), answers + 1
        if start:
            assert answer.headers["X-Forgetless-Truncated"] == f"{len(shown)} of {len(shown) + MANY - len(found)}"
    assert answers > 1
    assert [item["version"] for item in found] == list(range(1, MANY + 1))
    assert [item["old_memory"] for item in found[1:]] == [item["new_memory"] for item in found[:-1]]
    assert api.get(path.format(changed), params={"from_version": MANY + 9}).json() == []


def added(api: Api, *adds: list[Memory]) -> list[str]:
    """The ids of jobs that have added these memories, the newest first."""
    for number, memories in enumerate(adds):
        api.world.ledger.append([Event(EventKind.ADD, memory) for memory in memories])
        results = tuple({"id": memory.id, "event": "ADD"} for memory in memories)
        at = f"2026-01-01T00:{number:02}:00.000000+00:00"
        job = Job(memories[0].job_id, memories[0].scope, JobState.SUCCEEDED, at, at, results=results)
        api.world.ledger.put_jobs([(job, [])])
    return [memories[0].job_id for memories in reversed(adds)]


@pytest.fixture
def adds(api: Api) -> list[str]:
    """The ids of adds of heavy memories, the newest first."""
    return added(api, *[[a_heavy_memory(f"{job}", place) for place in range(7)] for job in range(MANY // 7)])


def texts(event: dict[str, Any]) -> list[str | None]:
    return [result["memory"] for result in event["results"]]


def test_a_list_of_events_reads_the_texts_of_its_memories_in_portions(api: Api, adds: list[str]) -> None:
    answer, peak = peak_of(lambda: api.get("/v1/events/", params={"page_size": 100}))
    assert [event["id"] for event in answer.json()["results"]] == adds
    assert all(texts(event) == ["m"] * 7 for event in answer.json()["results"])
    assert peak < MOST, f"{peak / MB:.0f} MB"


def test_a_page_of_events_ends_after_so_many_portions(
    api: Api, adds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_texts, "_MOST_PORTIONS", 2)
    found: list[str] = []
    cursor, pages = "", 0
    while cursor is not None:
        page = api.get("/v1/events/", params={"page_size": 100, **({"cursor": cursor} if cursor else {})}).json()
        assert all(texts(event) == ["m"] * 7 for event in page["results"])
        found += [event["id"] for event in page["results"]]
        cursor, pages = page.get("next_cursor"), pages + 1
    assert found == adds
    assert 3 < pages < len(adds)
    second = api.get("/v1/events/", params={"page": 1, "page_size": 100}).json()["results"]
    assert [event["id"] for event in second] == adds[: len(second)]


def test_the_first_event_of_a_page_is_complete_however_much_its_memories_store(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_texts, "_MOST_PORTIONS", 1)
    (id_,) = added(api, [a_heavy_memory("one", place) for place in range(30)])
    (event,) = api.get("/v1/events/").json()["results"]
    assert (event["id"], texts(event)) == (id_, ["m"] * 30)
    assert texts(api.get(f"/v1/event/{id_}/").json()) == ["m"] * 30


def test_jobs_are_looked_at_in_portions(api: Api) -> None:
    scope = heavy_history(1)[0].memory.scope
    jobs = [Job(f"job {number}", scope, JobState.PENDING, AT, AT, request={"metadata": HEAVY}) for number in range(150)]
    api.world.ledger.put_jobs([(job, []) for job in jobs])
    answer, peak = peak_of(lambda: api.get("/v1/events/", params={"status": "FAILED"}))
    assert answer.json()["results"] == []
    assert peak < 150 * MB, f"{peak / MB:.0f} MB of 255 MB"


def test_an_event_reads_its_memories_in_portions(api: Api) -> None:
    (id_,) = added(api, [a_heavy_memory("one", place) for place in range(MANY)])
    answer, peak = peak_of(lambda: api.get(f"/v1/event/{id_}/"))
    assert texts(answer.json()) == ["m"] * MANY
    assert peak < MOST, f"{peak / MB:.0f} MB"


def test_of_texts_that_no_answer_can_hold_only_the_beginnings_are_kept(api: Api) -> None:
    (id_,) = added(api, [a_heavy_memory("one", place, text=f"{place:03}" * 200_000) for place in range(100)])
    answer, peak = peak_of(lambda: api.get(f"/v1/event/{id_}/"))
    assert texts(answer.json()) == [f"{place:03}" * 100 for place in range(100)]
    assert peak < MOST, f"{peak / MB:.0f} MB"
    answer, peak = peak_of(lambda: api.get("/v1/events/"))
    assert texts(answer.json()["results"][0])[0] == ("000" * 334)[:1000]
    assert peak < MOST, f"{peak / MB:.0f} MB"


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_batch_is_checked_in_portions(api: Api, method: str) -> None:
    memories = [a_heavy_memory("one", place) for place in range(MANY)]
    added(api, memories)
    items = [{"memory_id": memory.id, **({"text": "n"} if method == "PUT" else {})} for memory in memories]
    items.append({**items[0], "memory_id": heavy_history(1)[0].memory.id})  # which is unknown
    answer, peak = peak_of(lambda: api.call(method, "/v1/batch/", json={"memories": items}))
    assert answer.status_code == 404, answer.text
    assert peak < MOST, f"{peak / MB:.0f} MB"


def test_an_export_is_found_by_its_filters_without_reading_all_at_once(api: Api) -> None:
    for number in range(MANY):
        body = {"schema": HEAVY, "filters": {"user_id": f"u{number}"}, "instructions": None}
        assert api.world.ledger.put_document(Document("default", EXPORT, f"{number:03}", body, AT))
    answer, peak = peak_of(lambda: api.post("/v1/exports/get/", {"filters": {"user_id": "nobody"}}))
    assert answer.status_code == 404
    assert peak < MOST, f"{peak / MB:.0f} MB"
    found = api.post("/v1/exports/get/", {"filters": {"user_id": "u0"}})
    assert found.status_code == 200, "the oldest"


def test_the_values_of_a_schema_are_bounded(api: Api) -> None:
    for schema, status in (({"a": [[]] * 4990}, 201), ({"a": [[]] * 5000}, 400)):
        answer = api.post("/v1/exports/", {"schema": schema, "filters": {"user_id": "alice"}})
        assert answer.status_code == status, answer.text
    assert "schema: it has more than 5000 keys and list entries together" in answer.text
