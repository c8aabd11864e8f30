"""The turn of heavy work: tenants that have worked least come first, and nobody waits without an end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import copy_context

import pytest

from forgetless.domain.errors import BusyError
from forgetless.domain.heavy_work import HEAVY_BYTES, HEAVY_WORK, HeavyTurn, heavy_work
from forgetless.ports.trace import Trace, begin_trace, name_tenant, traced_job
from tests.fakes.clock import FakeClock


def start(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_of_those_who_wait_the_tenant_that_has_worked_least_is_next() -> None:
    clock = FakeClock()
    turn, order = HeavyTurn(clock.monotonic), []
    for owner, seconds in (("busy", 5.0), ("some", 1.0)):
        assert turn.take(owner)
        clock.advance(seconds)
        turn.give(owner)
    assert turn.take("")

    def work(owner: str) -> None:
        assert turn.take(owner)
        order.append(owner)
        turn.give(owner)

    threads = []
    for number, owner in enumerate(("busy", "some", "busy", "new"), 1):
        threads.append(start(lambda owner=owner: work(owner)))  # type: ignore[misc]
        until(lambda number=number: sum(map(len, turn._waiting.values())) == number)  # type: ignore[misc]
    turn.give("")
    while any(thread.is_alive() for thread in threads):
        clock.advance(0.02)  # each is awaited for some milliseconds
        time.sleep(0.002)
    assert order == ["new", "some", "busy", "busy"]


def test_those_of_one_owner_come_in_their_order() -> None:
    clock = FakeClock()
    turn, order = HeavyTurn(clock.monotonic), []
    assert turn.take("")

    def work(number: int) -> None:
        assert turn.take("one")
        order.append(number)
        turn.give("one")

    threads = []
    for number in range(6):
        threads.append(start(lambda number=number: work(number)))  # type: ignore[misc]
        until(lambda number=number: sum(map(len, turn._waiting.values())) == number + 1)  # type: ignore[misc]
    turn.give("")
    while any(thread.is_alive() for thread in threads):
        clock.advance(0.02)
        time.sleep(0.002)
    assert order == [*range(6)]


def test_who_works_in_small_steps_is_awaited_for_a_moment_before_a_tenant_that_has_worked_more() -> None:
    clock = FakeClock()
    turn, taken = HeavyTurn(clock.monotonic), threading.Event()
    for owner, seconds in (("busy", 5.0), ("small", 0.1)):
        assert turn.take(owner)
        clock.advance(seconds)
        turn.give(owner)

    def work() -> None:
        assert turn.take("busy")
        taken.set()

    thread = start(work)
    assert not taken.wait(0.05)
    assert turn.take("small")
    turn.give("small")
    assert not taken.wait(0.05)
    clock.advance(0.02)
    assert taken.wait(10)
    thread.join(10)


def test_the_time_in_which_others_wait_for_it_counts_as_work_of_a_tenant() -> None:
    """Otherwise one that works for a moment and comes again and again would keep the turn idle."""
    clock = FakeClock()
    turn, taken = HeavyTurn(clock.monotonic), threading.Event()
    for owner, seconds in (("busy", 0.05), ("small", 0.001)):
        assert turn.take(owner)
        clock.advance(seconds)
        turn.give(owner)

    def work() -> None:
        assert turn.take("busy")
        taken.set()

    thread, rounds = start(work), 0
    while not taken.wait(0.02):
        rounds += 1
        assert rounds < 20
        clock.advance(0.005)
        assert turn.take("small")
        turn.give("small")
    thread.join(10)
    assert rounds >= 5


def test_who_waits_too_long_fails_or_goes_on_beside_others() -> None:
    assert not _held().take("b", patience_s=0.01)


def _held() -> HeavyTurn:
    turn = HeavyTurn()
    assert turn.take("a")
    return turn


def test_a_body_may_fail_and_an_answer_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert HEAVY_WORK.take("a")
    monkeypatch.setattr(HeavyTurn.take, "__kwdefaults__", {"patience_s": 0.01})
    try:
        with heavy_work(HEAVY_BYTES - 1, may_fail=True):
            pass
        with heavy_work(HEAVY_BYTES):
            pass
        with pytest.raises(BusyError), heavy_work(HEAVY_BYTES, may_fail=True):
            pass
    finally:
        HEAVY_WORK.give("a")


def test_the_owner_is_the_tenant_of_the_request() -> None:
    def request() -> None:
        begin_trace(Trace("r", "t"))
        name_tenant("acme")
        with heavy_work(HEAVY_BYTES):
            time.sleep(0.01)

    copy_context().run(request)
    assert HEAVY_WORK._lately("acme", time.monotonic()) > 0.005


def test_the_owner_is_the_tenant_of_the_job() -> None:
    with traced_job("j", {}, tenant="jobs"), heavy_work(HEAVY_BYTES):
        time.sleep(0.01)
    assert HEAVY_WORK._lately("jobs", time.monotonic()) > 0.005
