"""The ranges of a tenant's memories, by the first character of the id, and the list of tenants."""

from __future__ import annotations

import sqlite3

from forgetless.adapters.ledger_codec import from_blob, from_cursor, load_memory, to_blob, to_cursor
from forgetless.adapters.ledger_sqlite.connections import Store
from forgetless.ports.request_ledger import MemoryPage

__all__ = ["RangeStore"]

#: Where each range begins. Ids are UUIDs, whose first characters are evenly spread; any other id is in a range, too.
_BEGINS = (b"", b"4", b"8", b"c", b"\xff" * 8)

# Deleted memories are read and left out afterwards, so that the work for a page does not grow with their number.
_PAGE = """
SELECT id, state, (SELECT body FROM texts WHERE texts.text_id = memories.text_id) FROM memories
WHERE tenant = ? AND id {} ? AND id < ? ORDER BY id LIMIT ?
"""
_FIRST_PAGE, _LATER_PAGE = _PAGE.format(">="), _PAGE.format(">")

_NEXT_TENANT = "SELECT tenant FROM memories WHERE tenant > ? ORDER BY tenant LIMIT 1"


class RangeStore(Store):
    """See `list_range` and `list_tenants` in `forgetless.ports.ledger`."""

    def list_range(self, tenant: str, number: int, *, limit: int, cursor: str | None = None) -> MemoryPage:
        query, after = _FIRST_PAGE, _BEGINS[number]
        if cursor is not None:
            query, after = _LATER_PAGE, to_blob(from_cursor(cursor, str)[0])
        params = (to_blob(tenant), after, _BEGINS[number + 1], limit + 1)
        rows = self._connections.read(lambda db: db.execute(query, params).fetchall())
        items = tuple(load_memory(tenant, body) for _, state, body in rows[:limit] if state < 2)
        return MemoryPage(items, to_cursor(from_blob(rows[limit - 1][0])) if len(rows) > limit > 0 else None)

    def list_tenants(self, *, limit: int, cursor: str | None = None) -> tuple[list[str], str | None]:
        after = None if cursor is None else to_blob(from_cursor(cursor, str)[0])
        found = self._connections.read(lambda db: _tenants(db, after, limit + 1))
        names = [from_blob(name) for name in found[:limit]]
        return names, to_cursor(names[-1]) if len(found) > limit > 0 else None


def _tenants(db: sqlite3.Connection, after: bytes | None, limit: int) -> list[bytes]:
    """The next tenants, each found by one step in the index, so that the work does not grow with their memories."""
    found: list[bytes] = []
    first = "SELECT min(tenant) FROM memories" if after is None else None
    while len(found) < limit:
        row = db.execute(first).fetchone() if first else db.execute(_NEXT_TENANT, (after,)).fetchone()
        first = None
        if row is None or row[0] is None:
            break
        after = row[0]
        found.append(row[0])
    return found
