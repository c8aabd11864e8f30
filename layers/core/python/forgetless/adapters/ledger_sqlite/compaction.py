"""Compaction: removes the empty rows of `texts` that no record names, and gives free space back to the file system.

A removed row can make SQLite move its neighbours, which leaves copies of their texts in the unused part of a page (see
blobs.py). Such copies would survive the erasure of the texts. Only VACUUM, which writes every page anew, removes them.
So the first removal notes in the same transaction that a VACUUM is owed. As long as it is owed, whoever scrubs the
ledger makes up for it; a compaction that is killed in the middle therefore breaks no promise.

VACUUM reads and writes the whole file in one transaction. In WAL mode, readers go on; writers wait until it has ended.
"""

from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path

from forgetless.adapters.ledger_sqlite import messages
from forgetless.adapters.ledger_sqlite.connections import Connections
from forgetless.domain.errors import LedgerError
from forgetless.domain.times import later
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Compaction, Tell

__all__ = ["compact", "settle"]

#: How many rows one transaction removes.
PORTION = 2000
#: The lease that keeps two compactions apart, and its seconds: longer than a VACUUM of many gigabytes.
_LEASE, _LEASE_S = b"compaction", 1800.0
_OWED = "vacuum"
#: Up to this size of the file, VACUUM keeps its working copy in memory; above, in a file that SQLite deletes at once.
_IN_MEMORY_BYTES = 512 * 1024 * 1024
#: How many steps of SQLite's virtual machine run between two reports.
_STEPS = 200_000

_NAMING_TABLES = """
SELECT tables.name FROM sqlite_master AS tables JOIN pragma_table_info(tables.name) AS columns
WHERE tables.type = 'table' AND columns.name = 'text_id' AND tables.name <> 'texts'
"""

_TAKE = """
INSERT INTO leases (name, owner, until) VALUES (?1, ?2, ?3)
ON CONFLICT (name) DO UPDATE SET owner = ?2, until = ?3 WHERE owner = ?2 OR until <= ?4
"""


_ORPHANS = """
SELECT tenant, id FROM jobs WHERE (tenant, id) > (?, ?) AND state IN ('SUCCEEDED', 'FAILED')
AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.tenant = jobs.tenant AND job_id = jobs.id)
ORDER BY tenant, id LIMIT ?
"""


def compact(connections: Connections, clock: Clock, tell: Tell) -> Compaction:
    """Remove what nothing names, and write the file anew; raises LedgerError when another compaction runs."""
    before = connections.read(_size)
    if not _take_lease(connections, clock, owner := uuid.uuid4().bytes):
        raise LedgerError("another compaction of this ledger is running; wait until it has ended")
    try:
        _forget_orphaned_jobs(connections)
        removed = _remove_unnamed(connections, tell)
        _vacuum(connections, tell)
    finally:
        connections.write(
            lambda db: db.execute("DELETE FROM leases WHERE name = ? AND owner = ?", (_LEASE, owner)), durable=False
        )
    connections.scrub()
    return Compaction(removed, before, connections.read(_size))


def settle(connections: Connections, clock: Clock) -> None:
    """Make up for the VACUUM that a killed compaction owes, unless the compaction still runs."""
    if not connections.read(_is_owed):
        return
    owner = uuid.uuid4().bytes
    if _take_lease(connections, clock, owner):
        _vacuum(connections, lambda _done, _all: None)
        connections.write(lambda db: db.execute("DELETE FROM leases WHERE name = ?", (_LEASE,)), durable=False)


def _take_lease(connections: Connections, clock: Clock, owner: bytes) -> bool:
    now = clock.now()
    params = (_LEASE, owner, later(now, _LEASE_S), now)
    return connections.write(lambda db: db.execute(_TAKE, params).rowcount == 1, durable=False)


def _forget_orphaned_jobs(connections: Connections) -> None:
    """Erase whose the ended jobs without messages were; an earlier version kept it when their last message expired."""
    after: tuple[bytes, bytes] = (b"", b"")
    while rows := connections.read(lambda db, after=after: db.execute(_ORPHANS, (*after, PORTION)).fetchall()):  # type: ignore[misc]
        connections.write(lambda db, rows=rows: _forget_all(db, rows), durable=False)  # type: ignore[misc]
        after = rows[-1]


def _forget_all(db: sqlite3.Connection, jobs: list[tuple[bytes, bytes]]) -> None:
    for tenant, job_id in jobs:
        messages.forget_orphaned_job(db, tenant, job_id)


def _remove_unnamed(connections: Connections, tell: Tell) -> int:
    unnamed = connections.read(_unnamed)
    removed = 0
    for start in range(0, len(unnamed), PORTION):
        portion = unnamed[start : start + PORTION]
        removed += connections.write(lambda db, portion=portion: _remove(db, portion), durable=False)  # type: ignore[misc]
        tell(start + len(portion), len(unnamed))
    return removed


def _unnamed(db: sqlite3.Connection) -> list[int]:
    """The empty rows that no record names. None can be named later, as only a new row is, and its id is a new one."""
    db.execute("BEGIN")
    try:
        empty = {text_id for (text_id,) in db.execute("SELECT text_id FROM texts WHERE length(body) = 0")}
        for (table,) in db.execute(_NAMING_TABLES).fetchall():
            empty.difference_update(text_id for (text_id,) in db.execute(f"SELECT text_id FROM {table}"))  # noqa: S608
        return sorted(empty)
    finally:
        db.execute("COMMIT")


def _remove(db: sqlite3.Connection, text_ids: list[int]) -> int:
    db.execute("INSERT OR IGNORE INTO upkeep (name) VALUES (?)", (_OWED,))
    # Without the last row, its id would be given to a new one.
    query = "DELETE FROM texts WHERE text_id = ? AND length(body) = 0 AND text_id < (SELECT max(text_id) FROM texts)"
    return sum(db.execute(query, (text_id,)).rowcount for text_id in text_ids)


def _is_owed(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM upkeep WHERE name = ?", (_OWED,)).fetchone() is not None


def _vacuum(connections: Connections, tell: Tell) -> None:
    size = connections.read(_size)
    log = connections.path.with_name(f"{connections.path.name}-wal")

    def work(db: sqlite3.Connection) -> None:
        if size > _IN_MEMORY_BYTES:
            db.execute("PRAGMA temp_store = FILE")
        db.set_progress_handler(lambda: tell(min(_bytes_of(log), size), size), _STEPS)
        try:
            db.execute("VACUUM")
        finally:
            db.set_progress_handler(None, 0)
            db.execute("PRAGMA temp_store = MEMORY")

    connections.rebuild(work)
    connections.write(lambda db: db.execute("DELETE FROM upkeep WHERE name = ?", (_OWED,)), durable=False)


def _size(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA page_count").fetchone()[0]) * int(db.execute("PRAGMA page_size").fetchone()[0])


def _bytes_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
