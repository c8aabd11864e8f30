"""The clock of the machine."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

from forgetless.domain.times import timestamp

__all__ = ["SystemClock", "Ticker"]

_TICK = timedelta(microseconds=1)


class Ticker:
    """Turns a wall clock, which may stand still or go back, into one that only goes forward."""

    def __init__(self) -> None:
        self._last = datetime.min.replace(tzinfo=UTC)
        self._lock = threading.Lock()

    def tick(self, wall: datetime) -> str:
        """The timestamp of `wall`, or the one a microsecond after the last timestamp if that is later."""
        with self._lock:
            self._last = max(wall, self._last + _TICK)
            return timestamp(self._last)


#: One per process, so that two SystemClocks never give the same timestamp.
_process_ticker = Ticker()


class SystemClock:
    """The machine's time in UTC. Consecutive timestamps of a process are at least a microsecond apart."""

    def now(self) -> str:
        return _process_ticker.tick(datetime.now(UTC))

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))
