"""SchemaPlan: what a migration of the ledger would do, before it is done."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SchemaPlan"]


@dataclass(frozen=True, slots=True)
class SchemaPlan:
    """`held` is the schema of the ledger, 0 if there is none yet; `ours` is that of this program.

    `least` is the least schema whose Forgetless may use the ledger afterwards. `rows`, the live `memories` and the
    `seconds` are None if unknown.
    """

    ledger: str
    held: int
    ours: int
    least: int
    rows: int | None = None
    memories: int | None = None
    seconds: float | None = None

    @property
    def steps(self) -> int:
        """The number of steps that are due."""
        return max(0, self.ours - self.held) if self.held else 0

    @property
    def can_be_taken_back(self) -> bool:
        """Whether the version that used the ledger until now may go on using it, during the upgrade and after it."""
        return not self.steps or self.least <= self.held
