"""Merged lists: one list of memories, newest first, out of several, such as those of all spellings of a user's id."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from forgetless.domain.cursors import after_memory, memory_place
from forgetless.domain.identifiers import all_spellings
from forgetless.domain.memory import Memory
from forgetless.ports.request_ledger import MemoryPage, MemoryStore

__all__ = ["list_spelled", "merged"]


def list_spelled(
    ledger: MemoryStore,
    tenant: str,
    ids: Mapping[str, str],
    *,
    limit: int,
    cursor: str | None = None,
    superseded: bool = False,
) -> MemoryPage:
    """One page of the memories that have all these ids, in any of their spellings."""
    pages = [
        ledger.list_memories(tenant, spelled, limit=limit, cursor=cursor, superseded=superseded)
        for spelled in all_spellings(ids)
    ]
    return pages[0] if len(pages) == 1 else merged(pages, limit)


def merged(pages: Sequence[MemoryPage], limit: int) -> MemoryPage:
    """One page out of a page of each list, all of which were read with this limit after the same cursor."""
    # All pages reach down to here: below it, a list whose page has ended may have memories in between.
    ends = [page.cursor for page in pages if page.cursor is not None]
    last = max(ends, key=memory_place, default=None)
    lowest = memory_place(last) if last is not None else None
    newest_first = heapq.merge(*(page.items for page in pages), key=_place, reverse=True)
    reached = [one for one in newest_first if lowest is None or _place(one) >= lowest]
    found = tuple(reached[:limit])
    return MemoryPage(found, after_memory(found[-1]) if found and len(reached) > limit else last)


def _place(memory: Memory) -> tuple[str, int, str]:
    return memory.created_at, memory.position, memory.id
