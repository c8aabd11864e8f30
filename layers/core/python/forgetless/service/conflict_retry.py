"""Retries of writes that lose a race: how long a writer reads again and tries again before it gives up."""

from __future__ import annotations

import random

from forgetless.ports.clock import Clock

__all__ = ["ConflictRetry"]

#: How long one write goes on trying; with waits like these, a hundred writers of one memory all get through.
_PATIENCE_S = 8.0
_FIRST_WAIT_S = 0.002
_LONGEST_WAIT_S = 0.1


class ConflictRetry:
    """Waits between the tries of one write, longer each time and with jitter, so that writers do not stay in step."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._give_up = clock.monotonic() + _PATIENCE_S
        self._wait = _FIRST_WAIT_S

    def again(self) -> bool:
        """Sleep and say True, or say False when the patience is used up: then the writer answers with a conflict."""
        wait = random.uniform(self._wait / 4, self._wait)
        if self._clock.monotonic() + wait >= self._give_up:
            return False
        self._clock.sleep(wait)
        self._wait = min(2 * self._wait, _LONGEST_WAIT_S)
        return True
