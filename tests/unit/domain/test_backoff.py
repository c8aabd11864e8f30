"""How long a call waits between its attempts."""

from __future__ import annotations

import pytest

from forgetless.domain.backoff import Backoff, Tries
from tests.fakes.clock import FakeClock


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(first_s=1.0, longest_s=6.0)
    assert [backoff.wait_s(attempt, draw=lambda: 1.0) for attempt in range(5)] == [1.0, 2.0, 4.0, 6.0, 6.0]
    assert backoff.wait_s(10_000, draw=lambda: 1.0) == 6.0


@pytest.mark.parametrize(("least", "shortest"), [(0.25, 1.0), (0.5, 2.0), (1.0, 4.0)])
def test_chance_shortens_a_wait_to_its_least_share(least: float, shortest: float) -> None:
    backoff = Backoff(first_s=4.0, longest_s=4.0, least=least)
    assert backoff.wait_s(0, draw=lambda: 0.0) == shortest
    assert all(shortest <= backoff.wait_s(0) <= 4.0 for _ in range(100))


def test_tries_end_before_the_patience_is_used_up() -> None:
    clock = FakeClock()
    tries = Tries(Backoff(first_s=1.0, longest_s=4.0), patience_s=8.0, clock=clock, draw=lambda: 1.0)
    assert [tries.again() for _ in range(4)] == [True, True, True, False]
    assert clock.slept == [1.0, 2.0, 4.0]
    assert tries.left_s == 1.0


def test_without_patience_nothing_is_tried_again() -> None:
    clock = FakeClock()
    assert not Tries(Backoff(first_s=0.1, longest_s=0.1), patience_s=0.0, clock=clock).again()
    assert clock.slept == []
