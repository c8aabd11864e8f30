"""The store of what the index keeps refusing: pending memories by tenant, refusals, and memories that are set aside."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from forgetless.adapters.ledger_codec import from_blob, to_blob
from forgetless.adapters.ledger_sqlite.connections import Store
from forgetless.ports.ledger import Refusal, SetAside

__all__ = ["BEHIND_TENANTS", "PENDING_TENANTS", "RefusalStore"]

# Each step jumps to the next tenant, however many memories of the last one are in the index.
_TENANTS = """
WITH RECURSIVE known (tenant) AS (
    SELECT min(tenant) FROM memories INDEXED BY {index} WHERE {only}
    UNION ALL
    SELECT (SELECT min(tenant) FROM memories INDEXED BY {index} WHERE {only} AND tenant > known.tenant)
    FROM known WHERE known.tenant IS NOT NULL
)
SELECT tenant FROM known WHERE tenant IS NOT NULL LIMIT ?
"""
PENDING_TENANTS = _TENANTS.format(index="memories_pending_by_tenant", only="pending_since IS NOT NULL")
BEHIND_TENANTS = _TENANTS.format(
    index="memories_behind", only="behind_since IS NOT NULL AND pending_since IS NULL AND aside_since IS NULL"
)

_REFUSED = """
UPDATE memories SET
    refusals = refusals + 1,
    pending_since = CASE WHEN refusals + 1 < ?1 THEN ?2 END,
    aside_since = CASE WHEN refusals + 1 >= ?1 THEN ?2 END,
    aside_reason = CASE WHEN refusals + 1 >= ?1 THEN ?3 END
WHERE tenant = ?4 AND id = ?5 AND version = ?6 AND context_size = ?7 AND aside_since IS NULL
    AND (state < 2 OR pending_since IS NOT NULL)
RETURNING refusals
"""

_ASIDE = """
SELECT tenant, id, version, aside_since, aside_reason FROM memories INDEXED BY memories_set_aside
WHERE aside_since IS NOT NULL
"""

_RETRY = """
UPDATE memories SET pending_since = ?, refusals = 0, aside_since = NULL, aside_reason = NULL
WHERE aside_since IS NOT NULL
"""


class RefusalStore(Store):
    """The part of `forgetless.ports.ledger.Maintenance` about what the index refuses."""

    def pending_tenants(self, *, limit: int) -> list[str]:
        return self._tenants(PENDING_TENANTS, limit)

    def behind_tenants(self, *, limit: int) -> list[str]:
        return self._tenants(BEHIND_TENANTS, limit)

    def note_refusals(self, refusals: Sequence[Refusal], *, at: str, most: int) -> int:
        return self._connections.write(lambda db: sum(_refused(db, one, at, most) for one in refusals), durable=False)

    def set_aside(self, tenant: str | None = None, *, limit: int) -> list[SetAside]:
        only, params = ("", ()) if tenant is None else (" AND tenant = ?", (to_blob(tenant),))
        query = f"{_ASIDE}{only} ORDER BY tenant, aside_since, id LIMIT ?"
        rows = self._connections.read(lambda db: db.execute(query, (*params, limit)).fetchall())
        return [SetAside(from_blob(owner), from_blob(id_), *rest) for owner, id_, *rest in rows]

    def retry_set_aside(self, tenant: str | None = None, *, at: str) -> int:
        only, params = ("", ()) if tenant is None else (" AND tenant = ?", (to_blob(tenant),))
        return self._connections.write(lambda db: db.execute(_RETRY + only, (at, *params)).rowcount, durable=True)

    def _tenants(self, query: str, limit: int) -> list[str]:
        rows = self._connections.read(lambda db: db.execute(query, (limit,)).fetchall())
        return [from_blob(tenant) for (tenant,) in rows]


def _refused(db: sqlite3.Connection, refusal: Refusal, at: str, most: int) -> int:
    memory = refusal.memory
    key = (to_blob(memory.scope.tenant), to_blob(memory.id), memory.version, len(memory.context))
    rows = db.execute(_REFUSED, (most, at, refusal.reason, *key)).fetchall()
    return sum(count >= most for (count,) in rows)
