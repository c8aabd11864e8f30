"""What is to be said about a file besides what the import says: parts left out, hidden, or missing."""

from __future__ import annotations

from collections import Counter

__all__ = ["Notes"]


class Notes:
    """Counts what happened, and remembers warnings."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._warnings: list[str] = []

    def count(self, what: str) -> None:
        """Count one memory of which this is to be said."""
        self._counts[what] += 1

    def warn(self, warning: str) -> None:
        """Say this once."""
        if warning not in self._warnings:
            self._warnings.append(warning)

    def sentences(self) -> list[str]:
        """All of it, in words."""
        return [f"{what}: {count}" for what, count in self._counts.items()] + self._warnings
