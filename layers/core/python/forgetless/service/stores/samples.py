"""Samples of one tenant, taken from ledger and index and looked up in the other, while both may be written to."""

from __future__ import annotations

import uuid

from forgetless.domain.memory import Memory
from forgetless.ports.clock import Clock
from forgetless.ports.index import Index
from forgetless.ports.ledger import Ledger

__all__ = ["Samples"]

#: Memories that wait for the index and are read to tell "late" from "lost"; beyond these nothing can be told.
_MOST_PENDING = 1000

Key = tuple[str, int]


class Samples:
    """Each answer is how many were looked at, and those that are wrong for certain.

    What is written meanwhile is pending in the ledger from its append until its row is there and older rows are gone.
    So what is not pending, and stands in the ledger as before, must be in the index as the ledger has it.
    """

    def __init__(self, *, ledger: Ledger, index: Index, clock: Clock) -> None:
        self._ledger = ledger
        self._index = index
        self._clock = clock

    def missing(self, tenant: str, limit: int) -> tuple[int, list[Key]]:
        """Live memories without a row."""
        sample = self._ledger.sample(tenant, limit=limit)
        keys = [_key(memory) for memory in sample]
        return len(keys), self._surely(tenant, [key for key in keys if key not in self._index.held(tenant, keys)])

    def stray(self, tenant: str, limit: int) -> tuple[int, list[Key]]:
        """Rows without a live memory of that version: half of them from the beginning, half from a random place."""
        half = max(1, limit // 2)
        rows = {
            *self._index.keys(tenant, limit=half),
            *self._index.keys(tenant, limit=half, beyond=str(uuid.uuid4())),
        }
        live = self._live(tenant, sorted(rows))
        suspects = sorted(rows - live)
        pending = self._pending(tenant) if suspects else set()
        if pending is None:
            return 0, []
        late = [key for key in suspects if key[0] not in pending]
        still = self._index.held(tenant, late)
        return len(rows), sorted(still - self._live(tenant, sorted(still)))

    def _surely(self, tenant: str, suspects: list[Key]) -> list[Key]:
        pending = self._pending(tenant) if suspects else set()
        if pending is None:
            return []
        late = [key for key in suspects if key[0] not in pending]
        lost = set(late) - self._index.held(tenant, late)
        return sorted(lost & self._live(tenant, sorted(lost)))

    def _live(self, tenant: str, keys: list[Key]) -> set[Key]:
        found = self._ledger.read(tenant, list(dict.fromkeys(id_ for id_, _ in keys)))
        return {_key(memory) for memory in found.values() if memory.live} & set(keys)

    def _pending(self, tenant: str) -> set[str] | None:
        """Ids that wait for the index; None when there are too many to read."""
        waiting = self._ledger.unindexed(before=self._clock.now(), limit=_MOST_PENDING, tenant=tenant)
        return None if len(waiting) >= _MOST_PENDING else {memory.id for memory in waiting}


def _key(memory: Memory) -> Key:
    return memory.id, memory.version
