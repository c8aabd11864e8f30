"""The clock port: the only source of now."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Clock"]


class Clock(Protocol):
    """Now, injected so that tests move it."""

    def now(self) -> str:
        """The present timestamp; never the same twice and never going back within a process."""

    def monotonic(self) -> float:
        """Seconds for measuring durations."""

    def sleep(self, seconds: float) -> None:
        """Wait."""
