"""The clocks: time only goes forward, and tests can move it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from forgetless.adapters.clock import SystemClock
from forgetless.domain.times import seconds_between, timestamp
from tests.fakes.clock import FakeClock


def test_system_timestamps_strictly_increase_across_threads_and_clocks() -> None:
    clocks = [SystemClock(), SystemClock()]

    def take(number: int) -> list[str]:
        return [clocks[number % 2].now() for _ in range(2_000)]

    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(take, range(4)))
    assert all(batch == sorted(batch) for batch in batches)
    assert len({time for batch in batches for time in batch}) == 8_000


def test_system_time_is_the_machines_utc_time() -> None:
    assert abs(seconds_between(timestamp(datetime.now(UTC)), SystemClock().now())) < 5


def test_fake_clock_gives_the_time_set_and_then_a_microsecond_more() -> None:
    clock = FakeClock("2026-05-01T10:00:00.000000+00:00")
    assert clock.now() == "2026-05-01T10:00:00.000000+00:00"
    assert clock.now() == "2026-05-01T10:00:00.000001+00:00"


def test_fake_clock_sleep_advances_both_times_and_is_recorded() -> None:
    clock = FakeClock("2026-05-01T10:00:00.000000+00:00")
    clock.sleep(1.5)
    assert (clock.monotonic(), clock.slept) == (1.5, [1.5])
    assert clock.now() == "2026-05-01T10:00:01.500000+00:00"


def test_fake_clock_can_be_set_back_without_moving_durations() -> None:
    clock = FakeClock("2026-05-01T10:00:00.000000+00:00")
    clock.now()
    clock.set("2020-01-01T00:00:00.000000+00:00")
    assert (clock.now(), clock.monotonic()) == ("2020-01-01T00:00:00.000000+00:00", 0.0)
