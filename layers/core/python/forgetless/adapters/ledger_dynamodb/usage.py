"""The store of usage: an item for each month and each minute of a key and of the tenant, in eight shards.

An item is raised without being read (ADD), so that no writer waits for another one's condition. The item of a month has
a total of each kind (`r`, `a`, `u`, `s`, `t`) and one for each of its days (`r28`). DynamoDB removes it by its TTL.
"""

from __future__ import annotations

import heapq
import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby

from forgetless.adapters.ledger_codec import from_blob, to_blob
from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import Item, to_wire
from forgetless.adapters.ledger_dynamodb.expiry import EXPIRES_AT, seconds_of
from forgetless.adapters.ledger_dynamodb.failures import ContendedError
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.list_entries import HIGHEST
from forgetless.adapters.ledger_dynamodb.staged_commit import Action, transact
from forgetless.adapters.ledger_dynamodb.table import Between
from forgetless.adapters.ledger_dynamodb.unit_of_work import Store, Unit
from forgetless.domain.cursors import from_cursor, to_cursor
from forgetless.domain.errors import LedgerError
from forgetless.domain.times import later
from forgetless.domain.usage import (
    MINUTES_KEPT_S,
    OF_TENANT,
    USAGE_KEPT_DAYS,
    UsageKind,
    Use,
    Used,
    day_of,
    minute_of,
    month_of,
    months,
)
from forgetless.ports.usage import UsagePage, UsageRow

__all__ = ["UsageStore", "count"]

_LETTERS = {
    UsageKind.REQUESTS: "r",
    UsageKind.ADDS: "a",
    UsageKind.UPDATES: "u",
    UsageKind.SEARCHES: "s",
    UsageKind.LLM_TOKENS: "t",
}


class UsageStore(Store):
    """See `forgetless.ports.usage.UsageStore`."""

    def add_usage(self, uses: Sequence[Use]) -> None:
        if not uses:
            return
        tries = self._table.client.tries()
        self._table.claim()
        while True:
            # Another shard each time, so that writers who met part again.
            actions = _raises(uses, random.randrange(item_keys.USAGE_SHARDS))
            try:
                transact(self._table, actions, token=uuid.uuid4().hex, once=True)
            except ContendedError:
                if not tries.again():
                    raise LedgerError("other writers keep changing the same counters of usage; try again") from None
            else:
                return

    def used(self, tenant: str, owners: Sequence[str], *, now: str) -> dict[str, Used]:
        month, minute = month_of(now), minute_of(now)
        wanted = [
            item_keys.usage(tenant, shard, period, owner)
            for owner in owners
            for shard in range(item_keys.USAGE_SHARDS)
            for period in (month, minute)
        ]
        items = self._table.read(wanted)

        def held(owner: str, period: str) -> Counter[str]:
            keys = (item_keys.usage(tenant, shard, period, owner) for shard in range(item_keys.USAGE_SHARDS))
            return _together(items[key] for key in keys if key in items)

        found = {}
        for owner in owners:
            figures = held(owner, month)
            found[owner] = Used(_of_day(figures, day_of(now)), _kinds(figures), held(owner, minute)["r"])
        return found

    def usage_of(self, tenant: str, owner: str, *, first: str, last: str) -> list[UsageRow]:
        wanted = [
            item_keys.usage(tenant, shard, month, owner)
            for month in months(first, last)
            for shard in range(item_keys.USAGE_SHARDS)
        ]
        by_month: defaultdict[str, list[Item]] = defaultdict(list)
        for key, item in self._table.read(wanted).items():
            by_month[key.sk[:7]].append(item)
        return [row for month in sorted(by_month) for row in _rows(month, owner, by_month[month], first, last)]

    def usage_by_key(self, tenant: str, *, first: str, last: str, limit: int, cursor: str | None = None) -> UsagePage:
        after = None if cursor is None else str(from_cursor(cursor, str)[0])
        low = f"{month_of(first)}#" if after is None else after
        between = Between(low, f"{month_of(last)}#{HIGHEST}")
        pages = [
            self._table.query(item_keys.usage_partition(tenant, shard), between, page=limit + 2)
            for shard in range(item_keys.USAGE_SHARDS)
        ]
        rows: list[UsageRow] = []
        place, keys = low, 0
        for sk, items in groupby(heapq.merge(*pages, key=_sort_key), key=_sort_key):
            if sk == after:
                continue
            if keys >= limit:
                return UsagePage(tuple(rows), to_cursor(place))
            held, place, keys = list(items), sk, keys + 1
            owner = from_blob(held[0]["key"])
            if owner != OF_TENANT:
                rows += _rows(sk[:7], owner, held, first, last)
        return UsagePage(tuple(rows), None)

    def expire_usage(self, *, months_before: str, minutes_before: str, limit: int) -> int:
        del months_before, minutes_before, limit
        return 0  # DynamoDB does it


def count(unit: Unit, uses: Sequence[Use]) -> None:
    """Count uses in the write of the unit, if it writes anything."""
    unit.along = _raises(uses, unit.shard)


def _raises(uses: Iterable[Use], shard: int) -> list[Action]:
    """The actions that count uses; a transaction may not touch an item twice."""
    figures: defaultdict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for use in uses:
        for owner in use.owners:
            period = use.period if use.of_minute else month_of(use.period)
            for kind, number in use.counts.items():
                letter = _LETTERS[kind]
                figures[use.tenant, period, owner][letter] += number
                if not use.of_minute:
                    figures[use.tenant, period, owner][letter + use.period[8:10]] += number
    return [
        _raise(item_keys.usage(tenant, shard, period, owner), owner, _ends_at(period), raised)
        for (tenant, period, owner), raised in figures.items()
    ]


def _raise(key: Key, owner: str, ends_at: str, raised: Mapping[str, int]) -> Action:
    names = {f"#{name}": name for name in ("key", EXPIRES_AT, *raised)}
    values = {":key": to_blob(owner), ":ends": seconds_of(ends_at), **{f":{name}": n for name, n in raised.items()}}
    adding = ", ".join(f"#{name} :{name}" for name in raised)
    return {
        "Update": {
            "Key": to_wire(key._asdict()),
            "UpdateExpression": f"SET #key = :key, #{EXPIRES_AT} = :ends ADD {adding}",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": to_wire(values),
        }
    }


def _ends_at(period: str) -> str:
    """When the figures of a month or a minute are removed."""
    if len(period) > 7:
        return later(f"{period}:00.000000+00:00", 60 + MINUTES_KEPT_S)
    following = (date.fromisoformat(f"{period}-28") + timedelta(days=4)).replace(day=1)
    return f"{following + timedelta(days=USAGE_KEPT_DAYS)}T00:00:00.000000+00:00"


def _together(items: Iterable[Item]) -> Counter[str]:
    figures: Counter[str] = Counter()
    for item in items:
        figures.update(
            {name: value for name, value in item.items() if name[:1] in _LETTERS.values() and _number(value)}
        )
    return figures


def _number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _kinds(figures: Mapping[str, int]) -> dict[UsageKind, int]:
    return {kind: figures[letter] for kind, letter in _LETTERS.items() if letter in figures}


def _of_day(figures: Mapping[str, int], day: str) -> dict[UsageKind, int]:
    letters = {kind: letter + day[8:10] for kind, letter in _LETTERS.items()}
    return {kind: figures[name] for kind, name in letters.items() if name in figures}


def _rows(month: str, owner: str, items: Sequence[Item], first: str, last: str) -> Iterator[UsageRow]:
    figures = _together(items)
    for number in range(1, 32):
        day = f"{month}-{number:02d}"
        if first <= day <= last and (counts := _of_day(figures, day)):
            yield UsageRow(day, owner, counts)


def _sort_key(item: Item) -> str:
    return str(item["sk"])
