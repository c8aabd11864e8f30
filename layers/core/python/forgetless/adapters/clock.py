"""Clocks: the system's, and one that tests move."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

from forgetless.domain.times import timestamp

__all__ = ["FakeClock", "SystemClock"]

_TICK = timedelta(microseconds=1)


class _Ticker:
    """Turns a wall clock that may stand still or step back into one that only goes forward."""

    def __init__(self) -> None:
        self._last = datetime.min.replace(tzinfo=UTC)
        self._lock = threading.Lock()

    def tick(self, wall: datetime) -> str:
        with self._lock:
            self._last = max(wall, self._last + _TICK)
            return timestamp(self._last)


#: One per process, so that two SystemClocks never give the same timestamp either.
_process_ticker = _Ticker()


class SystemClock:
    """The machine's time in UTC; consecutive timestamps of a process are at least a microsecond apart."""

    def now(self) -> str:
        return _process_ticker.tick(datetime.now(UTC))

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


class FakeClock:
    """A clock that stands still but for `advance`, `set` and `sleep`.

    The first `now()` after a move is exactly the time moved to; each further one is a microsecond later. `slept`
    holds every duration that was slept.
    """

    def __init__(self, start: str = "2026-01-01T00:00:00.000000+00:00") -> None:
        self._wall = datetime.fromisoformat(start)
        self._monotonic = 0.0
        self._ticker = _Ticker()
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> str:
        with self._lock:
            return self._ticker.tick(self._wall)

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(max(0.0, seconds))

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass, for the wall clock and for durations."""
        with self._lock:
            self._wall += timedelta(seconds=seconds)
            self._monotonic += seconds

    def set(self, time_: str) -> None:
        """Put the wall clock to `time_`, backwards too; durations do not notice."""
        with self._lock:
            self._wall = datetime.fromisoformat(time_)
            self._ticker = _Ticker()
