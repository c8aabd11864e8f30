"""The clock port: the only source of the present time."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Clock"]


class Clock(Protocol):
    """The present time. It is injected, so that tests can set it."""

    def now(self) -> str:
        """The present timestamp. Within a process it is never the same twice and never goes back."""

    def monotonic(self) -> float:
        """Seconds for measuring durations."""

    def sleep(self, seconds: float) -> None:
        """Wait."""
