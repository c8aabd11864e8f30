"""What ends by itself: the last copies of erased text, jobs whose time is over, and what stays when a job is gone."""

from __future__ import annotations

from typing import Any

import pytest

from forgetless.domain.jobs import JobState
from forgetless.domain.memory import Message
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger
from forgetless.ports.request_ledger import IdempotencyRecord
from tests.contract.ledger.making import ANNA, a_job, a_memory, a_message, add, at, delete, job_id, update


def test_a_scrub_takes_nothing_away_but_what_was_erased(ledger: Ledger) -> None:
    kept, gone = a_memory("a"), a_memory("b")
    ledger.append(add(kept, gone))
    ledger.append([delete(gone)])
    assert ledger.scrub_erased()
    assert ledger.scrub_erased()
    assert ledger.list_memories("acme", {}, limit=9).items == (kept,)


def put(ledger: Ledger, name: str, state: JobState, *, second: int = 0, messages: int = 1, **more: Any) -> None:
    said = [a_message(name, position, second=second) for position in range(messages)]
    ledger.put_job(a_job(name, state=state, second=second, **more), said)


def jobs(ledger: Ledger) -> set[str]:
    return {job.id for job in ledger.jobs("acme", limit=99)[0]}


def test_failed_jobs_expire_with_their_messages_from_the_oldest_on(ledger: Ledger) -> None:
    for second, name in enumerate("abcd"):
        put(ledger, name, JobState.FAILED, second=second, messages=2, request={"metadata": "secret"})
    put(ledger, "waits", JobState.PENDING)
    assert ledger.expire_jobs(succeeded_before=None, failed_before=at(0), limit=9) == 0
    assert ledger.expire_jobs(succeeded_before=None, failed_before=at(3), limit=2) == 2
    assert ledger.expire_jobs(succeeded_before=None, failed_before=at(3), limit=9) == 1
    assert jobs(ledger) == {job_id("d"), job_id("waits")}
    assert [bool(ledger.job_messages("acme", job_id(name))) for name in "abcd"] == [False, False, False, True]
    assert ledger.job("acme", job_id("a")) is None
    assert len(ledger.recent_messages(ANNA, since="", before=at(9), limit=99)) == 3


def test_a_failed_job_that_was_started_again_does_not_expire(ledger: Ledger) -> None:
    put(ledger, "a", JobState.FAILED)
    failed = ledger.job("acme", job_id("a"))
    assert failed is not None
    assert ledger.update_job(a_job("a", second=1), held=failed)
    assert ledger.expire_jobs(succeeded_before=at(9), failed_before=at(9), limit=9) == 0
    assert jobs(ledger) == {job_id("a")}


def test_none_keeps_all_jobs(ledger: Ledger) -> None:
    put(ledger, "a", JobState.FAILED)
    put(ledger, "b", JobState.SUCCEEDED)
    assert ledger.expire_jobs(succeeded_before=None, failed_before=None, limit=9) == 0
    assert len(jobs(ledger)) == 2


def test_a_job_of_an_expired_id_is_new(ledger: Ledger) -> None:
    put(ledger, "a", JobState.FAILED)
    ledger.expire_jobs(succeeded_before=None, failed_before=at(9), limit=9)
    again = a_job("a", second=20)
    assert ledger.put_job(again, [a_message("a", second=20)]) == again
    assert ledger.jobs("acme", limit=9) == ([again], None)
    assert len(ledger.job_messages("acme", job_id("a"))) == 1


def without_job(ledger: Ledger, limit: int) -> list[Message]:
    found: list[Message] = []
    cursor = None
    for _ in range(20):
        page, cursor = ledger.messages_without_job("acme", limit=limit, cursor=cursor)
        assert len(page) <= limit
        found += page
        if cursor is None:
            return found
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize("limit", [1, 2, 9])
def test_messages_whose_job_does_not_exist_are_found_in_pages(ledger: Ledger, limit: int) -> None:
    eve = Scope("acme", user_id="eve", run_id="r")
    put(ledger, "with a job", JobState.SUCCEEDED, messages=3)
    orphans = [a_message("a"), a_message("b", scope=eve), a_message("c", second=1), a_message("d", scope=Scope("acme"))]
    more = [a_message("a", 1), a_message("b", 1, scope=eve), a_message("x", scope=Scope("other"))]
    ledger.append([], messages=[*orphans, *more])
    assert sorted(without_job(ledger, limit), key=str) == sorted(orphans, key=str)


def test_a_memory_keeps_everything_when_its_job_and_its_message_are_gone(ledger: Ledger) -> None:
    said = a_message("a")
    memory = a_memory("a", context=(said.ref,), sources=(said.ref,))
    ledger.append(add(memory), completing=a_job("a", state=JobState.FAILED), messages=[said])
    assert ledger.expire_jobs(succeeded_before=None, failed_before=at(9), limit=9) == 1
    assert ledger.read("acme", [memory.id]) == {memory.id: memory}
    assert ledger.history("acme", memory.id) == add(memory)
    assert ledger.read_messages("acme", memory.sources) == {}
    ledger.erase_messages("acme", memory.sources, at=at(9))
    assert ledger.read("acme", [memory.id])[memory.id].context == ()
    assert ledger.faults(seconds=9, thorough=True).found == ()


def test_tenants_that_may_have_expiring_memories_are_known(ledger: Ledger) -> None:
    assert ledger.expiring_tenants(limit=9) == []
    ledger.append(add(a_memory("a", expiration_date="2026-01-01")))
    changing = a_memory("b", scope=Scope("other", user_id="eve"))
    ledger.append(add(changing))
    ledger.append([update(changing, expiration_date="2027-01-01")])
    assert set(ledger.expiring_tenants(limit=9)) == {"acme", "other"}
    assert len(ledger.expiring_tenants(limit=1)) == 1


def test_records_whose_own_time_is_over_are_gone_and_others_stay(ledger: Ledger) -> None:
    runs = IdempotencyRecord("f", at(1))
    for name, ends in (("over", at(2)), ("kept", at(9))):
        ledger.begin_request("acme", name, runs, now=at(0), expires_at=ends)
        assert ledger.acquire_lease(name, owner="me", now=at(0), until=ends)
    assert ledger.expire_records(before=at(5), limit=9) in {0, 2}  # TTL removes them where the ledger has it
    assert ledger.expire_records(before=at(5), limit=9) == 0
    assert ledger.begin_request("acme", "over", runs, now=at(5), expires_at=at(9)) is None
    assert ledger.begin_request("acme", "kept", IdempotencyRecord("g", at(9)), now=at(5), expires_at=at(9)) == runs
    assert ledger.acquire_lease("over", owner="another", now=at(5), until=at(9))
    assert not ledger.acquire_lease("kept", owner="another", now=at(5), until=at(9))
