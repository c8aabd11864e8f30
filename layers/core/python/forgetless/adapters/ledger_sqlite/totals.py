"""Kept totals of the tenant and of each user, agent, app and run: one row each, changed with the memories."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from forgetless.adapters.ledger_codec import from_blob, to_blob
from forgetless.adapters.running_total import Counted, RunningTotal, counted
from forgetless.domain.limits import SCANNED_ROWS
from forgetless.domain.memory import Memory
from forgetless.domain.scope import Scope
from forgetless.ports.request_ledger import ENTITY_KINDS, Entity, EntityCounts, Totals

__all__ = [
    "BROKEN",
    "Key",
    "TotalChanges",
    "correct",
    "count_entities",
    "entities",
    "entity",
    "is_stale",
    "key_of",
    "read",
    "shown",
]

#: Tenant, kind and id. The total of the tenant itself has the kind `tenant` and an empty id.
Key = tuple[bytes, str, bytes]

_READ = "SELECT live, expiring, created_at, updated_at, stale FROM totals WHERE tenant = ? AND kind = ? AND id = ?"
_PUT = """
INSERT OR REPLACE INTO totals (tenant, kind, id, live, expiring, created_at, updated_at, stale)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_DELETE = "DELETE FROM totals WHERE tenant = ? AND kind = ? AND id = ?"
_PAGE = """
SELECT id, live, expiring, created_at, updated_at, stale FROM totals
WHERE tenant = ? AND kind = ? AND id > ? ORDER BY id LIMIT ?
"""
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM totals WHERE tenant = ? AND kind = ? LIMIT ?)"
#: Superseded memories count for the limit, because reading them costs as much.
_TIMES = """
SELECT count(*), min(created_at) FILTER (WHERE state = 0), max(updated_at) FILTER (WHERE state = 0) FROM (
    SELECT state, created_at, updated_at FROM memories INDEXED BY memories_by_{0}
    WHERE tenant = ? AND {0}_id = ? AND state < 2 LIMIT ?
)
"""

_ROWS = " UNION ALL ".join(
    f"SELECT tenant, '{kind}' AS kind, {column} AS id, count(*) AS live, sum(expires) AS expiring"  # noqa: S608 - our own names
    f" FROM memories WHERE state = 0{'' if kind == 'tenant' else f' AND {column} IS NOT NULL'} GROUP BY 1, 3"
    for kind, column in (("tenant", "x''"), *((kind, f"{kind}_id") for kind in ENTITY_KINDS))
)
#: Queries that find totals that do not agree with the memories, and the reverse.
BROKEN = {
    "memories that their total does not count": (
        f"SELECT 1 FROM ({_ROWS}) AS r LEFT JOIN totals AS t ON (t.tenant, t.kind, t.id) = (r.tenant, r.kind, r.id)"  # noqa: S608 - our own names
        " WHERE (t.live, t.expiring) IS NOT (r.live, r.expiring)"
    ),
    "totals without memories": (
        f"SELECT 1 FROM totals AS t WHERE NOT EXISTS (SELECT 1 FROM ({_ROWS}) AS r"  # noqa: S608 - our own names
        " WHERE (t.tenant, t.kind, t.id) = (r.tenant, r.kind, r.id))"
    ),
}


class TotalChanges:
    """The changes of totals in one transaction, which are written once at its end."""

    def __init__(self) -> None:
        self._changes: defaultdict[Key, list[tuple[Counted | None, Counted | None]]] = defaultdict(list)

    def add(self, before: Counted | None, after: Memory, *, scope: Scope) -> None:
        """Note that `after` replaces a memory that was counted as `before`; a deleted one has lost its `scope`."""
        now = counted(after)
        if before is not None or now is not None:
            for key in _keys(scope):
                self._changes[key].append((before, now))

    def write(self, db: sqlite3.Connection) -> None:
        """Write the totals after the noted changes."""
        for key, changes in self._changes.items():
            total = read(db, key)
            for before, after in changes:
                total = total.changed(before, after)
            if total.live:
                times = (total.created_at, total.updated_at, total.stale)
                db.execute(_PUT, (*key, total.live, total.expiring, *times))
            else:
                db.execute(_DELETE, key)


def read(db: sqlite3.Connection, key: Key) -> RunningTotal:
    """The total; zero if there is none."""
    row = db.execute(_READ, key).fetchone()
    return _loaded(row) if row is not None else RunningTotal()


def entities(
    db: sqlite3.Connection, tenant: bytes, kinds: Sequence[str], after: tuple[str, bytes], limit: int
) -> list[tuple[Key, RunningTotal]]:
    """The next totals of these kinds by (kind, id)."""
    found: list[tuple[Key, RunningTotal]] = []
    for kind in sorted(kinds):
        if kind < after[0] or len(found) >= limit:
            continue
        begin = after[1] if kind == after[0] else b""
        rows = db.execute(_PAGE, (tenant, kind, begin, limit - len(found))).fetchall()
        found += [((tenant, kind, id_), _loaded(row)) for id_, *row in rows]
    return found


def is_stale(totals: Iterable[tuple[Key, RunningTotal]]) -> list[Key]:
    """Those whose times must be looked up, as far as one request may read."""
    wanted, left = [], SCANNED_ROWS
    for key, total in totals:
        if total.stale and total.live <= left:
            left -= total.live
            wanted.append(key)
    return wanted


def correct(db: sqlite3.Connection, wanted: Sequence[Key]) -> None:
    """Take the times of these entities from their memories, unless that means to read too many rows."""
    left = SCANNED_ROWS
    for tenant, kind, id_ in wanted:
        looked_at, created_at, updated_at = db.execute(_TIMES.format(kind), (tenant, id_, left + 1)).fetchone()
        if looked_at > left:
            return
        left -= looked_at
        if created_at is not None:
            db.execute(
                "UPDATE totals SET created_at = ?, updated_at = ?, stale = 0 WHERE tenant = ? AND kind = ? AND id = ?",
                (created_at, updated_at, tenant, kind, id_),
            )


def count_entities(db: sqlite3.Connection, tenant: bytes, limit: int) -> EntityCounts:
    """The number of entities of each kind; counting stops at the limit."""
    by_kind = dict.fromkeys(ENTITY_KINDS, 0)
    left = limit
    for kind in ENTITY_KINDS:
        (found,) = db.execute(_COUNT, (tenant, kind, left + 1)).fetchone()
        by_kind[kind] = min(found, left)
        if found > left:
            return EntityCounts(by_kind, exact=False)
        left -= found
    return EntityCounts(by_kind)


def key_of(tenant: str, ids: Mapping[str, str]) -> Key:
    """The key of the total of the tenant, or of the one entity in `ids`."""
    for name, value in ids.items():
        return to_blob(tenant), name.removesuffix("_id"), to_blob(value)
    return to_blob(tenant), "tenant", b""


def shown(total: RunningTotal) -> Totals:
    """The total as the port gives it."""
    return Totals(total.live, total.expiring)


def entity(key: Key, total: RunningTotal) -> Entity:
    """The entity with its total."""
    return Entity(key[1], from_blob(key[2]), total.live, total.created_at, total.updated_at)


def _keys(scope: Scope) -> list[Key]:
    tenant = to_blob(scope.tenant)
    ids = [(tenant, name.removesuffix("_id"), to_blob(value)) for name, value in scope.ids().items()]
    return [(tenant, "tenant", b""), *ids]


def _loaded(row: Sequence[object]) -> RunningTotal:
    live, expiring, created_at, updated_at, stale = row
    return RunningTotal(int(live), int(expiring), str(created_at), str(updated_at), bool(stale))  # type: ignore[call-overload]
