"""What waits, as metrics show it: bounded, over all tenants, in both ledgers."""

from __future__ import annotations

from dataclasses import replace

from forgetless.domain.jobs import JobState
from forgetless.domain.memory import Event, EventKind
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Backlog, Ledger
from tests.contract.ledger.making import a_job, a_memory, an_event_id, at, job_id

NOTHING = Backlog(oldest_jobs=(), open_jobs=0, failed_jobs=0, pending_since=None)


def test_nothing_waits_in_an_empty_ledger(ledger: Ledger) -> None:
    assert ledger.backlog(jobs=9, counted=9) == NOTHING


def test_the_oldest_adds_of_all_tenants_come_first(ledger: Ledger) -> None:
    running = a_job("running", second=3, state=JobState.RUNNING, lease_owner="me", lease_until=at(99))
    held = a_job("held", second=1, scope=Scope("other"), error="provider_unavailable: it is out", lease_until=at(50))
    waiting = a_job("waiting", second=2)
    for job in (running, held, waiting, a_job("done", state=JobState.SUCCEEDED)):
        ledger.put_job(job, [])
    found = ledger.backlog(jobs=9, counted=9)
    assert (found.oldest_jobs, found.open_jobs) == ((held, waiting, running), 3)
    few = ledger.backlog(jobs=1, counted=2)
    assert (few.oldest_jobs, few.open_jobs) == ((held,), 2)


def test_failed_adds_count_until_they_are_started_again(ledger: Ledger) -> None:
    for name in "abc":
        ledger.put_job(a_job(name, state=JobState.FAILED), [])
    assert ledger.backlog(jobs=9, counted=9).failed_jobs == 3
    assert ledger.backlog(jobs=9, counted=2).failed_jobs == 2
    failed = ledger.job("acme", job_id("a"))
    assert failed is not None
    assert ledger.update_job(replace(failed, state=JobState.PENDING), held=failed)
    found = ledger.backlog(jobs=9, counted=9)
    assert (found.failed_jobs, found.open_jobs) == (2, 1)


def test_the_longest_wait_for_the_index_is_that_of_any_tenant(ledger: Ledger) -> None:
    early, late = a_memory("a", scope=Scope("zeta"), second=1), a_memory("b", second=5)
    for memory in (late, early):
        stored = replace(memory, event_id=an_event_id())
        ledger.append([Event(EventKind.ADD, stored)])
    assert ledger.backlog(jobs=9, counted=9).pending_since == at(1)
    assert ledger.mark_indexed(ledger.unindexed(before=at(99), limit=9, tenant="zeta")) == []
    assert ledger.backlog(jobs=9, counted=9).pending_since == at(5)
