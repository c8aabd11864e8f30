"""LlmTrials: whose adds wait when the LLM fails for some, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.errors import DependencyError, LlmUnavailableError, ProviderAuthError, ProviderRequestError
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.llm_faults import LONGEST_HOLD_S
from forgetless.domain.scope import Scope
from forgetless.domain.times import seconds_between
from forgetless.ports.llm import ChatMessage
from forgetless.service.llm_state import LlmState, WatchedLlm
from forgetless.service.llm_trials import LlmTrials, calling_for
from tests.fakes.clock import FakeClock
from tests.fakes.counting_ledger import CountingLedger
from tests.fakes.llm import FakeLlm

DOWN = LlmUnavailableError("down")


class Place:
    """An LLM, and the trials of several processes on one ledger."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.ledger = CountingLedger(SqliteLedger(folder / "ledger.db"))
        self.processes = [LlmTrials(ledger=self.ledger, clock=self.clock) for _ in range(3)]

    def add(self, name: str, tenant: str = "acme") -> Job:
        now = self.clock.now()
        return Job(name, Scope(tenant, user_id=name), JobState.PENDING, now, now)

    def call(self, name: str | None, error: Exception | None = None, *, tenant: str = "acme", process: int = 0) -> None:
        """A call of the LLM for an add, or for none."""

        def reply(_messages: object) -> str:
            if error is not None:
                raise error
            return "{}"

        state = LlmState(ledger=self.ledger, clock=self.clock)
        llm = WatchedLlm(FakeLlm(reply), state, self.processes[process])

        def complete() -> None:
            llm.complete([ChatMessage("user", "tea")], deadline_s=60.0)

        try:
            if name is None:
                complete()
            else:
                with calling_for(self.add(name, tenant)):
                    complete()
        except DependencyError:
            assert error is not None

    def may_try(self, name: str, tenant: str = "acme", process: int = 0) -> bool:
        return self.processes[process].may_try(self.add(name, tenant)) is None


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.ledger.close()


@pytest.mark.parametrize("error", [DOWN, LlmUnavailableError("slow down", retry_after=3600), ProviderAuthError("403")])
def test_what_the_llm_fails_on_for_one_add_holds_up_no_other(place: Place, error: Exception) -> None:
    for _ in range(20):
        place.call("poisoned", error)
        place.clock.advance(7)
    assert place.may_try("other")
    assert place.may_try("other", process=1)


def test_what_fails_for_a_tenant_holds_up_no_other_tenant(place: Place) -> None:
    for number in range(20):
        place.call(f"add {number}", DOWN)
    assert not place.may_try("add 1")
    assert place.may_try("add 1", tenant="beta")


def test_calls_that_are_no_adds_hold_up_nobody(place: Place) -> None:
    for _ in range(20):
        place.call(None, DOWN)
    assert place.may_try("other")


def test_a_fault_of_the_input_is_none_of_the_llm(place: Place) -> None:
    for number in range(5):
        place.call(f"add {number}", ProviderRequestError("too long", status=413))
    assert place.may_try("other")


def test_when_it_fails_for_several_one_at_a_time_tries_until_it_works(place: Place) -> None:
    for number in range(3):
        place.call(f"add {number}", DOWN, process=number)
    assert not any(place.may_try("other", process=process) for process in range(3)), "not yet"
    place.clock.advance(6)
    assert [place.may_try("other", process=process) for process in range(3)] == [True, False, False]
    place.call("other")
    assert [place.may_try("other", process=process) for process in range(3)] == [True, True, True]
    place.call("add 0", DOWN)
    assert place.may_try("other", process=1), "it counts anew"


def test_who_tries_and_dies_is_followed_by_another(place: Place) -> None:
    for number in range(3):
        place.call(f"add {number}", DOWN)
    place.clock.advance(6)
    assert place.may_try("other")
    place.clock.advance(91)
    assert place.may_try("other", process=1)


def test_others_wait_no_longer_than_a_hold_whatever_the_provider_asks_of_one(place: Place) -> None:
    for number in range(3):
        place.call(f"add {number}", LlmUnavailableError("slow down", retry_after=3600))
    fault = place.processes[1].may_try(place.add("other"))
    assert fault is not None
    assert seconds_between(place.clock.now(), fault.next_try_at) <= LONGEST_HOLD_S
    assert "slow down" not in fault.error, "what another add failed with is told to nobody"


def test_while_it_works_looks_are_rare_and_nothing_is_written(place: Place) -> None:
    trials, add = place.processes[0], place.add("one")
    assert trials.may_try(add) is None
    before = place.ledger.calls.total()
    for _ in range(100):
        with calling_for(add):
            assert trials.may_try(add) is None
            trials.worked()
    assert place.ledger.calls.total() == before
    place.clock.advance(11)
    trials.may_try(add)
    assert place.ledger.calls.total() == before + 1
