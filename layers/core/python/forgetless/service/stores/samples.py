"""Samples of one tenant: memories looked up in the index, and rows looked up in the ledger, while others may write."""

from __future__ import annotations

from collections.abc import Iterable

from forgetless.domain.memory import Memory, random_place
from forgetless.ports.index import Index
from forgetless.ports.ledger import Ledger
from forgetless.service.access.hiding_operator_ledger import HidingOperatorLedger
from forgetless.service.read_portions import memories_in_portions

__all__ = ["Samples"]

Key = tuple[str, int]


class Samples:
    """Each answer is the number of samples and the keys (memory id, version) of those that are certainly wrong.

    A memory that is written meanwhile is pending in the ledger from its append until its row is in the index and older
    rows are removed. So if a memory is not pending and has not changed, the index must hold it as the ledger does,
    unless it is set aside because embedder or index refuse it.
    """

    def __init__(self, *, ledger: Ledger, index: Index) -> None:
        self._ledger = ledger
        #: With what an open erasure hides: it is rightly in the index until the erasure has removed it.
        self._whole = ledger.whole if isinstance(ledger, HidingOperatorLedger) else ledger
        self._index = index

    def missing(self, tenant: str, limit: int) -> tuple[int, list[Key]]:
        """Samples of up to `limit` live memories; wrong are those without a row."""
        sample = self._ledger.sample(tenant, limit=limit)
        keys = [_key(memory) for memory in sample]
        return len(keys), self._surely(tenant, [key for key in keys if key not in self._index.held(tenant, keys)])

    def stray(self, tenant: str, limit: int) -> tuple[int, list[Key]]:
        """Samples of up to `limit` rows; wrong are those without a memory of their version that is live or hidden.

        Half of the samples come from the beginning of the index, half from a random place.
        """
        half = max(1, limit // 2)
        rows = {
            *self._index.keys(tenant, limit=half),
            *self._index.keys(tenant, limit=half, beyond=random_place()),
        }
        live = self._live(self._whole, tenant, sorted(rows))
        suspects = sorted(rows - live)
        pending = self._pending(tenant, suspects)
        late = [key for key in suspects if key[0] not in pending]
        still = self._index.held(tenant, late)
        return len(rows), sorted(still - self._live(self._whole, tenant, sorted(still)))

    def missing_past(self, tenant: str, limit: int) -> tuple[int, list[Key]]:
        """Samples of up to `limit` live memories; wrong are those whose version before the current one has no row."""
        sample = [memory for memory in self._ledger.sample(tenant, limit=limit) if memory.version > 1]
        keys = [(memory.id, memory.version - 1) for memory in sample]
        held = self._index.past.held(tenant, keys) if keys else {}
        lacking = [_key(memory) for memory, key in zip(sample, keys, strict=True) if key not in held]
        waiting = self._pending(tenant, lacking)
        there = self._live(self._ledger, tenant, [key for key in lacking if key[0] not in waiting])
        again = self._index.past.held(tenant, [(id_, version - 1) for id_, version in there]) if there else {}
        return len(keys), sorted(key for key in there if (key[0], key[1] - 1) not in again)

    def stray_past(self, tenant: str, limit: int) -> tuple[int, list[Key]]:
        """Samples of up to `limit` rows of the past; wrong are those whose memory is deleted or has no such version."""
        half = max(1, limit // 2)
        past = self._index.past
        rows = {*past.keys(tenant, limit=half), *past.keys(tenant, limit=half, beyond=random_place())}
        suspects = sorted(rows - self._versions(tenant, rows))
        waiting = self._pending(tenant, suspects)
        still = set(past.held(tenant, [key for key in suspects if key[0] not in waiting]))
        return len(rows), sorted(still - self._versions(tenant, still))

    def _versions(self, tenant: str, keys: Iterable[Key]) -> set[Key]:
        """Those of these keys that are versions of memories which are not deleted."""
        keys = set(keys)
        there: dict[str, int] = {}
        for _, found in memories_in_portions(self._whole, tenant, sorted({id_ for id_, _ in keys})):
            there |= {id_: memory.version for id_, memory in found.items() if not memory.deleted}
        return {(id_, version) for id_, version in keys if version <= there.get(id_, 0)}

    def _surely(self, tenant: str, suspects: list[Key]) -> list[Key]:
        pending = self._pending(tenant, suspects)
        late = [key for key in suspects if key[0] not in pending]
        lost = set(late) - self._index.held(tenant, late)
        return sorted(lost & self._live(self._ledger, tenant, sorted(lost)))

    def _live(self, ledger: Ledger, tenant: str, keys: list[Key]) -> set[Key]:
        live: set[Key] = set()
        for _, found in memories_in_portions(ledger, tenant, [id_ for id_, _ in keys]):
            live |= {_key(memory) for memory in found.values() if memory.live}
        return live & set(keys)

    def _pending(self, tenant: str, keys: Iterable[Key]) -> set[str]:
        """Those of these memories that are pending or set aside."""
        ids = list(dict.fromkeys(id_ for id_, _ in keys))
        return self._ledger.pending(tenant, ids) if ids else set()


def _key(memory: Memory) -> Key:
    return memory.id, memory.version
