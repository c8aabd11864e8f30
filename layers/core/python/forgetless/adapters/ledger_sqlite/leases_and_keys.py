"""The stores of leases and of API keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from forgetless.adapters.ledger_codec import dump, from_blob, load, to_blob
from forgetless.adapters.ledger_sqlite.connections import Store
from forgetless.domain.keys import ApiKey, Role
from forgetless.domain.slots import Slots

__all__ = ["KeyStore", "LeaseStore", "all_keys", "put_key", "take_slot"]


_TAKE_LEASE = """
INSERT INTO leases (name, owner, until) VALUES (?1, ?2, ?3)
ON CONFLICT (name) DO UPDATE SET owner = ?2, until = ?3 WHERE owner = ?2 OR until <= ?4
"""


class LeaseStore(Store):
    """See `forgetless.ports.request_ledger.LeaseStore`."""

    def acquire_lease(self, name: str, *, owner: str, now: str, until: str) -> bool:
        params = (self._named(name), to_blob(owner), until, now)
        return self._connections.write(lambda db: db.execute(_TAKE_LEASE, params).rowcount == 1, durable=False)

    def lease_until(self, name: str) -> str | None:
        query = "SELECT until FROM leases WHERE name = ?"
        params = (self._named(name),)
        row = self._connections.read(lambda db: db.execute(query, params).fetchone())
        return None if row is None else str(row[0])

    def release_lease(self, *names: str, owner: str) -> None:
        rows = [(self._named(name), to_blob(owner)) for name in names]
        self._connections.write(
            lambda db: db.executemany("DELETE FROM leases WHERE name = ? AND owner = ?", rows), durable=False
        )

    def take_slot(self, slots: Slots) -> str | None:
        names = {name: self._named(name) for name in slots.names}
        return self._connections.write(lambda db: take_slot(db, slots, names), durable=False)


def take_slot(db: sqlite3.Connection, slots: Slots, names: Mapping[str, bytes]) -> str | None:
    """Take a slot in the transaction of the caller; `names` are the stored names of the slots, the first one first."""
    owner = to_blob(slots.owner)

    def take(name: str) -> bool:
        return db.execute(_TAKE_LEASE, (names[name], owner, slots.until, slots.now)).rowcount == 1

    return next(filter(take, names), None)


class KeyStore(Store):
    """See `forgetless.ports.ledger.KeyStore`."""

    def put_key(self, key: ApiKey, *, held: ApiKey | None = None) -> bool:
        return self._connections.write(lambda db: _put_key(db, key, held), durable=True)

    def key(self, hash_: str) -> ApiKey | None:
        return self._connections.read(lambda db: _read_key(db, hash_))

    def keys(self, tenant: str) -> list[ApiKey]:
        # Only administrators list keys, rarely, and on one machine there are few of them.
        return self._connections.read(lambda db: _keys_of(db, tenant))

    def remove_keys(self, tenant: str) -> int:
        removed = self._connections.write(lambda db: _remove_keys(db, tenant), durable=True)
        if removed:
            self._connections.note_erased()
        return removed

    def tenants_with_keys(self) -> list[str]:
        return list(dict.fromkeys(key.tenant for key in self._connections.read(all_keys)))


def all_keys(db: sqlite3.Connection) -> list[ApiKey]:
    """The keys of all tenants."""
    rows = db.execute("SELECT hash, body, quotas FROM keys").fetchall()
    return [_key(from_blob(hash_), load(body), quotas) for hash_, body, quotas in rows]


def _keys_of(db: sqlite3.Connection, tenant: str) -> list[ApiKey]:
    known = (key for key in all_keys(db) if key.tenant == tenant)
    return sorted(known, key=lambda key: (key.created_at, key.hash))


def _remove_keys(db: sqlite3.Connection, tenant: str) -> int:
    hashes = [(to_blob(key.hash),) for key in _keys_of(db, tenant)]
    db.executemany("DELETE FROM keys WHERE hash = ?", hashes)
    return len(hashes)


def _put_key(db: sqlite3.Connection, key: ApiKey, held: ApiKey | None) -> bool:
    if _read_key(db, key.hash) != held:
        return False
    put_key(db, key)
    return True


def put_key(db: sqlite3.Connection, key: ApiKey) -> None:
    """Store the key in the transaction of the caller, whatever stands in its place."""
    quotas = key.quota_record()
    row = (to_blob(key.hash), dump(key.record()), dump(quotas) if quotas else None)
    db.execute("INSERT OR REPLACE INTO keys (hash, body, quotas) VALUES (?, ?, ?)", row)


def _read_key(db: sqlite3.Connection, hash_: str) -> ApiKey | None:
    row = db.execute("SELECT body, quotas FROM keys WHERE hash = ?", (to_blob(hash_),)).fetchone()
    return None if row is None else _key(hash_, load(row[0]), row[1])


def _key(hash_: str, body: Any, quotas: bytes | None) -> ApiKey:
    if isinstance(body, list):  # the form of the first version
        tenant, admin, created_at, label, revoked = body
        return ApiKey(hash_, tenant, Role.ADMIN if admin else Role.WRITE, created_at, label, revoked)
    return ApiKey.from_record(hash_, body).with_quotas(load(quotas) if quotas else {})
