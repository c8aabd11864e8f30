"""The events of a whole tenant in the order of exports."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Sequence

from forgetless.adapters.ledger_codec import from_blob, load_memory, to_blob
from forgetless.domain.cursors import to_cursor
from forgetless.domain.limits import HISTORIES_AT_ONCE
from forgetless.domain.memory import Event, EventKind
from forgetless.domain.portions import until_heavy
from forgetless.ports.ledger import EventPage

__all__ = ["page"]

#: Two partial indexes, which together contain all memories, each in the order of exports.
_SOURCES = (("memories_by_tenant", "state < 2"), ("memories_deleted", "state = 2"))

_EVENTS = """
SELECT kind, body FROM events CROSS JOIN texts USING (text_id) WHERE tenant = ? AND memory_id = ? ORDER BY version
"""

_Key = tuple[str, int, bytes]


def page(db: sqlite3.Connection, tenant: str, limit: int, after: Sequence[str | int] | None) -> EventPage:
    """The histories of up to `limit` memories after `after`, which is (created_at, position, id)."""
    owner = to_blob(tenant)
    db.execute("BEGIN")  # one snapshot for the list and the histories
    try:
        keys = _keys(db, owner, limit + 1, after)
        read = (db.execute(_EVENTS, (owner, id_)).fetchall() for _, _, id_ in keys[:limit])
        histories = list(until_heavy(read, _bytes_of, most=HISTORIES_AT_ONCE))
    finally:
        db.execute("COMMIT")
    found = tuple(Event(EventKind(kind), load_memory(tenant, body)) for rows in histories for kind, body in rows)
    if len(histories) == len(keys):
        return EventPage(found, None)
    created_at, position, id_ = keys[len(histories) - 1]
    return EventPage(found, to_cursor(created_at, position, from_blob(id_)))


def _bytes_of(rows: Sequence[tuple[str, bytes]]) -> int:
    return sum(len(body) for _, body in rows)


def _keys(db: sqlite3.Connection, owner: bytes, limit: int, after: Sequence[str | int] | None) -> list[_Key]:
    condition, params = "", []
    if after is not None:
        created_at, position, id_ = after
        condition = " AND (created_at, position, id) > (?, ?, ?)"
        params = [created_at, position, to_blob(str(id_))]
    lists: list[list[_Key]] = [
        db.execute(
            f"SELECT created_at, position, id FROM memories INDEXED BY {index} WHERE tenant = ? AND {state}{condition}"  # noqa: S608 - our own names
            " ORDER BY created_at, position, id LIMIT ?",
            (owner, *params, limit),
        ).fetchall()
        for index, state in _SOURCES
    ]
    return list(heapq.merge(*lists))[:limit]
