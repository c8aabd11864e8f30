"""The store of usage: a row for each tenant, month, key, day and kind, and one for each minute that a quota needs."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence

from forgetless.adapters.ledger_codec import from_blob, to_blob
from forgetless.adapters.ledger_sqlite.connections import Store
from forgetless.domain.cursors import from_cursor, to_cursor
from forgetless.domain.usage import UsageKind, Use, Used, day_of, minute_of, month_of, months
from forgetless.ports.usage import UsagePage, UsageRow

__all__ = ["KEYS", "UsageStore", "count"]

_COUNT = """
INSERT INTO usage (tenant, month, key_id, day, kind, count) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (tenant, month, key_id, day, kind) DO UPDATE SET count = count + ?6
"""
_COUNT_MINUTE = """
INSERT INTO usage_minutes (tenant, key_id, minute, count) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (tenant, key_id, minute) DO UPDATE SET count = count + ?4
"""
_MONTH = "SELECT day, kind, count FROM usage WHERE tenant = ? AND month = ? AND key_id = ?"
_MINUTE = "SELECT count FROM usage_minutes WHERE tenant = ? AND key_id = ? AND minute = ?"
_OF_ONE = """
SELECT day, kind, count FROM usage WHERE tenant = ?1 AND key_id = ?2 AND day BETWEEN ?3 AND ?4
    AND month IN ({}) ORDER BY day
"""
#: The next keys of a month. The tenant's own rows have the empty key.
KEYS = """
SELECT DISTINCT month, key_id FROM usage WHERE tenant = ? AND (month, key_id) > (?, ?) AND month <= ?
ORDER BY month, key_id LIMIT ?
"""
_EXPIRE = """
DELETE FROM usage WHERE (tenant, month, key_id, day, kind) IN (
    SELECT tenant, month, key_id, day, kind FROM usage INDEXED BY usage_by_month WHERE month < ? LIMIT ?
)
"""
_EXPIRE_MINUTES = """
DELETE FROM usage_minutes WHERE (tenant, key_id, minute) IN (
    SELECT tenant, key_id, minute FROM usage_minutes INDEXED BY usage_minutes_by_time WHERE minute < ? LIMIT ?
)
"""


class UsageStore(Store):
    """See `forgetless.ports.usage.UsageStore`."""

    def add_usage(self, uses: Sequence[Use]) -> None:
        if uses:
            self._connections.write(lambda db: count(db, uses), durable=False)

    def used(self, tenant: str, owners: Sequence[str], *, now: str) -> dict[str, Used]:
        return self._connections.read(lambda db: {owner: _used(db, tenant, owner, now) for owner in owners})

    def usage_of(self, tenant: str, owner: str, *, first: str, last: str) -> list[UsageRow]:
        return self._connections.read(
            lambda db: _days(db, tenant, owner, first=first, last=last, within=list(months(first, last)))
        )

    def usage_by_key(self, tenant: str, *, first: str, last: str, limit: int, cursor: str | None = None) -> UsagePage:
        month, key_id = (month_of(first), "") if cursor is None else from_cursor(cursor, str, str)
        return self._connections.read(
            lambda db: _page(db, tenant, first=first, last=last, after=(month, key_id), limit=limit)
        )

    def expire_usage(self, *, months_before: str, minutes_before: str, limit: int) -> int:
        def expire(db: sqlite3.Connection) -> int:
            expired = db.execute(_EXPIRE, (months_before, limit)).rowcount
            return expired + db.execute(_EXPIRE_MINUTES, (minutes_before, limit - expired)).rowcount

        return self._connections.write(expire, durable=False)


def count(db: sqlite3.Connection, uses: Sequence[Use]) -> None:
    """Count uses, in the transaction of the caller."""
    for use in uses:
        for owner in use.owners:
            key = (to_blob(use.tenant), to_blob(owner))
            if use.of_minute:
                db.execute(_COUNT_MINUTE, (*key, use.period, sum(use.counts.values())))
                continue
            for kind, number in use.counts.items():
                db.execute(_COUNT, (key[0], month_of(use.period), key[1], use.period, str(kind), number))


def _used(db: sqlite3.Connection, tenant: str, owner: str, now: str) -> Used:
    key = (to_blob(tenant), to_blob(owner))
    day: Counter[UsageKind] = Counter()
    month: Counter[UsageKind] = Counter()
    for of_day, kind, number in db.execute(_MONTH, (key[0], month_of(now), key[1])):
        month[UsageKind(kind)] += number
        if of_day == day_of(now):
            day[UsageKind(kind)] += number
    row = db.execute(_MINUTE, (*key, minute_of(now))).fetchone()
    return Used(day, month, 0 if row is None else int(row[0]))


def _days(
    db: sqlite3.Connection, tenant: str, owner: str, *, first: str, last: str, within: Sequence[str]
) -> list[UsageRow]:
    query = _OF_ONE.format(", ".join("?" * len(within)))
    found: dict[str, dict[UsageKind, int]] = {}
    for day, kind, number in db.execute(query, (to_blob(tenant), to_blob(owner), first, last, *within)):
        found.setdefault(day, {})[UsageKind(kind)] = number
    return [UsageRow(day, owner, counts) for day, counts in found.items()]


def _page(
    db: sqlite3.Connection, tenant: str, *, first: str, last: str, after: tuple[str, str], limit: int
) -> UsagePage:
    month, key_id = after
    params = (to_blob(tenant), month, to_blob(key_id), month_of(last), limit + 1)
    found = [(str(of_month), from_blob(owner)) for of_month, owner in db.execute(KEYS, params)]
    rows = [
        row
        for of_month, owner in found[:limit]
        if owner
        for row in _days(db, tenant, owner, first=first, last=last, within=[of_month])
    ]
    return UsagePage(tuple(rows), to_cursor(*found[limit - 1]) if len(found) > limit > 0 else None)
