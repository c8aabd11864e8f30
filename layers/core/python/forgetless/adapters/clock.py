"""The system's clock."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

from forgetless.domain.times import timestamp

__all__ = ["SystemClock", "Ticker"]

_TICK = timedelta(microseconds=1)


class Ticker:
    """Turns a wall clock that may stand still or step back into one that only goes forward."""

    def __init__(self) -> None:
        self._last = datetime.min.replace(tzinfo=UTC)
        self._lock = threading.Lock()

    def tick(self, wall: datetime) -> str:
        """The timestamp of `wall`, or of a microsecond after the last one where that is later."""
        with self._lock:
            self._last = max(wall, self._last + _TICK)
            return timestamp(self._last)


#: One per process, so that two SystemClocks never give the same timestamp either.
_process_ticker = Ticker()


class SystemClock:
    """The machine's time in UTC; consecutive timestamps of a process are at least a microsecond apart."""

    def now(self) -> str:
        return _process_ticker.tick(datetime.now(UTC))

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))
