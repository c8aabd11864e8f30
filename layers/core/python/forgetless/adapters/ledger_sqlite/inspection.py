"""Checks of the whole file: which tenants have memories, how many, a sample of them, and what is broken."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator

from forgetless.adapters.ledger_codec import from_blob, load_memory, to_blob
from forgetless.adapters.ledger_sqlite import totals
from forgetless.adapters.ledger_sqlite.connections import Store
from forgetless.domain.memory import Memory, random_place
from forgetless.ports.ledger import Faults, Tally

__all__ = ["InspectionStore", "counts_of"]

#: How many steps of SQLite's virtual machine run between two checks of the time.
_STEPS = 10_000
_PAGES = "the pages of the file"
#: Problems of the same kind are counted up to this number.
_MANY = 1000

# Each step jumps to the next tenant, however many memories the last one has.
_TENANTS = """
WITH RECURSIVE known (tenant) AS (
    SELECT min(tenant) FROM memories
    UNION ALL
    SELECT (SELECT min(tenant) FROM memories WHERE tenant > known.tenant) FROM known WHERE known.tenant IS NOT NULL
)
SELECT tenant FROM known WHERE tenant IS NOT NULL LIMIT ?
"""

_BY_AGE = """
SELECT body FROM memories INDEXED BY memories_by_tenant CROSS JOIN texts USING (text_id)
WHERE tenant = ? AND state < 2 AND state = 0 ORDER BY created_at {0}, position {0}, id {0} LIMIT ?
"""
# Ids are distributed evenly, so a random starting id gives a random sample.
_BEYOND = """
SELECT body FROM memories CROSS JOIN texts USING (text_id)
WHERE tenant = ? AND id >= ? AND state = 0 ORDER BY id LIMIT ?
"""

#: Queries that must find nothing, by the name of the problem. Each reads a whole table.
_BROKEN = {
    "memories without their text": "SELECT 1 FROM memories LEFT JOIN texts USING (text_id) WHERE body IS NULL",
    "events without their text": "SELECT 1 FROM events LEFT JOIN texts USING (text_id) WHERE body IS NULL",
    "messages without their text": "SELECT 1 FROM messages LEFT JOIN texts USING (text_id) WHERE body IS NULL",
    "jobs without their request": "SELECT 1 FROM jobs LEFT JOIN texts USING (text_id) WHERE texts.body IS NULL",
    "documents without their body": "SELECT 1 FROM documents LEFT JOIN texts USING (text_id) WHERE body IS NULL",
    "memories without the event of their version": (
        "SELECT 1 FROM memories m WHERE NOT EXISTS (SELECT 1 FROM events e"
        " WHERE e.tenant = m.tenant AND e.memory_id = m.id AND e.version = m.version)"
    ),
    "memories whose history has gaps": (
        "SELECT 1 FROM events GROUP BY tenant, memory_id HAVING count(*) <> max(version) OR min(version) <> 1"
    ),
    "events of memories that are not there": (
        "SELECT 1 FROM events e WHERE version = 1 AND NOT EXISTS"
        " (SELECT 1 FROM memories m WHERE m.tenant = e.tenant AND m.id = e.memory_id)"
    ),
    **totals.BROKEN,
}

#: The tables whose numbers of rows show whether a copy is complete.
_COUNTED = ("texts", "memories", "events", "messages", "jobs", "documents", "keys")


class InspectionStore(Store):
    """See `forgetless.ports.ledger.Inspection`."""

    def tenants(self, *, limit: int) -> tuple[list[str], bool]:
        rows = self._connections.read(lambda db: db.execute(_TENANTS, (limit + 1,)).fetchall())
        return [from_blob(tenant) for (tenant,) in rows[:limit]], len(rows) <= limit

    def expiring_tenants(self, *, limit: int) -> list[str]:
        return self.tenants(limit=limit)[0]  # all of them: to find out more would cost more than to look into each

    def tally(self, tenant: str | None = None, *, limit: int) -> Tally:
        only, params = ("", ()) if tenant is None else (" AND tenant = ?", (to_blob(tenant),))
        live = "SELECT 1 FROM memories INDEXED BY memories_by_tenant WHERE state < 2 AND state = 0"
        index = "memories_pending" if tenant is None else "memories_pending_by_tenant"
        pending = f"SELECT 1 FROM memories INDEXED BY {index} WHERE pending_since IS NOT NULL"  # noqa: S608 - our own names
        aside = "SELECT 1 FROM memories INDEXED BY memories_set_aside WHERE aside_since IS NOT NULL"
        behind = (
            "SELECT 1 FROM memories INDEXED BY memories_behind"
            " WHERE behind_since IS NOT NULL AND pending_since IS NULL AND aside_since IS NULL"
        )

        def look(db: sqlite3.Connection) -> Tally:
            found = [
                db.execute(f"SELECT count(*) FROM ({query}{only} LIMIT ?)", (*params, limit + 1)).fetchone()[0]  # noqa: S608 - our own names
                for query in (live, pending, aside, behind)
            ]
            counts = [min(count, limit) for count in found]
            return Tally(counts[0], counts[1], exact=max(found) <= limit, set_aside=counts[2], behind=counts[3])

        return self._connections.read(look)

    def sample(self, tenant: str, *, limit: int) -> list[Memory]:
        owner, part = to_blob(tenant), max(1, limit // 3)

        def look(db: sqlite3.Connection) -> list[tuple[bytes]]:
            rows = db.execute(_BY_AGE.format("ASC"), (owner, part)).fetchall()
            rows += db.execute(_BY_AGE.format("DESC"), (owner, part)).fetchall()
            return rows + db.execute(_BEYOND, (owner, to_blob(random_place()), limit)).fetchall()

        memories = [load_memory(tenant, body) for (body,) in self._connections.read(look)]
        return list({memory.id: memory for memory in memories}.values())[:limit]

    def faults(self, *, seconds: float, thorough: bool = False) -> Faults:
        return self._connections.read(lambda db: _faults(db, time.monotonic() + seconds, thorough))


def counts_of(db: sqlite3.Connection) -> dict[str, int]:
    """The number of rows of each table whose content cannot be rebuilt, and of memories that are `live`."""
    queries = {table: f"SELECT count(*) FROM {table}" for table in _COUNTED}  # noqa: S608
    queries["live"] = "SELECT count(*) FROM memories WHERE state = 0"
    return {name: db.execute(query).fetchone()[0] for name, query in queries.items()}


def _faults(db: sqlite3.Connection, end: float, thorough: bool) -> Faults:
    found: list[str] = []
    for what, look in _looks(db, thorough):
        db.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
        try:
            found += look()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            return Faults(tuple(found), f"the time was over while it checked {what}")
        finally:
            db.set_progress_handler(None, 0)
        if found and what == _PAGES:
            return Faults(tuple(found), _PAGES)
    return Faults(tuple(found), "the whole file" if thorough else _PAGES)


def _looks(db: sqlite3.Connection, thorough: bool) -> Iterator[tuple[str, Callable[[], list[str]]]]:
    check = "integrity_check" if thorough else "quick_check"
    yield _PAGES, lambda: _said(db, check)
    if thorough:
        for what, query in _BROKEN.items():
            yield what, lambda what=what, query=query: _counted(db, what, query)  # type: ignore[misc]


def _said(db: sqlite3.Connection, check: str) -> list[str]:
    try:
        rows = db.execute(f"PRAGMA {check}(3)").fetchall()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_CORRUPT:
            return [str(error)]
        raise
    lines = [" ".join(str(said).replace("*** in database main ***", "").split()) for (said,) in rows]
    return [] if lines == ["ok"] else lines


def _counted(db: sqlite3.Connection, what: str, query: str) -> list[str]:
    (count,) = db.execute(f"SELECT count(*) FROM ({query} LIMIT {_MANY})").fetchone()  # noqa: S608 - our own queries
    return [f"{'at least ' if count == _MANY else ''}{count} {what}"] if count else []
