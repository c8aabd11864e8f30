"""The contract of JobStore: jobs, claims and take-overs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from forgetless.domain.jobs import Job, JobState
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger
from tests.contract.ledger.making import a_job, a_message, at, job_id

A = job_id("a")


def test_a_job_reads_back_as_it_was_written(ledger: Ledger) -> None:
    job = a_job(
        "a",
        scope=Scope("acme", "anna", "g", "p", "r"),
        state=JobState.RUNNING,
        request={"metadata": {"x": [1, "\ud800"]}, "infer": True},
        attempts=3,
        lease_owner="me",
        lease_until=at(4),
        started_at=at(1),
        completed_at=at(2),
        results=({"id": "m", "event": "ADD"},),
        error="why",
    )
    assert ledger.put_job(job, [a_message("a")]) == job
    assert ledger.job("acme", A) == job
    assert ledger.job("other", A) is None
    assert ledger.job("acme", "unknown") is None


def test_a_job_that_exists_is_returned_unchanged(ledger: Ledger) -> None:
    first = a_job("a", request={"infer": True})
    ledger.put_job(first, [a_message("a")])
    assert ledger.put_job(a_job("a", second=5), [a_message("a", 1)]) == first
    assert ledger.job_messages("acme", A) == [a_message("a")]


def test_a_page_of_long_jobs_ends_early(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for adapter in ("sqlite", "dynamodb"):
        monkeypatch.setattr(f"forgetless.adapters.ledger_{adapter}.jobs.JOBS_AT_ONCE", 5000)
    jobs = [a_job(f"j{number}", second=number, request={"metadata": "x" * 2000}) for number in range(7)]
    ledger.put_jobs([(job, []) for job in jobs])
    found: list[list[Job]] = []
    cursor: str | None = None
    while not found or cursor is not None:
        page, cursor = ledger.jobs("acme", limit=9, cursor=cursor)
        found.append(page)
    assert [len(page) for page in found] == [3, 3, 1]
    assert [job for page in found for job in page] == jobs[::-1]


def test_jobs_are_listed_newest_first_in_pages(ledger: Ledger) -> None:
    jobs = [a_job(name, second=second) for second, name in enumerate("abcde")]
    for job in [*jobs, a_job("x", scope=Scope("other"))]:
        ledger.put_job(job, [])
    first, cursor = ledger.jobs("acme", limit=3)
    second, end = ledger.jobs("acme", limit=3, cursor=cursor)
    assert first + second == jobs[::-1]
    assert end is None


def test_a_pending_job_is_claimed_once(ledger: Ledger) -> None:
    ledger.put_job(a_job("a"), [])
    claimed = ledger.claim_job("acme", A, owner="me", now=at(1), until=at(5))
    assert claimed is not None
    assert (claimed.state, claimed.attempts, claimed.lease_owner) == (JobState.RUNNING, 1, "me")
    assert (claimed.lease_until, claimed.started_at) == (at(5), at(1))
    assert ledger.job("acme", A) == claimed
    assert ledger.claim_job("acme", A, owner="them", now=at(4), until=at(9)) is None
    assert ledger.claim_job("acme", "unknown", owner="me", now=at(1), until=at(5)) is None


def test_an_expired_lease_is_taken_over(ledger: Ledger) -> None:
    ledger.put_job(a_job("a"), [])
    mine = ledger.claim_job("acme", A, owner="me", now=at(1), until=at(5))
    theirs = ledger.claim_job("acme", A, owner="them", now=at(5), until=at(9))
    assert mine is not None
    assert theirs is not None
    assert (theirs.attempts, theirs.lease_owner, theirs.started_at) == (2, "them", at(1))
    assert not ledger.update_job(replace(mine, state=JobState.FAILED), held=mine)
    assert ledger.job("acme", A) == theirs


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED])
def test_a_finished_job_is_never_claimed(ledger: Ledger, state: JobState) -> None:
    ledger.put_job(a_job("a", state=state), [])
    assert ledger.claim_job("acme", A, owner="me", now=at(99), until=at(100)) is None


@pytest.mark.parametrize(
    "moved",
    [
        {"state": JobState.RUNNING},
        {"state": JobState.SUCCEEDED},
        {"lease_owner": "me"},
        {"lease_until": at(9)},
        {"attempts": 1},
        {"updated_at": at(1)},
    ],
)
def test_a_job_is_updated_by_who_has_seen_how_it_stands(ledger: Ledger, moved: dict[str, Any]) -> None:
    seen = a_job("a")
    ledger.put_job(replace(seen, **moved), [])
    failed = a_job("a", state=JobState.FAILED, error="no", request={"new": 1})
    assert not ledger.update_job(failed, held=seen)
    assert ledger.job("acme", A) == replace(seen, **moved)
    assert ledger.update_job(failed, held=replace(seen, **moved))
    assert ledger.job("acme", A) == failed
    assert not ledger.update_job(a_job("unknown"), held=a_job("unknown"))


def test_a_job_that_ended_after_its_claim_expired_is_not_brought_back(ledger: Ledger) -> None:
    """As sweep does, while the worker that was late finishes: an ended job keeps its last owner."""
    ledger.put_job(a_job("a"), [])
    seen = ledger.claim_job("acme", A, owner="me", now=at(1), until=at(5))
    assert seen is not None
    done = replace(seen, state=JobState.SUCCEEDED, updated_at=at(7))
    ledger.append([], completing=done)
    assert not ledger.update_job(replace(seen, state=JobState.PENDING, lease_owner=None), held=seen)
    assert ledger.job("acme", A) == done
    assert ledger.claim_job("acme", A, owner="them", now=at(9), until=at(20)) is None


def test_stuck_jobs_have_expired_leases_or_wait_too_long_oldest_first(ledger: Ledger) -> None:
    running = {"state": JobState.RUNNING, "lease_owner": "me"}
    expired = a_job("expired", second=3, lease_until=at(10), **running)
    waiting = a_job("waiting", second=2, scope=Scope("other"))
    leaseless = a_job("leaseless", second=1, state=JobState.RUNNING)
    fine = [
        a_job("held", lease_until=at(11), **running),
        a_job("new", second=5),
        replace(a_job("put back", second=0), updated_at=at(7)),
        a_job("done", state=JobState.SUCCEEDED),
        a_job("failed", state=JobState.FAILED, lease_owner="me", lease_until=at(1)),
    ]
    for job in [expired, waiting, leaseless, *fine]:
        ledger.put_job(job, [])
    found = ledger.stuck_jobs(now=at(10), pending_before=at(5), limit=9)
    assert sorted(found, key=lambda job: job.created_at) == [leaseless, waiting, expired]
    assert [job for job in found if job.tenant == "acme"] == [leaseless, expired]
    assert ledger.stuck_jobs(now=at(10), pending_before=at(5), limit=1) == [leaseless]


def test_stuck_jobs_are_found_in_turn_so_that_no_tenant_and_no_speaker_hides_the_others(ledger: Ledger) -> None:
    def put(name: str, second: int, scope: Scope, **fields: Any) -> None:
        ledger.put_job(a_job(name, second=second, scope=scope, **fields), [])

    def found(limit: int, each: int) -> list[str]:
        jobs = ledger.stuck_in_turn(now=at(50), pending_before=at(50), limit=limit, each=each)
        return [job.id for job in jobs]

    alice, elsewhere = Scope("acme", user_id="alice"), Scope("acme", user_id="alice", run_id="elsewhere")
    for second in range(12):
        put(f"alice {second}", second, alice if second % 2 else elsewhere)
    put("bob", 20, Scope("acme", user_id="bob"))
    put("run", 21, Scope("acme", run_id="alice\ud800"))
    put("held first", 22, Scope("other", user_id="alice"), lease_until=at(60))
    put("held second", 23, Scope("other", user_id="alice"))
    put("running", 24, Scope("other", user_id="bob"), state=JobState.RUNNING, lease_owner="me", lease_until=at(60))
    put("expired", 25, Scope("other", user_id="carol"), state=JobState.RUNNING, lease_owner="me", lease_until=at(50))
    put("new", 50, Scope("third", user_id="alice"))
    put("ended", 1, Scope("third", user_id="bob"), state=JobState.FAILED)
    firsts = {"acme": {"alice 0", "bob", "run"}, "other": {"held second", "expired"}}
    every = set().union(*firsts.values())
    assert set(found(99, 9)) == {job_id(name) for name in every}
    for _ in range(9):
        for two in (found(2, 9), found(99, 1)):
            assert len(two) == 2
            assert all({job_id(name) for name in names} & set(two) for names in firsts.values())
    ledger.update_job(
        replace(a_job("alice 0", scope=elsewhere), state=JobState.FAILED), held=a_job("alice 0", scope=elsewhere)
    )
    assert job_id("alice 1") in found(99, 9)


def test_the_jobs_of_an_import_are_put_together(ledger: Ledger) -> None:
    held = a_job("b", request={"infer": True})
    ledger.put_job(held, [])
    jobs = [(a_job(name, second=second), [a_message(name)]) for second, name in enumerate("abc")]
    for _ in range(2):
        ledger.put_jobs(jobs)
        assert ledger.job("acme", job_id("b")) == held
        assert [ledger.job("acme", job_id(name)) for name in "ac"] == [jobs[0][0], jobs[2][0]]
        assert [ledger.job_messages("acme", job_id(name)) for name in "abc"] == [[a_message("a")], [], [a_message("c")]]
    ledger.put_jobs([])


def test_more_jobs_than_fit_into_a_transaction_are_put(ledger: Ledger) -> None:
    jobs = [(a_job(f"j{number}", second=number), [a_message(f"j{number}")]) for number in range(45)]
    ledger.put_jobs(jobs)
    found, _ = ledger.jobs("acme", limit=100)
    assert found == [job for job, _ in jobs][::-1]
