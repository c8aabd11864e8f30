"""What both ledgers keep about the live memories of a tenant or an entity, and how one memory changes it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from forgetless.domain.memory import Memory

__all__ = ["Counted", "RunningTotal", "counted"]


@dataclass(frozen=True, slots=True)
class Counted:
    """A live memory as totals see it."""

    created_at: str
    updated_at: str
    expires: bool


def counted(memory: Memory | None) -> Counted | None:
    """The memory as totals see it; None if it is not live."""
    if memory is None or not memory.live:
        return None
    return Counted(memory.created_at, memory.updated_at, memory.expiration_date is not None)


@dataclass(frozen=True, slots=True)
class RunningTotal:
    """The number of live memories, how many of them have an expiration date, and their earliest and latest times.

    The times are `stale` when a memory that may have given one of them is gone: then they span at least the true ones.
    """

    live: int = 0
    expiring: int = 0
    created_at: str = ""
    updated_at: str = ""
    stale: bool = False

    def changed(self, before: Counted | None, after: Counted | None) -> RunningTotal:
        """The total after a memory that was counted as `before` counts as `after`."""
        total = replace(
            self,
            live=self.live + (after is not None) - (before is not None),
            expiring=self.expiring + (after is not None and after.expires) - (before is not None and before.expires),
            stale=self.stale or (before is not None and not self._keeps_times(before, after)),
        )
        if after is None:
            return total
        created_at = min(self.created_at or after.created_at, after.created_at)
        return replace(total, created_at=created_at, updated_at=max(self.updated_at, after.updated_at))

    def _keeps_times(self, before: Counted, after: Counted | None) -> bool:
        """Whether the times stay the same without the memory's old state."""
        first = bool(self.created_at) and self.created_at < before.created_at
        last = self.updated_at > before.updated_at
        if after is not None:
            first, last = first or after.created_at <= before.created_at, last or after.updated_at >= before.updated_at
        return first and last
