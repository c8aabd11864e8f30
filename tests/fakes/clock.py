"""A clock that tests move."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from forgetless.adapters.clock import Ticker

__all__ = ["FakeClock"]


class FakeClock:
    """A clock that stands still but for `advance`, `set` and `sleep`.

    The first `now()` after a move is exactly the time moved to; each further one is a microsecond later. `slept`
    holds every duration that was slept.
    """

    def __init__(self, start: str = "2026-01-01T00:00:00.000000+00:00") -> None:
        self._wall = datetime.fromisoformat(start)
        self._monotonic = 0.0
        self._ticker = Ticker()
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
            self._ticker = Ticker()
