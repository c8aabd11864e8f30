"""Kept totals of the tenant and its entities: the number and the times of live memories, in counters beside them.

A total is the sum of several counters, and a unit of work changes one of them. Each counter also has the earliest
creation and the latest change of the memories counted in it. When a memory that may have given one of these times is
removed, the counter is marked stale. The next reader then takes both times from the entity's list and corrects the
counters, unless the list is too long for one request.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice

from forgetless.adapters.ledger_codec import from_blob, to_blob
from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.list_entries import HIGHEST, LIST
from forgetless.adapters.ledger_dynamodb.table import Between, Table
from forgetless.adapters.ledger_dynamodb.unit_of_work import Unit
from forgetless.adapters.running_total import Counted, RunningTotal, counted
from forgetless.domain.limits import SCANNED_ROWS
from forgetless.domain.memory import Memory
from forgetless.domain.scope import Scope
from forgetless.ports.request_ledger import Entity

__all__ = ["Found", "change", "clear", "correct", "counters", "following", "name_of", "named_in", "one", "tenant_total"]

#: The live memory before the change and after it.
_Live = tuple[Counted | None, Counted | None]


@dataclass(frozen=True, slots=True)
class Found:
    """The sum of the counters of one entity."""

    kind: str
    id: str
    total: RunningTotal

    def entity(self) -> Entity:
        """The entity with its totals."""
        return Entity(self.kind, self.id, self.total.live, self.total.created_at, self.total.updated_at)

    def with_times(self, created_at: str, updated_at: str) -> Found:
        """The same with other times."""
        return replace(self, total=replace(self.total, created_at=created_at, updated_at=updated_at, stale=False))


def counters(unit: Unit, scopes: Collection[Scope], *, of_tenant: bool = True) -> list[Key]:
    """The keys of the counters that this unit uses for these scopes, with or without that of the tenant."""
    tenants = {scope.tenant for scope in scopes} if of_tenant else set()
    return [item_keys.tenant_total(tenant, unit.tenant_shard) for tenant in tenants] + [
        item_keys.total(scope.tenant, unit.shard, *kind)
        for scope in scopes
        for kind in item_keys.scope_kinds(scope).items()
    ]


def change(unit: Unit, changes: Sequence[tuple[Memory | None, Memory]]) -> None:
    """Update the counters for memories that became live or are no longer live."""
    touched: defaultdict[tuple[Key, str, str], list[_Live]] = defaultdict(list)
    for before, after in changes:
        lives = (counted(before), counted(after))
        if lives == (None, None):
            continue
        # A deleted memory has lost its ids.
        scope = after.scope if before is None else before.scope
        tenant = scope.tenant
        if _number(lives[0]) != _number(lives[1]):
            touched[item_keys.tenant_total(tenant, unit.tenant_shard), "tenant", ""].append(lives)
        for kind, word in item_keys.scope_kinds(scope).items():
            touched[item_keys.total(tenant, unit.shard, kind, word), kind, word].append(lives)
    unit.load(key for key, _, _ in touched)
    for (key, kind, word), moves in touched.items():
        item = unit.get(key) or {"kind": kind, "id": to_blob(word)}
        total = _loaded(item)
        for before_, after_ in moves:
            total = total.changed(before_, after_)
        unit.put(key, {**item, **_attributes(total)})


def following(
    table: Table, tenant: str, *, after: tuple[str, str] | None, kinds: Sequence[str], limit: int
) -> tuple[list[Found], bool]:
    """The next `limit` entities after a (kind, id), fewer if they have very many counters; and whether more follow.

    Entities without live memories are among them.
    """
    found: list[Found] = []
    read = 0
    for kind in sorted(kinds):
        if after is not None and kind < after[0]:
            continue
        last = item_keys.total(tenant, 0, *after).sk if after is not None and kind == after[0] else f"{kind}#"
        size = min(limit + 1, SCANNED_ROWS // item_keys.TOTAL_SHARDS + 1)
        pages = [
            table.query(item_keys.totals(tenant, shard), Between(last, f"{kind}#{HIGHEST}"), page=size)
            for shard in range(item_keys.TOTAL_SHARDS)
        ]
        merged = (item for item in heapq.merge(*pages, key=_sort_key) if item["sk"] != last)
        for items in _grouped(merged):
            if len(found) >= limit or read >= SCANNED_ROWS:
                return found, True
            read += len(items)
            found.append(_sum(items))
    return found, False


def one(table: Table, tenant: str, kind: str, word: str) -> Found:
    """The total of one entity."""
    wanted = [item_keys.total(tenant, shard, kind, word) for shard in range(item_keys.TOTAL_SHARDS)]
    items = list(table.read(wanted).values())
    return _sum(items) if items else Found(kind, word, RunningTotal())


def tenant_total(table: Table, tenant: str) -> RunningTotal:
    """The total of the tenant."""
    wanted = [item_keys.tenant_total(tenant, shard) for shard in range(item_keys.TENANT_TOTAL_SHARDS)]
    return _together([_loaded(item) for item in table.read(wanted).values()])


def correct(unit: Unit, table: Table, tenant: str, found: Found, rows: int) -> tuple[str, str] | None:
    """Correct an entity's times, if nothing changes it meanwhile, and return them.

    Returns None and corrects nothing if the entity's list has more than so many rows.
    """
    wanted = [item_keys.total(tenant, shard, found.kind, found.id) for shard in range(item_keys.TOTAL_SHARDS)]
    unit.load(wanted)
    held = {key: item for key in wanted if (item := unit.get(key)) is not None}
    times = _times(table, tenant, found, rows)
    if times is None:
        return None
    for place, (key, item) in enumerate(held.items()):
        plain = {name: value for name, value in item.items() if name not in {"created", "updated"}} | {"stale": False}
        # Every counter is written, so that this unit fails if any of them changes.
        span = {"created": times[0], "updated": times[1]} if not place else {}
        unit.put(key, plain | {"checked": unit.id} | span)
    return times


def named_in(scopes: Iterable[Scope]) -> list[tuple[str, str]]:
    """The kind and the word of each entity that the scopes name."""
    return list(dict.fromkeys(pair for scope in scopes for pair in item_keys.scope_kinds(scope).items()))


def clear(unit: Unit, tenant: str, named: Sequence[tuple[str, str]]) -> None:
    """Remove the counters of those of these entities that have no live memories, so that their names go as well."""
    shards = range(item_keys.TOTAL_SHARDS)
    wanted = {pair: [item_keys.total(tenant, shard, *pair) for shard in shards] for pair in named}
    unit.load(key for keys in wanted.values() for key in keys)
    for keys in wanted.values():
        held = {key: item for key in keys if (item := unit.get(key)) is not None}
        if _together([_loaded(item) for item in held.values()]).live == 0:
            for key in held:
                unit.delete(key)


def name_of(ids: Mapping[str, str]) -> tuple[str, str] | None:
    """The kind and the word of the one scope id; None for the tenant."""
    return next(((name.removesuffix("_id"), word) for name, word in ids.items()), None)


def _number(one: Counted | None) -> tuple[bool, bool]:
    """What the total of the tenant counts."""
    return one is not None, one is not None and one.expires


def _loaded(item: Item) -> RunningTotal:
    times = (item.get("created", ""), item.get("updated", ""))
    return RunningTotal(item.get("total", 0), item.get("expiring", 0), *times, item.get("stale", False))


def _attributes(total: RunningTotal) -> Item:
    item: Item = {"total": total.live, "expiring": total.expiring, "stale": total.stale}
    return item | ({"created": total.created_at, "updated": total.updated_at} if total.created_at else {})


def _sum(items: Sequence[Item]) -> Found:
    total = _together([_loaded(item) for item in items])
    return Found(items[0]["kind"], from_blob(items[0]["id"]), total)


def _together(totals: Sequence[RunningTotal]) -> RunningTotal:
    created = min((total.created_at for total in totals if total.created_at), default="")
    updated = max((total.updated_at for total in totals), default="")
    return RunningTotal(
        sum(total.live for total in totals),
        sum(total.expiring for total in totals),
        created,
        updated,
        not created or any(total.stale for total in totals),
    )


def _sort_key(item: Item) -> str:
    return str(item["sk"])


def _grouped(items: Iterable[Item]) -> Iterator[list[Item]]:
    for _, group in groupby(items, key=_sort_key):
        yield list(group)


def _times(table: Table, tenant: str, found: Found, rows: int) -> tuple[str, str] | None:
    """The earliest creation and the latest change of the entity's live memories; None if its list is too long."""
    created, updated, read = "~", "", 0
    for pk in item_keys.partitions(LIST, tenant, found.kind, found.id):
        for item in islice(table.query(pk, page=rows + 1), rows + 1):
            read += 1
            if read > rows:
                return None
            if not item["superseded"]:
                created, updated = min(created, item["created"]), max(updated, item["updated"])
    return (created, updated) if updated else None
