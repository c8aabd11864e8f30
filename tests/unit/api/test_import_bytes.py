"""Imports, repeats of adds and batches of deletions hold no more of what is stored the more they name."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from forgetless.domain.jobs import Job, JobState, job_id_for
from forgetless.domain.limits import MAX_IMPORTED_RESULTS
from forgetless.domain.memory import Event, EventKind, memory_id
from forgetless.service import history_portions
from forgetless.service.requests import AddRequest, IncomingMessage
from forgetless.service.transfer import import_jobs
from tests.unit.api.client import Api
from tests.unit.heavy import AT, MB, a_heavy_memory, heavy_history, peak_of
from tests.unit.service.world import ALICE

JOB = "4f1c0a52-7c11-4a51-9a39-2f6f3f3b6a01"
ID = "5f1c0a52-7c11-4a51-9a39-2f6f3f3b6a02"
HEADER = {"format": "forgetless-events", "version": 1}
#: Together, what these memories or versions store is 120 MB of Python objects.
MANY = 70
MOST = 40 * MB


def a_job_line(**given: Any) -> dict[str, Any]:
    message = {"position": 0, "role": "user", "content": "hi", "created_at": AT}
    times = {"created_at": AT, "updated_at": AT, "completed_at": AT}
    line = {"type": "job", "id": JOB, "scope": {"user_id": "u"}, "state": "SUCCEEDED", "attempts": 1, **times}
    return {**line, "messages": [message], **given}


def an_event_line(event: Event) -> dict[str, Any]:
    one = event.memory
    memory = {"id": one.id, "version": one.version, "scope": {"user_id": "alice"}, "text": "y", "created_at": AT}
    more = {"updated_at": one.updated_at, "job_id": one.job_id, "event_id": one.event_id}
    return {"type": "event", "kind": str(event.kind), "memory": {**memory, **more}}


def lines(*records: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in (HEADER, *records))


def imported(api: Api, *records: dict[str, Any]) -> tuple[dict[str, Any], int]:
    assert api.post("/import-jobs", {"id": ID}).status_code == 200
    content = lines(*records)
    answer, peak = peak_of(lambda: api.call("POST", f"/import-jobs/{ID}/lines", params={"line": 1}, content=content))
    assert answer.status_code == 200, answer.text
    return answer.json(), peak


@pytest.fixture
def ids(api: Api) -> list[str]:
    """The ids of heavy memories."""
    memories = [a_heavy_memory(f"{number}") for number in range(MANY)]
    api.world.ledger.append([Event(EventKind.ADD, memory) for memory in memories])
    return [memory.id for memory in memories]


def test_a_job_whose_results_name_heavy_memories_reads_none(api: Api, ids: list[str]) -> None:
    report, peak = imported(api, a_job_line(results=[{"id": id_} for id_ in ids]))
    assert (report["jobs"], report["refused"]) == (1, 0)
    assert peak < MOST, f"{peak / MB:.0f} MB"
    assert api.world.ledger.job_messages("default", JOB)


def test_messages_of_a_job_of_which_a_memory_was_deleted_stay_out(api: Api, ids: list[str]) -> None:
    assert api.delete(f"/memories/{ids[3]}").status_code == 200
    report, _ = imported(api, a_job_line(results=[{"id": id_} for id_ in ids[:9]]))
    assert report["jobs"] == 1
    assert api.world.ledger.job_messages("default", JOB) == []


def test_a_check_reads_none_of_the_memories_that_its_lines_name(api: Api, ids: list[str]) -> None:
    assert api.delete(f"/memories/{ids[3]}").status_code == 200
    content = b"".join(json.dumps({"id": id_, "memory": "m", "user_id": "u"}).encode() + b"\n" for id_ in [*ids, JOB])
    answer, peak = peak_of(lambda: api.call("POST", "/import-checks", content=content))
    assert (answer.json()["memories"], answer.json()["found"]) == (MANY + 1, MANY - 1)
    assert peak < MOST, f"{peak / MB:.0f} MB"


def test_lines_of_many_heavy_memories_read_one_after_the_other(api: Api, ids: list[str]) -> None:
    held = api.world.ledger.read("default", ids)
    records = [an_event_line(Event(EventKind.ADD, memory)) for memory in held.values()]
    del held
    report, peak = imported(api, *records)
    assert (report["events"], report["refused"]) == (MANY, 0)
    assert peak < MOST, f"{peak / MB:.0f} MB"


@pytest.mark.parametrize("version", [1, 30, MANY])
def test_a_line_reads_no_more_of_a_long_history_than_its_version(api: Api, version: int) -> None:
    history = heavy_history(MANY)
    api.world.ledger.append(history)
    record = an_event_line(history[version - 1])
    del history
    report, peak = imported(api, record)
    assert (report["events"], report["refused"]) == (1, 0)
    assert peak < MOST, f"{peak / MB:.0f} MB"


def test_all_lines_of_a_long_history_are_compared_in_portions(api: Api) -> None:
    history = heavy_history(MANY)
    api.world.ledger.append(history)
    records = [an_event_line(event) for event in history]
    foreign = {**records[-2], "memory": {**records[-2]["memory"], "event_id": "of another history"}}
    report, peak = imported(api, *records[1:-2], foreign)
    assert (report["refused"], len(report["problems"])) == (1, 1)
    assert "another history" in report["problems"][0]
    assert peak - 2 * MANY * MB < MOST, f"{peak / MB:.0f} MB"  # the history itself is held by this test


def test_the_next_version_of_a_memory_is_appended_behind_its_last_one(api: Api) -> None:
    first, second, third = heavy_history(3)
    api.world.ledger.append([first, second])
    report, _ = imported(api, an_event_line(third))
    assert (report["events"], report["refused"]) == (1, 0)
    last = api.world.ledger.history("default", first.memory.id)[-1].memory
    assert (last.version, last.text) == (3, "y")
    assert last.history_bytes == second.memory.history_bytes + second.memory.stored_bytes


def test_a_version_before_which_one_is_missing_is_refused(api: Api) -> None:
    first, _, third = heavy_history(3)
    api.world.ledger.append([first])
    report, _ = imported(api, an_event_line(third))
    assert (report["events"], report["refused"]) == (0, 1)
    assert "version 2 is missing" in report["problems"][0]


def test_more_results_than_an_add_can_have_are_refused(api: Api) -> None:
    many = [{"id": "m"}] * (MAX_IMPORTED_RESULTS + 1)
    report, _ = imported(api, a_job_line(results=many))
    assert (report["jobs"], report["refused"]) == (0, 1)
    assert report["problems"] == [
        "line 2: job.results: expected a list of at most 20,000 objects, each with the id of a memory"
    ]


def test_the_clock_is_looked_at_between_long_lines(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_jobs, "PORTION_S", -1.0)
    results = [{"id": "m"}] * 15_000
    records = [
        a_job_line(id=f"4f1c0a52-7c11-4a51-9a39-2f6f3f3b6a{number}", results=results) for number in range(10, 19)
    ]
    report, _ = imported(api, *records)
    assert 1 <= report["jobs"] < 9
    assert report["line"] == report["jobs"] + 2


def test_a_repeat_of_an_add_with_many_heavy_results_reads_them_in_portions(api: Api, ids: list[str]) -> None:
    job = job_id_for("default", "k")
    results = tuple({"id": id_, "event": "ADD"} for id_ in ids)
    api.world.ledger.put_jobs([(Job(job, ALICE, JobState.SUCCEEDED, AT, AT, results=results), [])])
    request = AddRequest(ALICE, (IncomingMessage("user", "hi"),), infer=False, idempotency_key="k")
    outcome, peak = peak_of(lambda: api.world.services.add.add(request))
    assert [one.id for one in outcome.results] == ids
    assert peak < MOST, f"{peak / MB:.0f} MB"


def test_a_repeat_reads_no_more_texts_than_an_answer_can_hold(api: Api) -> None:
    text = "x" * 1_000_000
    memories = [a_heavy_memory("long", place, text=text) for place in range(20)]
    api.world.ledger.append([Event(EventKind.ADD, memory) for memory in memories], unique=False)
    results = tuple({"id": memory.id, "event": "ADD"} for memory in memories)
    job = Job(job_id_for("default", "k"), ALICE, JobState.SUCCEEDED, AT, AT, results=results)
    api.world.ledger.put_jobs([(job, [])])
    request = AddRequest(ALICE, (IncomingMessage("user", "hi"),), infer=False, idempotency_key="k")
    assert 5 < len(api.world.services.add.add(request).results) < 9


def test_an_add_whose_record_is_gone_reads_none_of_its_memories(api: Api) -> None:
    job = job_id_for("default", "k")
    for place in range(MANY):
        memory = replace(a_heavy_memory(), id=memory_id(job, place), job_id=job, position=place)
        api.world.ledger.append([Event(EventKind.ADD, memory)])
    said = tuple(IncomingMessage("user", f"hi {place}") for place in range(MANY))
    request = AddRequest(ALICE, said, infer=False, idempotency_key="k")
    outcome, peak = peak_of(lambda: api.world.services.add.add(request))
    assert [one.id for one in outcome.results] == [memory_id(job, place) for place in range(MANY)]
    assert peak < MOST, f"{peak / MB:.0f} MB"


def test_a_batch_of_deletions_reads_its_memories_in_portions(
    api: Api, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_portions, "HISTORIES_AT_ONCE", 512 * 1024)
    batch = {"memories": [{"memory_id": id_} for id_ in ids]}
    answer, peak = peak_of(lambda: api.call("DELETE", "/v1/batch/", json=batch))
    assert answer.status_code == 200, answer.text
    assert peak < 2 * MOST, f"{peak / MB:.0f} MB"
    assert all(api.world.ledger.known_ids("default", ids).values())
