"""LlmState: what is noted of the LLM's calls, by how many writes, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.errors import (
    DependencyError,
    LedgerError,
    LlmReplyError,
    LlmUnavailableError,
    ProviderAuthError,
    ProviderRequestError,
)
from forgetless.domain.llm_faults import hold_s
from forgetless.ports.llm import ChatMessage
from forgetless.service.llm_state import LlmState, WatchedLlm
from forgetless.service.llm_trials import LlmTrials
from tests.fakes.clock import FakeClock
from tests.fakes.counting_ledger import CountingLedger
from tests.fakes.llm import FakeLlm

SAID = [ChatMessage("user", "tea")]


class Place:
    """An LLM whose calls fail with `error` if one is set, and the state that several processes share."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.ledger = CountingLedger(SqliteLedger(folder / "ledger.db"))
        self.error: Exception | None = None
        self.states = [LlmState(ledger=self.ledger, clock=self.clock) for _ in range(3)]
        self.trials = LlmTrials(ledger=self.ledger, clock=self.clock)

    def call(self, process: int = 0, *, deadline_s: float = 60.0) -> None:
        def reply(_messages: object) -> str:
            if self.error is not None:
                raise self.error
            return "{}"

        WatchedLlm(FakeLlm(reply), self.states[process], self.trials).complete(SAID, deadline_s=deadline_s)

    def fail(self, error: Exception, process: int = 0) -> None:
        self.error = error
        with pytest.raises(type(error)):
            self.call(process)
        self.error = None


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.ledger.close()


def test_a_fault_is_seen_by_every_process_and_ends_with_the_next_success(place: Place) -> None:
    place.call()
    place.fail(ProviderAuthError("status 401: check OPENAI_API_KEY"))
    for state in place.states:
        fault = state.fault()
        assert fault is not None
        assert fault.error == "provider_auth_failed: status 401: check OPENAI_API_KEY"
        with pytest.raises(LlmUnavailableError, match="check OPENAI_API_KEY"):
            state.check()
    place.call(1)
    for state in place.states:
        assert state.fault() is None
        state.check()


@pytest.mark.parametrize(
    "error", [ProviderRequestError("too long", status=413), LlmReplyError("refused to answer")], ids=repr
)
def test_a_fault_of_the_input_is_none_of_the_llm(place: Place, error: DependencyError) -> None:
    place.fail(error)
    assert place.states[0].fault() is None


def test_a_call_that_had_little_time_says_nothing(place: Place) -> None:
    place.error = TimeoutError()
    with pytest.raises(TimeoutError):
        place.call(deadline_s=3.0)
    assert place.states[0].fault() is None
    with pytest.raises(TimeoutError):
        place.call(deadline_s=60.0)
    assert place.states[0].fault() is not None


def test_while_it_works_notes_and_looks_are_rare(place: Place) -> None:
    place.call()
    before = place.ledger.calls.total()
    for _ in range(100):
        place.call()
    assert place.ledger.calls.total() == before
    place.clock.advance(11)
    place.call()
    assert place.ledger.calls.total() <= before + 3


def test_a_ledger_that_is_out_spoils_no_call(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise LedgerError("out")

    monkeypatch.setattr(place.states[0], "_ledger", type("Out", (), {"document": fail, "put_document": fail})())
    place.call()
    place.fail(LlmUnavailableError("down"))


def test_waits_grow_with_the_time_of_the_fault_within_bounds() -> None:
    assert [hold_s(failing) for failing in (0, 4, 7, 60, 500)] == [5, 5, 7, 60, 120]
    assert hold_s(0, 30) == 30
    assert hold_s(0, 86_400) == 3600
