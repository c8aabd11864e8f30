"""The contract of slots: so many owners have one at once, in all processes together, and a dead owner's comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forgetless.domain.erasures import Target
from forgetless.domain.errors import ErasedError
from forgetless.domain.jobs import JobState
from forgetless.domain.slots import Slots
from forgetless.ports.ledger import Ledger
from tests.contract.ledger.making import ANNA, a_job, a_message, at


def asked(owner: str, *, most: int = 3, now: int = 0, tenant: str = "acme") -> Slots:
    return Slots(tenant, most, owner, now=at(now), until=at(now + 10))


def test_so_many_owners_have_a_slot_and_each_has_its_own(ledger: Ledger) -> None:
    taken = [ledger.take_slot(asked(f"owner {number}")) for number in range(5)]
    assert taken[3:] == [None, None]
    assert len(set(taken[:3]) - {None}) == 3
    assert ledger.take_slot(asked("another's", tenant="other")) is not None


def test_a_slot_comes_back_when_it_is_given_up_and_when_its_time_is_over(ledger: Ledger) -> None:
    slot = ledger.take_slot(asked("one", most=1))
    assert slot is not None
    ledger.release_lease(slot, owner="who does not have it")
    assert ledger.take_slot(asked("two", most=1, now=9)) is None
    ledger.release_lease(slot, owner="one")
    assert ledger.take_slot(asked("two", most=1, now=9)) == slot
    assert ledger.take_slot(asked("three", most=1, now=18)) is None
    assert ledger.take_slot(asked("three", most=1, now=19)) == slot
    ledger.release_lease(slot, owner="two")
    assert ledger.take_slot(asked("four", most=1, now=20)) is None


def test_several_leases_are_given_up_at_once_except_those_of_others(ledger: Ledger) -> None:
    for name, owner in {"a": "me", "b": "me", "c": "them"}.items():
        ledger.acquire_lease(name, owner=owner, now=at(0), until=at(9))
    ledger.release_lease("a", "b", owner="me")
    assert (ledger.lease_until("a"), ledger.lease_until("b")) == (None, None)
    ledger.acquire_lease("a", owner="me", now=at(0), until=at(9))
    ledger.release_lease("a", "c", "never was", owner="me")
    assert (ledger.lease_until("a"), ledger.lease_until("c")) == (None, at(9))


@pytest.mark.parametrize("messages", [1, 60])
def test_a_job_is_accepted_with_a_slot_or_without_one(ledger: Ledger, messages: int) -> None:
    """Many messages are more than one transaction of DynamoDB."""
    said = [a_message("a", place) for place in range(messages)]
    first = ledger.accept_job(a_job("a"), said, asked("one", most=1))
    assert (first.job, first.slot is not None) == (a_job("a"), True)
    second = ledger.accept_job(a_job("b"), [a_message("b")], asked("two", most=1))
    assert (second.job, second.slot) == (a_job("b"), None)
    assert ledger.job_messages("acme", a_job("b").id) == [a_message("b")]
    assert ledger.job_messages("acme", a_job("a").id) == said
    assert first.slot is not None
    ledger.release_lease(first.slot, owner="one")
    assert ledger.take_slot(asked("two", most=1)) == first.slot


def test_a_repeat_takes_a_slot_unless_the_job_has_succeeded(ledger: Ledger) -> None:
    ledger.put_job(a_job("a"), [a_message("a")])
    repeated = ledger.accept_job(replace(a_job("a"), created_at=at(5)), [], asked("one", most=1))
    assert (repeated.job, repeated.slot is not None) == (a_job("a"), True)
    done = a_job("b", state=JobState.SUCCEEDED)
    ledger.put_job(done, [])
    accepted = ledger.accept_job(a_job("b"), [], asked("two", most=2))
    assert (accepted.job, accepted.slot) == (done, None)


def test_a_job_that_is_refused_takes_no_slot(ledger: Ledger) -> None:
    ledger.begin_erasure("acme", [Target({"user_id": "anna"})], at=at(0))
    with pytest.raises(ErasedError):
        ledger.accept_job(a_job("a", scope=ANNA), [a_message("a")], asked("one", most=1))
    assert ledger.take_slot(asked("two", most=1)) is not None
