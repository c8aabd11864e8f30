"""The store of leases."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from forgetless.adapters.ledger_codec import to_blob
from forgetless.adapters.ledger_sqlite.connections import Store
from forgetless.domain.slots import Slots

__all__ = ["LeaseStore", "take_slot"]


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
