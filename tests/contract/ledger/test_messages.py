"""The contract of MessageStore: reading, erasing and expiring raw messages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forgetless.domain.jobs import JobState
from forgetless.domain.memory import MessageRef
from forgetless.domain.scope import Scope
from forgetless.domain.times import later
from forgetless.ports.ledger import Ledger
from tests.contract.ledger.making import ANNA, a_job, a_memory, a_message, add, at, job_id

MESSAGES = [a_message("a", position, second=position, content=f"word {position}") for position in range(4)]
BOB = Scope("acme", user_id="bob")


def test_messages_are_read_by_ref_and_by_job(ledger: Ledger) -> None:
    ledger.put_job(a_job("a"), MESSAGES[::-1])
    first, third = MESSAGES[0], MESSAGES[2]
    wanted = [third.ref, first.ref, MessageRef("gone", 0), MessageRef(first.ref.job_id, 99)]
    assert ledger.read_messages("acme", wanted) == {first.ref: first, third.ref: third}
    assert ledger.read_messages("other", wanted) == {}
    assert ledger.job_messages("acme", job_id("a")) == MESSAGES
    assert ledger.job_messages("other", job_id("a")) == []


def test_messages_of_several_jobs_are_read_together(ledger: Ledger) -> None:
    ledger.put_job(a_job("a"), MESSAGES[::-1])
    others = [a_message("b", position, scope=replace(ANNA, user_id="nul \x00 \ud800")) for position in range(2)]
    ledger.put_job(a_job("b"), others)
    ledger.put_job(a_job("silent"), ())
    a, b = job_id("a"), job_id("b")
    assert ledger.messages_of_jobs("acme", [b, job_id("silent"), a, "gone"]) == ({a: MESSAGES, b: others}, 4)
    assert ledger.messages_of_jobs("acme", []) == ({}, 0)
    assert ledger.messages_of_jobs("other", [a, b]) == ({}, 2)
    many = [*(f"gone-{number}" for number in range(1100)), b]
    found, looked = ledger.messages_of_jobs("acme", many)
    while looked < len(many):
        assert found == {}
        found, more = ledger.messages_of_jobs("acme", many[looked:])
        looked += more
    assert found == {b: others}


def test_recent_messages_are_the_last_of_the_exact_scope_oldest_first(ledger: Ledger) -> None:
    elsewhere = a_message("b", second=2, scope=replace(ANNA, run_id="r"))
    ledger.append([], messages=[*MESSAGES, elsewhere])
    assert ledger.recent_messages(ANNA, since=at(0), before=at(3), limit=2) == MESSAGES[1:3]
    assert ledger.recent_messages(ANNA, since=at(1), before=at(99), limit=9) == MESSAGES[1:]
    assert ledger.recent_messages(ANNA, since="", before=at(1), limit=9) == MESSAGES[:1]
    assert ledger.recent_messages(BOB, since="", before=at(99), limit=9) == []


def test_messages_of_one_moment_keep_their_order(ledger: Ledger) -> None:
    together = [a_message("a", position) for position in range(12)]
    ledger.append([], messages=together)
    assert ledger.recent_messages(ANNA, since=at(0), before=at(1), limit=5) == together[-5:]


def test_messages_that_are_there_are_left_alone(ledger: Ledger) -> None:
    ledger.append([], messages=MESSAGES[:1])
    ledger.append([], messages=[replace(MESSAGES[0], content="other"), MESSAGES[1]])
    assert ledger.job_messages("acme", job_id("a")) == MESSAGES[:2]


def test_erased_messages_are_gone_and_counted_once(ledger: Ledger) -> None:
    ledger.append([], messages=MESSAGES)
    refs = [MESSAGES[0].ref, MESSAGES[1].ref, MESSAGES[1].ref, MessageRef("gone", 0)]
    assert ledger.erase_messages("other", refs, at=at(9)) == 0
    assert ledger.erase_messages("acme", refs, at=at(9)) == 2
    assert ledger.erase_messages("acme", refs, at=at(9)) == 0
    assert ledger.erase_messages("acme", [], at=at(9)) == 0
    assert ledger.job_messages("acme", job_id("a")) == MESSAGES[2:]


def test_memories_lose_erased_messages_from_their_context_and_are_indexed_again(ledger: Ledger) -> None:
    carrier = a_memory("b", context=(MESSAGES[0].ref, MESSAGES[1].ref))
    other = a_memory("c", context=(MESSAGES[1].ref,))
    ledger.append(add(carrier, other), messages=MESSAGES)
    ledger.mark_indexed([carrier, other])
    ledger.erase_messages("acme", [MESSAGES[0].ref], at=at(5))
    left = replace(carrier, context=(MESSAGES[1].ref,))
    assert ledger.read("acme", [carrier.id, other.id]) == {carrier.id: left, other.id: other}
    assert ledger.unindexed(before=at(6), limit=9) == [left]
    ledger.mark_indexed([carrier])  # written with the words that are gone: not the row that must be
    assert ledger.unindexed(before=at(6), limit=9) == [left]
    ledger.mark_indexed([left])
    assert ledger.unindexed(before=at(6), limit=9) == []


def test_a_scope_is_erased_by_all_its_ids(ledger: Ledger) -> None:
    run = a_message("b", scope=replace(ANNA, run_id="r"))
    bob = a_message("c", scope=BOB)
    stranger = a_message("d", scope=Scope("other", user_id="anna"))
    carrier = a_memory("b", scope=run.scope, context=(run.ref,))
    ledger.append(add(carrier), messages=[*MESSAGES, run, bob, stranger])
    ledger.mark_indexed([carrier])
    assert ledger.erase_scope_messages("acme", {"user_id": "anna", "run_id": "r"}, at=at(5)) == 1
    assert ledger.unindexed(before=at(6), limit=9) == [replace(carrier, context=())]
    assert ledger.erase_scope_messages("acme", {"user_id": "anna"}, at=at(5)) == len(MESSAGES)
    assert ledger.job_messages("acme", job_id("c")) == [bob]
    assert ledger.erase_scope_messages("acme", {}, at=at(5)) == 1
    assert ledger.job_messages("other", job_id("d")) == [stranger]


def test_old_messages_expire_oldest_first_and_context_keeps_its_words(ledger: Ledger) -> None:
    carrier = a_memory("b", context=(MESSAGES[0].ref,))
    ledger.append(add(carrier), messages=MESSAGES)
    ledger.mark_indexed([carrier])
    assert ledger.expire_messages(before=at(3), limit=2) == 2
    assert ledger.job_messages("acme", job_id("a")) == MESSAGES[2:]
    assert ledger.expire_messages(before=at(3), limit=9) == 1
    assert ledger.expire_messages(before=at(3), limit=9) == 0
    assert ledger.read("acme", [carrier.id])[carrier.id] == carrier
    assert ledger.unindexed(before=at(99), limit=9) == []


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED])
def test_whose_a_job_was_goes_when_its_last_message_expires(ledger: Ledger, state: JobState) -> None:
    """No erasure would find it any more."""
    error = None if state is JobState.SUCCEEDED else 'provider_bad_request: the LLM said "anna"'
    ended = a_job("a", state=state, request={"metadata": {"secret": 1}}, error=error)
    ledger.put_job(ended, MESSAGES[:2])
    assert ledger.expire_messages(before=at(1), limit=1) == 1
    assert ledger.job("acme", ended.id) == ended
    assert ledger.expire_messages(before=at(3), limit=9) == 1
    left = ledger.job("acme", ended.id)
    assert left == replace(ended, scope=Scope("acme"), request={}, error=error and "provider_bad_request")
    assert ledger.jobs("acme", limit=9) == ([left], None)


@pytest.mark.parametrize("state", [JobState.PENDING, JobState.RUNNING])
def test_what_an_add_still_has_to_read_does_not_expire(ledger: Ledger, state: JobState) -> None:
    held = {"lease_owner": "w", "lease_until": at(99)} if state is JobState.RUNNING else {}
    ledger.put_job(a_job("a", state=state, **held), MESSAGES[:2])
    ledger.append(add(a_memory("c")), messages=[a_message("c")])
    assert ledger.expire_messages(before=at(9), limit=9) == 1
    assert ledger.job_messages("acme", job_id("a")) == MESSAGES[:2]
    assert ledger.job_messages("acme", job_id("c")) == []


def test_a_compaction_forgets_whose_jobs_were_that_lost_their_messages_under_an_earlier_version(
    ledger: Ledger,
) -> None:
    lost = [a_job(name, state=JobState.FAILED, request={"prompt": "p"}) for name in ("a", "b")]
    kept = a_job("c", state=JobState.FAILED, request={"prompt": "p"})
    open_ = a_job("d")
    for job in (*lost, open_):
        ledger.put_job(job, [])
    ledger.put_job(kept, [a_message("c")])
    ledger.compact(lambda _done, _all: None)
    assert [ledger.job("acme", job.id) for job in lost] == [
        replace(job, scope=Scope("acme"), request={}) for job in lost
    ]
    assert [ledger.job("acme", job.id) for job in (kept, open_)] == [kept, open_]


def test_erasing_an_expired_message_still_cleans_the_context(ledger: Ledger) -> None:
    carrier = a_memory("b", context=(MESSAGES[0].ref,))
    ledger.append(add(carrier), messages=MESSAGES)
    ledger.mark_indexed([carrier])
    ledger.expire_messages(before=at(1), limit=9)
    assert ledger.erase_messages("acme", [MESSAGES[0].ref], at=at(5)) == 0
    assert ledger.unindexed(before=at(6), limit=9) == [replace(carrier, context=())]


def test_erasing_a_scope_cleans_the_context_of_what_expired(ledger: Ledger) -> None:
    carrier = a_memory("b", context=(MESSAGES[0].ref,))
    ledger.append(add(carrier), messages=MESSAGES[:1])
    ledger.expire_messages(before=at(1), limit=9)
    ledger.erase_scope_messages("acme", {"user_id": "anna"}, at=at(5))
    assert ledger.read("acme", [carrier.id])[carrier.id].context == ()


def test_request_and_scope_of_a_finished_job_go_with_its_last_message(ledger: Ledger) -> None:
    done = a_job("a", state=JobState.SUCCEEDED, request={"metadata": {"secret": 1}})
    ledger.append(add(a_memory("a")), completing=done, messages=MESSAGES[:2])
    ledger.erase_messages("acme", [MESSAGES[0].ref], at=at(5))
    assert ledger.job("acme", done.id) == done
    ledger.erase_messages("acme", [MESSAGES[1].ref], at=at(5))
    assert ledger.job("acme", done.id) == done.nobodys()


def test_messages_of_an_open_add_that_are_dated_back_hold_up_no_others(ledger: Ledger) -> None:
    waiting = a_job("a")
    ledger.put_job(waiting, [a_message("a", position) for position in range(60)])
    ledger.append(add(a_memory("c")), messages=[a_message("c", second=1)])
    assert ledger.expire_messages(before=at(9), limit=9) == 1
    assert ledger.job_messages("acme", job_id("c")) == []
    assert ledger.expire_messages(before=at(30), limit=99) == 0
    # They are looked at again in an hour.
    ledger.append(
        add(a_memory("a")),
        completing=replace(waiting, state=JobState.SUCCEEDED, completed_at=at(21), updated_at=at(21)),
    )
    assert ledger.expire_messages(before=later(at(30), 3600), limit=99) == 60
