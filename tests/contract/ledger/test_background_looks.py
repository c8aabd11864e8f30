"""What background work looks at is read in portions of bytes, whatever waits, in both ledgers."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from forgetless.domain.bulk_jobs import BULK_JOB
from forgetless.domain.documents import Document
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.limits import MAX_IMPORTED_BYTES, MAX_IMPORTED_VALUES
from forgetless.domain.metadata import metadata_bytes
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger
from tests.contract.ledger.making import a_job, at, job_id
from tests.unit.heavy import MB, peak_of

MANY = 20
#: What a look may take: a portion of JOBS_AT_ONCE, which texts of four bytes a character make twice as large as Python
#: objects, one job more, and the bytes of both.
MOST = 60 * MB

#: As much as an import takes of each: texts of four bytes a character, and lists, which take 20 times their JSON.
_TEXT = "x" * (MAX_IMPORTED_BYTES - 200_000) + "\U0001f600"
COSTLY: dict[str, Any] = {
    "metadata": {"a": [[]] * (MAX_IMPORTED_VALUES - 9), "b": _TEXT},
    "categories": {"a": _TEXT},
    "prompt": "\U0001f600" * 20_000,
}
#: What an import took under earlier rules: 4 MB of JSON.
OLD: dict[str, Any] = {"zz": [[]] * 1_300_000}

LOOKS: list[Callable[[Ledger], list[Job]]] = [
    lambda ledger: ledger.stuck_jobs(now=at(99), pending_before=at(99), limit=500),
    lambda ledger: ledger.stuck_in_turn(now=at(99), pending_before=at(99), limit=100, each=50),
    lambda ledger: list(ledger.backlog(jobs=200, counted=1000).oldest_jobs),
]
NAMES = ["stuck_jobs", "stuck_in_turn", "backlog"]


def put(ledger: Ledger, name: str, request: dict[str, Any], *, second: int, tenant: str = "evil") -> None:
    ledger.put_job(a_job(name, second=second, scope=Scope(tenant, user_id=name), request=request), [])


@pytest.fixture
def costly(ledger: Ledger) -> Ledger:
    assert metadata_bytes(COSTLY["metadata"]) < MAX_IMPORTED_BYTES
    for number in range(MANY):
        put(ledger, f"costly {number}", COSTLY, second=number)
    return ledger


@pytest.mark.parametrize("look", LOOKS, ids=NAMES)
def test_no_look_holds_more_the_more_waits(costly: Ledger, look: Callable[[Ledger], list[Job]]) -> None:
    found, peak = peak_of(lambda: look(costly))
    assert found
    assert peak < MOST, f"{peak / MB:.0f} MB"


def test_a_look_at_what_waits_for_metrics_reads_no_requests(costly: Ledger) -> None:
    found = costly.backlog(jobs=200, counted=1000)
    assert (len(found.oldest_jobs), found.open_jobs) == (MANY, MANY)
    assert not any(job.request for job in found.oldest_jobs)


def test_a_job_that_is_larger_than_a_look_is_taken_alone(ledger: Ledger) -> None:
    """An earlier version has imported it."""
    for number in range(3):
        put(ledger, f"old {number}", OLD, second=number)
    for look in LOOKS[:2]:
        assert [job.request for job in look(ledger)] == [OLD]
    assert len(LOOKS[2](ledger)) == 3
    seen, last = list[str](), None
    while found := ledger.stuck_jobs(now=at(99), pending_before=at(99), limit=500, after=last):
        seen += [job.id for job in found]
        last = found[-1]
    assert seen == [job_id(f"old {number}") for number in range(3)]


def test_the_error_of_a_job_counts_too(ledger: Ledger) -> None:
    for number in range(9):
        job = a_job(f"long {number}", second=number, error="e" * 1_000_000)
        ledger.put_job(job, [])
    for look in LOOKS:
        assert len(look(ledger)) < 4


def test_a_large_job_of_one_tenant_does_not_always_leave_out_the_same_others(ledger: Ledger) -> None:
    put(ledger, "large", {"zz": "x" * 3_000_000}, second=0)
    put(ledger, "small", {}, second=1, tenant="other")
    random.seed(1)
    found = [{job.id for job in LOOKS[1](ledger)} for _ in range(40)]
    assert {job_id("large"), job_id("small")} in found
    assert all(found)


def test_stuck_jobs_go_on_after_a_job(ledger: Ledger) -> None:
    jobs = [a_job(f"j{number}", second=number // 2) for number in range(7)]
    for job in jobs:
        ledger.put_job(job, [])
    every = ledger.stuck_jobs(now=at(99), pending_before=at(99), limit=9)
    assert sorted(job.id for job in every) == sorted(job.id for job in jobs)
    for place, last in enumerate(every):
        left = ledger.stuck_jobs(now=at(99), pending_before=at(99), limit=9, after=last)
        assert left == every[place + 1 :]
        assert left[:2] == ledger.stuck_jobs(now=at(99), pending_before=at(99), limit=2, after=last)


@pytest.mark.parametrize("in_turn", [False, True])
def test_documents_that_are_due_are_read_in_portions_of_bytes(ledger: Ledger, in_turn: bool) -> None:
    for number in range(MANY):
        body = {"a": "x" * 500_000}
        tenant = f"t{number % 3}"
        assert ledger.put_document(Document(tenant, BULK_JOB, job_id(f"{number}"), body, at(0), due_at=at(number)))

    def look() -> list[Document]:
        if in_turn:
            return ledger.due_in_turn(BULK_JOB, now=at(99), limit=100, each=50)
        return ledger.due_documents(BULK_JOB, now=at(99), limit=100)

    found, peak = peak_of(look)
    assert 1 < len(found) < 9
    assert peak < 20 * MB, f"{peak / MB:.0f} MB"
    seen = set[str]()
    for _ in range(MANY):
        for document in look():
            seen.add(document.id)
            assert ledger.delete_document(document.tenant, BULK_JOB, document.id)
    assert len(seen) == MANY


def test_a_job_that_ended_is_in_no_look(ledger: Ledger) -> None:
    ledger.put_job(a_job("ended", state=JobState.FAILED), [])
    assert [look(ledger) for look in LOOKS] == [[], [], []]
