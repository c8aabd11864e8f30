"""How many environments of all functions may initialise at once.

Imports take whole seconds of a core: sixteen at once on two cores would all run into the limit for
initialisation, which Lambda, with a machine for each, never meets.
"""

from __future__ import annotations

import os
from collections.abc import Callable


class StartGate:
    """Counts environments that initialise, and calls back whoever might start one more."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit or max(2, os.cpu_count() or 1)
        self._starting = 0
        self._waiting: list[Callable[[], None]] = []

    def subscribe(self, scale: Callable[[], None]) -> None:
        """Call `scale` whenever a place becomes free."""
        self._waiting.append(scale)

    @property
    def open(self) -> bool:
        """Return whether one more may start."""
        return self._starting < self._limit

    def enter(self) -> None:
        """Count an environment that starts."""
        self._starting += 1

    def leave(self) -> None:
        """Count an environment that has started, or has not managed to."""
        self._starting -= 1
        for scale in self._waiting:
            scale()
