"""Reindex: makes the rows of memories right again that the index misses or holds otherwise than the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from forgetless.domain.memory import Memory
from forgetless.ports.index import Index, IndexRow
from forgetless.ports.request_ledger import MemoryStore
from forgetless.service.writing.indexer import Indexer, by_tenant

__all__ = ["Reindexer"]


class Reindexer:
    """Looks at what the index holds before it writes, which no request does."""

    def __init__(self, *, ledger: MemoryStore, index: Index, indexer: Indexer) -> None:
        self._ledger = ledger
        self._index = index
        self._indexer = indexer

    def holds_rows(self) -> bool:
        """Whether the index has any row at all; raises IndexUnavailableError."""
        return self._index.count() > 0

    def refresh(self, memories: Sequence[Memory]) -> int:
        """Make the index hold exactly these memories' current versions; returns how many of them are live.

        A row that is right already stays, so that no search misses it meanwhile. Raises EmbedderError and
        IndexUnavailableError; repeating is harmless.
        """
        live = [memory for memory in memories if memory.live]
        rows = self._indexer.rows(live, self._indexer.context_words(live))
        for tenant, portion in by_tenant(memories).items():
            self._index.drop_older(tenant, portion)
        if wrong := self._without_the_unchanged(rows):
            for tenant, portion in by_tenant(row.memory for row in wrong).items():
                self._index.drop(tenant, [(memory.id, memory.version) for memory in portion])
            self._index.insert(wrong)
        current, _ = self._indexer.still_current(live)
        self._ledger.mark_indexed([*current, *(memory for memory in memories if not memory.live)])
        return len(rows)

    def _without_the_unchanged(self, rows: Sequence[IndexRow]) -> list[IndexRow]:
        wrong: list[IndexRow] = []
        for tenant in {row.memory.scope.tenant for row in rows}:
            portion = [row for row in rows if row.memory.scope.tenant == tenant]
            right = self._index.unchanged(tenant, portion)
            wrong += [row for row in portion if (row.memory.id, row.memory.version) not in right]
        return wrong
