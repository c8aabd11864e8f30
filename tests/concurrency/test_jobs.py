"""Jobs and leases under races: each job has one worker and one end, and an ended job stays ended."""

from __future__ import annotations

from dataclasses import replace

from forgetless.domain.errors import LeaseLostError
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.scope import Scope
from forgetless.domain.slots import Slots
from forgetless.ports.ledger import Ledger
from tests.concurrency.arena import Arena
from tests.contract.ledger.making import a_job, a_memory, a_message, add, at, job_id

A = job_id("a")


def a_round_s_job(name: str) -> Job:
    return a_job("a", scope=Scope(name, user_id="anna"))


def _put(ledger: Ledger, number: int, name: str) -> str:
    job = replace(a_round_s_job(name), request={"by": number})
    standing = ledger.put_job(job, [a_message("a", number, scope=job.scope)])
    return str(standing.request["by"])


def test_of_equal_jobs_one_stands_with_its_own_messages(arena: Arena) -> None:
    for name in arena.rounds(sqlite=20, dynamodb=3):
        [standing] = set(arena.race(_put, name))
        job = arena.ledger.job(name, A)
        assert job is not None
        assert (str(job.request["by"]), arena.ledger.jobs(name, limit=9)) == (standing, ([job], None))
        assert [str(message.ref.position) for message in arena.ledger.job_messages(name, A)] == [standing]


def _accept(ledger: Ledger, number: int, name: str) -> str | None:
    slots = Slots(name, 1, f"{number}", now=at(0), until=at(9))
    job = a_job(f"{number}", scope=Scope(name, user_id="anna"))
    return ledger.accept_job(job, [a_message(f"{number}", scope=job.scope)], slots).slot


def test_one_of_those_who_come_at_once_gets_the_last_slot(arena: Arena) -> None:
    for name in arena.rounds(sqlite=10, dynamodb=2):
        slots = arena.race(_accept, name)
        assert len(arena.ledger.jobs(name, limit=9)[0]) == len(slots), "all are accepted"
        assert sum(slot is not None for slot in slots) == 1


def _claim(ledger: Ledger, number: int, name: str) -> bool:
    return ledger.claim_job(name, A, owner=f"{number}", now=at(10), until=at(20)) is not None


def test_a_job_that_waits_or_was_left_has_one_worker(arena: Arena) -> None:
    for name in arena.rounds(sqlite=20, dynamodb=4):
        arena.ledger.put_job(a_round_s_job(name), [])
        if arena.seed % 2:
            arena.ledger.claim_job(name, A, owner="who died", now=at(0), until=at(10))
        winners = arena.race(_claim, name)
        job = arena.ledger.job(name, A)
        assert job is not None
        assert (winners.count(True), job.lease_owner, job.attempts) == (1, f"{winners.index(True)}", 1 + arena.seed % 2)


def _bring_back_finish_or_claim(ledger: Ledger, number: int, name: str, seen: Job) -> str:
    """What sweep, the late worker and the next worker do with a job whose claim has expired."""
    if number == 0:
        waiting = replace(seen, state=JobState.PENDING, updated_at=at(11), lease_owner=None, lease_until=None)
        return "brought back" if ledger.update_job(waiting, held=seen) else ""
    if number == 1:
        memory = a_memory("a", scope=seen.scope, text="of the late worker")
        done = replace(seen, state=JobState.SUCCEEDED, updated_at=at(12))
        try:
            ledger.append(add(memory), completing=done)
        except LeaseLostError:
            return ""
        return "finished"
    return "claimed" if ledger.claim_job(name, A, owner="next", now=at(13), until=at(20)) else ""


def test_a_job_that_ends_while_it_is_brought_back_stays_ended(arena: Arena) -> None:
    for name in arena.rounds(sqlite=30, dynamodb=7):
        arena.ledger.put_job(a_round_s_job(name), [])
        seen = arena.ledger.claim_job(name, A, owner="late", now=at(0), until=at(10))
        told = set(arena.race(_bring_back_finish_or_claim, name, seen)) - {""}
        job = arena.ledger.job(name, A)
        assert job is not None
        # Either it ended, or it waits or runs again: a memory only where it ended.
        assert told in ({"finished"}, {"brought back"}, {"claimed"}, {"brought back", "claimed"})
        assert ("finished" in told) == (job.state is JobState.SUCCEEDED)
        assert len(arena.ledger.list_memories(name, {}, limit=9).items) == int("finished" in told)
        assert ("claimed" in told) == (job.lease_owner == "next")
        assert arena.ledger.stuck_jobs(now=at(15), pending_before=at(99), limit=9)[:1] == (
            [job] if job.state is JobState.PENDING else []
        )
        arena.ledger.update_job(replace(job, state=JobState.FAILED), held=job)


def _move(ledger: Ledger, number: int, name: str, held: Job) -> bool:
    return ledger.update_job(replace(held, updated_at=at(30 + number), error=f"{number}"), held=held)


def test_of_updates_of_one_state_one_is_taken(arena: Arena) -> None:
    for name in arena.rounds(sqlite=20, dynamodb=4):
        job = arena.ledger.put_job(replace(a_round_s_job(name), state=JobState.FAILED), [])
        taken = arena.race(_move, name, job)
        found = arena.ledger.job(name, A)
        assert found is not None
        assert (taken.count(True), found.error) == (1, f"{taken.index(True)}")


def _lease(ledger: Ledger, number: int, name: str) -> tuple[bool, bool]:
    """Take it when it is free, give up what may not be ours, and look once more."""
    mine = ledger.acquire_lease(name, owner=f"{number}", now=at(10), until=at(20))
    ledger.release_lease(name, owner="nobody")
    return mine, ledger.acquire_lease(name, owner=f"{number}", now=at(11), until=at(21))


def test_a_lease_has_one_holder_who_may_prolong_it(arena: Arena) -> None:
    for name in arena.rounds(sqlite=20, dynamodb=3):
        arena.ledger.acquire_lease(name, owner="before", now=at(0), until=at(10))
        taken = arena.race(_lease, name)
        assert sorted(taken) == [(False, False)] * (arena.count - 1) + [(True, True)]
        assert not arena.ledger.acquire_lease(name, owner="before", now=at(20), until=at(30))
        assert arena.ledger.acquire_lease(name, owner="before", now=at(21), until=at(30))


def _take_turns(ledger: Ledger, number: int, name: str) -> None:
    """A change that nothing but the lease protects: read a job's attempts, write one more, whoever wrote before."""
    for _ in range(3):
        while not ledger.acquire_lease(name, owner=f"{number}", now=at(10), until=at(20)):
            pass
        job = ledger.job(name, A)
        assert job is not None
        assert ledger.update_job(replace(job, attempts=job.attempts + 1), held=job)
        ledger.release_lease(name, owner=f"{number}")


def test_a_lease_that_is_given_up_goes_to_the_next(arena: Arena) -> None:
    for name in arena.rounds(sqlite=4, dynamodb=1):
        arena.ledger.put_job(a_round_s_job(name), [])
        arena.race(_take_turns, name)
        job = arena.ledger.job(name, A)
        assert job is not None
        assert job.attempts == 3 * arena.count


def _expire_or_start_again(ledger: Ledger, number: int, name: str, failed: Job) -> str:
    if number == 0:
        return "expired" if ledger.expire_jobs(succeeded_before=None, failed_before=at(50), limit=9) else ""
    again = replace(failed, state=JobState.PENDING, updated_at=at(60 + number))
    return "started" if ledger.update_job(again, held=failed) else ""


def test_a_failed_job_either_expires_with_its_messages_or_starts_again_with_them(arena: Arena) -> None:
    for name in arena.rounds(sqlite=20, dynamodb=5):
        failed = replace(a_round_s_job(name), state=JobState.FAILED)
        arena.ledger.put_job(failed, [a_message("a", place, scope=failed.scope) for place in range(3)])
        told = set(arena.race(_expire_or_start_again, name, failed)) - {""}
        job = arena.ledger.job(name, A)
        assert told == ({"expired"} if job is None else {"started"})
        assert len(arena.ledger.job_messages(name, A)) == (0 if job is None else 3)
        assert arena.ledger.jobs(name, limit=9) == ([] if job is None else [job], None)
