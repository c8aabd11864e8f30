"""The store of idempotency records: which requests are running, and which answers they got."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from forgetless.adapters.ledger_codec import from_blob, to_blob
from forgetless.adapters.ledger_sqlite import blobs
from forgetless.adapters.ledger_sqlite.connections import Store
from forgetless.domain.answer_ids import shown_ids
from forgetless.ports.request_ledger import IdempotencyRecord

__all__ = ["IdempotencyStore", "drop"]

#: How many expired records each new record removes, so that the table stays small without sweep.
_CLEARED_AT_ONCE = 20


_SELECT = """
SELECT fingerprint, lease_until, status, body, expires_at FROM requests LEFT JOIN texts USING (text_id)
WHERE tenant = ? AND name = ?
"""

#: A deletion takes all answers that show its memory in one transaction, so they must be few.
_MOST_ANSWERS = 100
_OLDEST = """
SELECT name FROM answered JOIN requests USING (tenant, name)
WHERE tenant = ? AND memory_id = ? ORDER BY expires_at DESC LIMIT -1 OFFSET ?
"""

_ERASED = "SELECT 1 FROM memories WHERE tenant = ? AND id = ? AND state = 2"

Key = tuple[bytes, bytes]


class IdempotencyStore(Store):
    """See `forgetless.ports.request_ledger.IdempotencyStore`."""

    def begin_request(
        self,
        tenant: str,
        name: str,
        record: IdempotencyRecord,
        *,
        now: str,
        expires_at: str,
        over: IdempotencyRecord | None = None,
    ) -> IdempotencyRecord | None:
        key = (to_blob(tenant), self._named(name))

        def begin(db: sqlite3.Connection) -> IdempotencyRecord | None:
            held, until = _read(db, key)
            if held is not None and until > now and not held.gives_way(record, now=now, over=over):
                return held
            _put(db, key, record, expires_at)
            _clear(db, now)
            return None

        return self._connections.write(begin, durable=False)

    def finish_request(
        self, tenant: str, name: str, record: IdempotencyRecord, *, began: IdempotencyRecord, expires_at: str
    ) -> None:
        key = (to_blob(tenant), self._named(name))
        # Before the write, for which others wait: the answer may be large.
        shown = [to_blob(memory_id) for memory_id in shown_ids(record.body)]

        def finish(db: sqlite3.Connection) -> None:
            # One of the memories may have been deleted before the answer could be stored.
            if _drop_own(db, key, began) and not any(db.execute(_ERASED, (key[0], id_)).fetchone() for id_ in shown):
                _put(db, key, record, expires_at, shown)

        self._connections.write(finish, durable=False)

    def drop_request(self, tenant: str, name: str, *, began: IdempotencyRecord) -> None:
        key = (to_blob(tenant), self._named(name))
        self._connections.write(lambda db: _drop_own(db, key, began), durable=False)


def drop(db: sqlite3.Connection, key: Key) -> None:
    """Erase a record and its answer."""
    query = "SELECT text_id FROM requests WHERE tenant = ? AND name = ?"
    blobs.blank(db, (text_id for (text_id,) in db.execute(query, key).fetchall()))
    db.execute("DELETE FROM requests WHERE tenant = ? AND name = ?", key)
    db.execute("DELETE FROM answered WHERE tenant = ? AND name = ?", key)


def _drop_own(db: sqlite3.Connection, key: Key, began: IdempotencyRecord) -> bool:
    held, _ = _read(db, key)
    if held is None or not held.runs_as(began):
        return False
    drop(db, key)
    return True


def _read(db: sqlite3.Connection, key: Key) -> tuple[IdempotencyRecord | None, str]:
    """The record and its expiry time."""
    row = db.execute(_SELECT, key).fetchone()
    if row is None:
        return None, ""
    body = None if row[3] is None else from_blob(row[3])
    return IdempotencyRecord(from_blob(row[0]), row[1], row[2], body), row[4]


def _put(
    db: sqlite3.Connection, key: Key, record: IdempotencyRecord, expires_at: str, shown: Iterable[bytes] = ()
) -> None:
    """Store the record; `shown` are the memories that its answer shows."""
    drop(db, key)
    text_id = None if record.body is None else blobs.add(db, to_blob(record.body))
    db.execute(
        "INSERT INTO requests (tenant, name, fingerprint, lease_until, expires_at, status, text_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*key, to_blob(record.fingerprint), record.lease_until, expires_at, record.status, text_id),
    )
    for memory_id in shown:
        db.execute("INSERT INTO answered (tenant, memory_id, name) VALUES (?, ?, ?)", (key[0], memory_id, key[1]))
        _drop_oldest(db, key[0], memory_id)


def _drop_oldest(db: sqlite3.Connection, tenant: bytes, memory_id: bytes) -> None:
    """Drop the oldest answers that show a memory beyond the most that one may have."""
    for (name,) in db.execute(_OLDEST, (tenant, memory_id, _MOST_ANSWERS)).fetchall():
        drop(db, (tenant, name))


def _clear(db: sqlite3.Connection, now: str) -> None:
    query = "SELECT tenant, name FROM requests WHERE expires_at <= ? LIMIT ?"
    for key in db.execute(query, (now, _CLEARED_AT_ONCE)).fetchall():
        drop(db, key)
