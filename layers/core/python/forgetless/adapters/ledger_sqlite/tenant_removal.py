"""Removes the records of one tenant from every table, in transactions of bounded size."""

from __future__ import annotations

import sqlite3

from forgetless.adapters.ledger_codec import to_blob
from forgetless.adapters.ledger_sqlite import blobs
from forgetless.adapters.ledger_sqlite.connections import Store
from forgetless.adapters.ledger_sqlite.erasures import state_of
from forgetless.domain.cursors import from_cursor, to_cursor
from forgetless.domain.limits import HISTORIES_AT_ONCE

__all__ = ["KEPT_TO_THE_END", "TABLES", "TenantStore"]

#: Each table with a column `tenant`: the other columns of its primary key, and whether its rows have a text. Those that
#: name others come before what they name, so that a check of the file in the middle of a removal finds no fault.
TABLES: dict[str, tuple[tuple[str, ...], bool]] = {
    "contexts": (("job_id", "position", "memory_id"), False),
    "messages": (("job_id", "position"), True),
    "jobs": (("id",), True),
    "answered": (("memory_id", "name"), False),
    "requests": (("name",), True),
    "page_ends": (("name",), False),
    "documents": (("kind", "id"), True),
    "memories": (("id",), False),  # their text is that of their last event
    "events": (("memory_id", "version"), True),
    "totals": (("kind", "id"), False),
    "names": (("owner", "name", "user_id", "agent_id", "app_id", "run_id"), False),
    "usage": (("month", "key_id", "day", "kind"), False),
    "usage_minutes": (("key_id", "minute"), False),
}
#: They tell late writers that the tenant is being deleted.
KEPT_TO_THE_END = ("erasures", "erasure_states")


class TenantStore(Store):
    """See `remove_tenant` and `forget_tenant` in `forgetless.ports.ledger`."""

    def remove_tenant(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[int, str | None]:
        table = next(iter(TABLES)) if cursor is None else str(from_cursor(cursor, str)[0])
        removed, more = self._connections.write(lambda db: _remove(db, table, tenant, limit), durable=True)
        if removed:
            self._connections.note_erased()
        if more:
            return removed, to_cursor(table)
        names = list(TABLES)
        later = names[names.index(table) + 1 :]
        return removed, to_cursor(later[0]) if later else None

    def forget_tenant(self, tenant: str, *, limit: int) -> bool:
        return self._connections.write(lambda db: _forget(db, tenant, limit), durable=True)


def _remove(db: sqlite3.Connection, table: str, tenant: str, limit: int) -> tuple[int, bool]:
    """Remove up to `limit` rows of one table with at most HISTORIES_AT_ONCE bytes of text, but at least one.

    Returns how many, and whether more may follow.
    """
    if not state_of(db, tenant).closed:
        return 0, False
    key, has_text = TABLES[table]
    columns = ", ".join((*key, "text_id") if has_text else key)
    owner = to_blob(tenant)
    found = db.execute(f"SELECT {columns} FROM {table} WHERE tenant = ? LIMIT ?", (owner, limit)).fetchall()  # noqa: S608 - our own names
    rows = found[: blobs.few(db, [row[-1] for row in found], most=HISTORIES_AT_ONCE)] if has_text else found
    if has_text:
        blobs.blank(db, (row[-1] for row in rows))
    where = " AND ".join(f"{name} = ?" for name in ("tenant", *key))
    db.executemany(f"DELETE FROM {table} WHERE {where}", [(owner, *row[: len(key)]) for row in rows])  # noqa: S608 - our own names
    return len(rows), len(rows) < len(found) or len(found) == limit


def _forget(db: sqlite3.Connection, tenant: str, limit: int) -> bool:
    if not state_of(db, tenant).closed:
        return True
    owner = to_blob(tenant)
    query = "SELECT number FROM erasures WHERE tenant = ? ORDER BY number LIMIT ?"
    numbers = db.execute(query, (owner, limit + 1)).fetchall()
    db.executemany(
        "DELETE FROM erasures WHERE tenant = ? AND number = ?", [(owner, number) for (number,) in numbers[:limit]]
    )
    if len(numbers) > limit:
        return False
    db.execute("DELETE FROM erasure_states WHERE tenant = ?", (owner,))
    return True
