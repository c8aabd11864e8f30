"""Backoff: how long to wait between the tries of a call. Each wait is longer, has jitter and stays within bounds."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Backoff", "Timer", "Tries"]

#: More doublings make no practical difference, and in the end they would overflow a float.
_MOST_DOUBLINGS = 60


class Timer(Protocol):
    """The part of a clock that waiting needs."""

    def monotonic(self) -> float:
        """Seconds for measuring durations."""

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double from `first_s` up to `longest_s`. Jitter shortens each to a share of `least` or more."""

    first_s: float
    longest_s: float
    least: float = 0.25

    def wait_s(self, attempt: int, *, draw: Callable[[], float] = random.random) -> float:
        """Seconds to wait after try number `attempt`, counted from 0; `draw` returns random numbers from 0 to 1."""
        whole = min(self.first_s * 2.0 ** min(attempt, _MOST_DOUBLINGS), self.longest_s)
        return whole * (self.least + (1.0 - self.least) * draw())


class Tries:
    """The tries of one call. They end when its patience, `patience_s` seconds, is used up."""

    def __init__(
        self, backoff: Backoff, *, patience_s: float, clock: Timer, draw: Callable[[], float] = random.random
    ) -> None:
        self._backoff = backoff
        self._clock = clock
        self._draw = draw
        self._give_up = clock.monotonic() + patience_s
        self._attempt = 0

    @property
    def left_s(self) -> float:
        """Seconds until the patience is used up; negative afterwards."""
        return self._give_up - self._clock.monotonic()

    def again(self) -> bool:
        """Wait and return True, or return False without waiting when the next try would come too late."""
        wait = self._backoff.wait_s(self._attempt, draw=self._draw)
        if wait >= self.left_s:
            return False
        self._clock.sleep(wait)
        self._attempt += 1
        return True
