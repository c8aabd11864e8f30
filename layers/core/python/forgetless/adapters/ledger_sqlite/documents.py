"""The store of documents."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterable

from forgetless.adapters.ledger_codec import dump, from_blob, load, to_blob
from forgetless.adapters.ledger_sqlite import blobs
from forgetless.adapters.ledger_sqlite.connections import Store
from forgetless.domain.cursors import time_place, to_cursor
from forgetless.domain.documents import OF_MEMORIES, Document, in_turn
from forgetless.domain.limits import JOBS_AT_ONCE
from forgetless.domain.portions import until_heavy

__all__ = ["DocumentStore", "forget_of_memory", "of_kinds", "put_in_their_place"]

_SELECT = (
    "SELECT tenant, kind, id, texts.body, created_at, version, due_at FROM documents CROSS JOIN texts USING (text_id)"
)
_ONE = f"{_SELECT} WHERE tenant = ? AND kind = ? AND id = ?"


_PUT = """
INSERT OR REPLACE INTO documents (tenant, kind, id, created_at, version, due_at, text_id) VALUES (?, ?, ?, ?, ?, ?, ?)
"""

_HELD = "SELECT version, created_at, text_id FROM documents WHERE tenant = ? AND kind = ? AND id = ?"

_IS_TOMBSTONE = "SELECT 1 FROM memories WHERE tenant = ? AND id = ? AND state = 2"

_NEXT_TENANT = "SELECT min(tenant) FROM documents WHERE kind = ? AND due_at IS NOT NULL AND tenant > ?"

Key = tuple[bytes, str, bytes]
Row = tuple[bytes, str, bytes, bytes, str, int, str | None]


class DocumentStore(Store):
    """See `forgetless.ports.request_ledger.DocumentStore`."""

    def put_document(self, document: Document) -> bool:
        return self._connections.write(lambda db: _put(db, document), durable=True)

    def document(self, tenant: str, kind: str, id_: str) -> Document | None:
        row = self._connections.read(lambda db: db.execute(_ONE, _key(tenant, kind, id_)).fetchone())
        return None if row is None else _load(row)

    def documents(
        self, tenant: str, kind: str, *, limit: int, cursor: str | None = None
    ) -> tuple[list[Document], str | None]:
        condition, params = "tenant = ? AND kind = ?", [to_blob(tenant), kind]
        if cursor is not None:
            created_at, id_ = time_place(cursor)
            condition += " AND (created_at, id) < (?, ?)"
            params += [created_at, to_blob(id_)]
        query = f"{_SELECT} WHERE {condition} ORDER BY created_at DESC, id DESC LIMIT ?"
        rows = self._connections.read(lambda db: db.execute(query, (*params, limit + 1)).fetchall())
        found = [_load(row) for row in rows[:limit]]
        last = found[-1] if len(rows) > limit and found else None
        return found, to_cursor(last.created_at, last.id) if last else None

    def count_documents(self, tenant: str, kind: str, *, limit: int) -> int:
        query = "SELECT count(*) FROM (SELECT 1 FROM documents WHERE tenant = ? AND kind = ? LIMIT ?)"
        (count,) = self._connections.read(lambda db: db.execute(query, (to_blob(tenant), kind, limit)).fetchone())
        return int(count)

    def documents_by_id(self, tenant: str, kind: str, ids: Collection[str]) -> dict[str, Document]:
        places = [_key(tenant, kind, id_) for id_ in dict.fromkeys(ids)]
        rows = self._connections.read(lambda db: [db.execute(_ONE, place).fetchone() for place in places])
        return {document.id: document for document in (_load(row) for row in rows if row is not None)}

    def due_documents(self, kind: str, *, now: str, limit: int) -> list[Document]:
        query = f"{_SELECT} WHERE kind = ? AND due_at <= ? ORDER BY due_at, tenant, id LIMIT ?"

        def look(db: sqlite3.Connection) -> list[Row]:
            # A statement that is not read to its end goes on reading the log.
            with contextlib.closing(db.execute(query, (kind, now, limit))) as rows:
                return _some(rows)

        return [_load(row) for row in self._connections.read(look)]

    def due_in_turn(self, kind: str, *, now: str, limit: int, each: int) -> list[Document]:
        def look(db: sqlite3.Connection) -> list[Row]:
            keys = in_turn(_due_by_tenant(db, kind, now, limit, each), limit)
            return _some(row for key in keys if (row := db.execute(_ONE, key).fetchone()) is not None)

        return [_load(row) for row in self._connections.read(look)]

    def delete_document(self, tenant: str, kind: str, id_: str) -> bool:
        deleted = self._connections.write(lambda db: _delete(db, _key(tenant, kind, id_)), durable=True)
        if deleted:
            self._connections.note_erased()
        return deleted


def forget_of_memory(db: sqlite3.Connection, tenant: bytes, memory_id: bytes) -> None:
    """Erase the documents that belong to a memory, which is deleted in this transaction."""
    for kind in OF_MEMORIES:
        _delete(db, (tenant, kind, memory_id))


def of_kinds(db: sqlite3.Connection, kinds: Collection[str]) -> list[Document]:
    """The documents of these kinds of all tenants. Raises ValueError if one has lost its body."""
    query = f"{_SELECT.replace('CROSS', 'LEFT')} WHERE kind = ?"
    rows = [row for kind in kinds for row in db.execute(query, (kind,))]
    if any(row[3] is None for row in rows):
        raise ValueError("a document has lost its body")
    return [_load(row) for row in rows]


def put_in_their_place(db: sqlite3.Connection, kinds: Collection[str], documents: Iterable[Document]) -> None:
    """Erase all documents of these kinds, and store others as they are, with their versions."""
    for kind in kinds:
        held = db.execute("SELECT text_id FROM documents WHERE kind = ?", (kind,)).fetchall()
        blobs.blank(db, (text_id for (text_id,) in held))
        db.execute("DELETE FROM documents WHERE kind = ?", (kind,))
    for one in documents:
        body = blobs.replace(db, None, dump(one.body))
        db.execute(_PUT, (*_key(one.tenant, one.kind, one.id), one.created_at, one.version, one.due_at, body))


def _key(tenant: str, kind: str, id_: str) -> Key:
    return to_blob(tenant), kind, to_blob(id_)


def _put(db: sqlite3.Connection, document: Document) -> bool:
    key = _key(document.tenant, document.kind, document.id)
    version, created_at, text_id = db.execute(_HELD, key).fetchone() or (0, document.created_at, None)
    if (version, created_at) != (document.version - 1, document.created_at):
        return False
    # The write lock makes this check and the write atomic: no deletion comes between.
    if document.kind in OF_MEMORIES and db.execute(_IS_TOMBSTONE, (key[0], key[2])).fetchone() is not None:
        return False
    held = blobs.replace(db, text_id, dump(document.body))
    db.execute(_PUT, (*key, document.created_at, document.version, document.due_at, held))
    return True


def _delete(db: sqlite3.Connection, key: Key) -> bool:
    held = db.execute(_HELD, key).fetchone()
    if held is None:
        return False
    blobs.blank(db, held[2:])
    db.execute("DELETE FROM documents WHERE tenant = ? AND kind = ? AND id = ?", key)
    return True


def _some(rows: Iterable[Row]) -> list[Row]:
    return list(until_heavy(rows, lambda row: len(row[3]), most=JOBS_AT_ONCE))


def _due_by_tenant(db: sqlite3.Connection, kind: str, now: str, limit: int, each: int) -> list[list[Key]]:
    """The keys of what is due of each tenant; tenants whose first is due longest come first."""
    columns, order = "tenant, kind, id, due_at", "due_at, id"
    query = f"SELECT {columns} FROM documents WHERE kind = ? AND tenant = ? AND due_at <= ? ORDER BY {order} LIMIT ?"  # noqa: S608
    found: list[tuple[str, list[Key]]] = []
    tenant: bytes | str | None = ""  # SQLite sorts every text below every blob, so an empty tenant is above it
    while True:
        (tenant,) = db.execute(_NEXT_TENANT, (kind, tenant)).fetchone()
        if tenant is None:
            break
        rows = db.execute(query, (kind, tenant, now, min(each, limit))).fetchall()
        if rows:
            found.append((rows[0][-1], [row[:3] for row in rows]))
    return [keys for _, keys in sorted(found, key=lambda one: one[0])]


def _load(row: Row) -> Document:
    tenant, kind, id_, body, created_at, version, due_at = row
    return Document(from_blob(tenant), kind, from_blob(id_), load(body), created_at, version, due_at)
