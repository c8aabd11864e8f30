"""The store of API keys. What is asked about a tenant reads the rows of this tenant alone, along an index."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from forgetless.adapters.ledger_codec import from_blob, to_blob
from forgetless.adapters.ledger_sqlite.connections import Store
from forgetless.adapters.ledger_sqlite.key_rows import fill, load_key, put_key
from forgetless.domain.cursors import from_cursor, time_place, to_cursor
from forgetless.domain.errors import TooManyKeysError
from forgetless.domain.keys import ApiKey, Role
from forgetless.domain.limits import KEYS_AT_ONCE

__all__ = ["KeyStore"]

T = TypeVar("T")

_COLUMNS = "hash, body, quotas"
#: How many keys still count at a time: those that are revoked or have ended lie before it in the index.
_STANDING = "SELECT count(*) FROM (SELECT 1 FROM keys WHERE tenant = ? AND ends_at > ? LIMIT ?)"
_ENDED = "SELECT hash, body, quotas, tenant, created_at FROM keys WHERE bare = 0 AND ends_at <= ? LIMIT ?"
_NEXT_TENANT = "SELECT min(tenant) FROM keys WHERE tenant > ?"


class KeyStore(Store):
    """See `forgetless.ports.ledger.KeyStore`."""

    def put_key(self, key: ApiKey, *, held: ApiKey | None = None, most: int | None = None, now: str = "") -> bool:
        return self._connections.write(lambda db: _put(db, key, held, most, now), durable=True)

    def key(self, hash_: str) -> ApiKey | None:
        return self._connections.read(lambda db: _read(db, hash_))

    def keys(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[list[ApiKey], str | None]:
        condition = "tenant = ? AND revoked = 0"
        params: list[bytes | str] = [to_blob(tenant)]
        if cursor is not None:
            condition += " AND (created_at, id) < (?, ?)"
            params += time_place(cursor)
        query = f"SELECT {_COLUMNS} FROM keys WHERE {condition} ORDER BY created_at DESC, id DESC LIMIT ?"  # noqa: S608 - our own names
        found, more = self._by_columns(lambda db: _page(db, query, params, limit))
        return found, to_cursor(found[-1].created_at, found[-1].id) if more else None

    def all_keys(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[list[ApiKey], str | None]:
        (after,) = from_cursor(cursor, str) if cursor is not None else ("",)
        query = f"SELECT {_COLUMNS} FROM keys WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?"  # noqa: S608 - our own names
        found, more = self._by_columns(lambda db: _page(db, query, [to_blob(tenant), after], limit))
        return found, to_cursor(found[-1].id) if more else None

    def keys_by_id(self, tenant: str, ids: Collection[str]) -> dict[str, ApiKey]:
        query = f"SELECT {_COLUMNS} FROM keys WHERE tenant = ? AND id = ?"  # noqa: S608 - our own names
        places = [(to_blob(tenant), id_) for id_ in dict.fromkeys(ids)]
        rows = self._by_columns(lambda db: [db.execute(query, place).fetchone() for place in places])
        return {key.id: key for key in (_key(row) for row in rows if row is not None)}

    def remove_keys(self, tenant: str, *, limit: int) -> int:
        removed = self._connections.write(lambda db: _remove(db, tenant, limit), durable=True)
        if removed:
            self._connections.note_erased()
        return removed

    def expire_keys(self, *, before: str, limit: int) -> list[ApiKey]:
        # Mostly there is nothing to do, and then nothing is written.
        if not self._by_columns(lambda db: db.execute(_ENDED, (before, 1)).fetchall()):
            return []
        expired = self._connections.write(lambda db: _expire(db, before, limit), durable=True)
        if expired:
            self._connections.note_erased()
        return expired

    def tenants_with_keys(self) -> list[str]:
        return self._by_columns(_tenants)

    def _by_columns(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """What `read` finds by the columns, which an earlier version may have left empty since."""
        unfilled = "SELECT 1 FROM keys WHERE tenant IS NULL LIMIT 1"
        if self._connections.read(lambda db: db.execute(unfilled).fetchone()) is not None:
            self._connections.write(fill, durable=True)
        return self._connections.read(read)


def _put(db: sqlite3.Connection, key: ApiKey, held: ApiKey | None, most: int | None, now: str) -> bool:
    if _read(db, key.hash) != held:
        return False
    if most is not None:
        fill(db)
        (standing,) = db.execute(_STANDING, (to_blob(key.tenant), now, most)).fetchone()
        if standing >= most:
            raise TooManyKeysError(most)
    put_key(db, key)
    return True


def _page(db: sqlite3.Connection, query: str, params: Sequence[Any], limit: int) -> tuple[list[ApiKey], bool]:
    """The first keys with about KEYS_AT_ONCE bytes, and whether more follow."""
    found: list[ApiKey] = []
    size = 0
    for row in db.execute(query, (*params, limit + 1)):
        size += len(row[1])
        if found and (len(found) == limit or size > KEYS_AT_ONCE):
            return found, True
        found.append(_key(row))
    return found, False


def _remove(db: sqlite3.Connection, tenant: str, limit: int) -> int:
    fill(db)
    hashes = db.execute("SELECT hash FROM keys WHERE tenant = ? LIMIT ?", (to_blob(tenant), limit)).fetchall()
    db.executemany("DELETE FROM keys WHERE hash = ?", hashes)
    return len(hashes)


def _expire(db: sqlite3.Connection, before: str, limit: int) -> list[ApiKey]:
    fill(db)
    expired: list[ApiKey] = []
    for *row, tenant, created_at in db.execute(_ENDED, (before, limit)).fetchall():
        try:
            expired.append(_key(row).bare)
        except (TypeError, ValueError):  # a key of a later version
            expired.append(ApiKey(from_blob(row[0]), from_blob(tenant), Role.READ, created_at, revoked=True))
        put_key(db, expired[-1])
    return expired


def _tenants(db: sqlite3.Connection) -> list[str]:
    found: list[str] = []
    tenant: bytes | str = ""  # SQLite sorts every text below every blob, so an empty tenant is above it
    while (following := db.execute(_NEXT_TENANT, (tenant,)).fetchone()[0]) is not None:
        tenant = following
        found.append(from_blob(following))
    return found


def _read(db: sqlite3.Connection, hash_: str) -> ApiKey | None:
    row = db.execute("SELECT hash, body, quotas FROM keys WHERE hash = ?", (to_blob(hash_),)).fetchone()
    return None if row is None else _key(row)


def _key(row: Sequence[Any]) -> ApiKey:
    hash_, body, quotas = row
    return load_key(from_blob(hash_), body, quotas)
