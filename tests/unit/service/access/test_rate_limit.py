"""The token bucket: the requests of a minute at once, then evenly."""

from __future__ import annotations

import pytest

from forgetless.domain.errors import RateLimitedError
from forgetless.service.access import rate_limit as rates
from forgetless.service.access.rate_limit import Rate, RateLimiter
from tests.fakes.clock import FakeClock


def taken(limiter: RateLimiter, name: str = "key") -> int:
    """How many requests pass until one is refused."""
    count = 0
    while True:
        try:
            limiter.take(name)
        except RateLimitedError:
            return count
        count += 1


def test_a_minutes_requests_pass_at_once_and_no_more() -> None:
    limiter = RateLimiter(per_minute=60, clock=FakeClock())
    assert limiter.take("key") == Rate(limit=60, remaining=59, reset_s=1)
    assert taken(limiter) == 59


def test_each_name_has_its_own() -> None:
    limiter = RateLimiter(per_minute=2, clock=FakeClock())
    assert [taken(limiter, "one"), taken(limiter, "two")] == [2, 2]


def test_it_fills_evenly_up_to_its_limit() -> None:
    clock = FakeClock()
    limiter = RateLimiter(per_minute=6, clock=clock)
    assert taken(limiter) == 6
    clock.advance(25)
    assert taken(limiter) == 2
    clock.advance(3600)
    assert taken(limiter) == 6


def test_a_refusal_says_how_long_to_wait_and_is_right() -> None:
    clock = FakeClock()
    limiter = RateLimiter(per_minute=6, clock=clock)
    taken(limiter)
    with pytest.raises(RateLimitedError) as refused:
        limiter.take("key")
    assert (refused.value.limit, refused.value.retry_after, refused.value.reset_s) == (6, 10, 60)
    clock.advance(refused.value.retry_after)
    limiter.take("key")


def test_a_refusal_takes_nothing() -> None:
    clock = FakeClock()
    limiter = RateLimiter(per_minute=6, clock=clock)
    taken(limiter)
    for _ in range(9):
        clock.advance(1)
        with pytest.raises(RateLimitedError):
            limiter.take("key")
    clock.advance(1.01)
    limiter.take("key")


def test_many_names_do_not_grow_it_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "_MOST_BUCKETS", 10)
    clock = FakeClock()
    limiter = RateLimiter(per_minute=2, clock=clock)
    assert taken(limiter, "busy") == 2
    for number in range(50):
        clock.advance(31)
        limiter.take(str(number))
        taken(limiter, "busy")
    assert len(limiter._buckets) <= 10
    assert taken(limiter, "busy") == 0
