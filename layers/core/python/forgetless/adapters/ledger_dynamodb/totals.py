"""Totals of entities: the number and the times of each entity's live memories, in counters beside the memories.

An entity's total is the sum of several counters, and a unit of work changes one of them. Each counter also has the
earliest creation and the latest change of the memories counted in it. When a memory that may have given one of these
times is removed, the counter is marked stale. The next reader then takes both times from the entity's list and
corrects the counter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from forgetless.adapters.ledger_codec import from_blob, to_blob
from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.list_entries import LIST
from forgetless.adapters.ledger_dynamodb.table import Table
from forgetless.adapters.ledger_dynamodb.unit_of_work import Unit
from forgetless.domain.memory import Memory
from forgetless.domain.scope import Scope
from forgetless.ports.request_ledger import Entity

__all__ = ["change", "correct", "counters", "read"]

#: The live memory before the change and after it.
_Live = tuple[Memory | None, Memory | None]


def counters(unit: Unit, scopes: Iterable[Scope]) -> list[Key]:
    """The keys of the counters that this unit uses for these scopes."""
    return [
        item_keys.total(scope.tenant, unit.shard, kind, word)
        for scope in scopes
        for kind, word in item_keys.scope_kinds(scope).items()
    ]


def change(unit: Unit, changes: Sequence[tuple[Memory | None, Memory]]) -> None:
    """Update the counters for memories that became live or are no longer live."""
    touched: defaultdict[tuple[str, str, str], list[_Live]] = defaultdict(list)
    for before, after in changes:
        lives = (_live(before), _live(after))
        if lives[0] is None and lives[1] is None:
            continue
        for kind, word in item_keys.scope_kinds(after.scope).items():
            touched[after.scope.tenant, kind, word].append(lives)
    unit.load(item_keys.total(tenant, unit.shard, kind, word) for tenant, kind, word in touched)
    for (tenant, kind, word), moves in touched.items():
        key = item_keys.total(tenant, unit.shard, kind, word)
        item = unit.get(key) or {"kind": kind, "id": to_blob(word), "total": 0, "stale": False}
        for before, after_ in moves:
            item = _counted(item, before, after_)
        unit.put(key, item)


def read(table: Table, tenant: str) -> tuple[list[Entity], list[tuple[str, str]]]:
    """Every entity with live memories, and the (kind, id) of those whose times had to be looked up."""
    found: defaultdict[tuple[str, str], list[Item]] = defaultdict(list)
    for shard in range(item_keys.TOTAL_SHARDS):
        for item in table.query(item_keys.totals(tenant, shard)):
            found[item["kind"], from_blob(item["id"])].append(item)
    entities, looked_up = [], []
    for (kind, word), items in found.items():
        total = sum(item["total"] for item in items)
        if total <= 0:
            continue
        created = min((item["created"] for item in items if "created" in item), default="")
        updated = max((item["updated"] for item in items if "updated" in item), default="")
        if not created or any(item["stale"] for item in items):
            looked_up.append((kind, word))
            created, updated = _times(table, tenant, kind, word) or (created, updated)
        entities.append(Entity(kind, word, total, created, updated))
    return entities, looked_up


def correct(unit: Unit, table: Table, tenant: str, kind: str, word: str) -> None:
    """Correct an entity's times, if nothing changes it meanwhile."""
    wanted = [item_keys.total(tenant, shard, kind, word) for shard in range(item_keys.TOTAL_SHARDS)]
    unit.load(wanted)
    held = {key: item for key in wanted if (item := unit.get(key)) is not None}
    times = _times(table, tenant, kind, word)
    for place, (key, item) in enumerate(held.items()):
        plain = {name: value for name, value in item.items() if name not in {"created", "updated"}} | {"stale": False}
        # Every counter is written, so that this unit fails if any of them changes.
        unit.put(key, plain | {"checked": unit.id} | (_span(times) if times and not place else {}))


def _counted(item: Item, before: Memory | None, after: Memory | None) -> Item:
    item = {**item, "total": item["total"] + (after is not None) - (before is not None)}
    if before is not None and not _covered(item, before, after):
        item["stale"] = True
    if after is not None:
        item["created"] = min(item.get("created", after.created_at), after.created_at)
        item["updated"] = max(item.get("updated", after.updated_at), after.updated_at)
    return item


def _covered(item: Item, before: Memory, after: Memory | None) -> bool:
    """Whether the entity's times stay the same without the memory's old state."""
    first = str(item.get("created", "~")) < before.created_at
    last = str(item.get("updated", "")) > before.updated_at
    if after is not None:
        first, last = first or after.created_at <= before.created_at, last or after.updated_at >= before.updated_at
    return first and last


def _live(memory: Memory | None) -> Memory | None:
    return memory if memory is not None and memory.live else None


def _span(times: tuple[str, str]) -> Item:
    return {"created": times[0], "updated": times[1]}


def _times(table: Table, tenant: str, kind: str, word: str) -> tuple[str, str] | None:
    """The earliest creation and the latest change of the entity's live memories, from its own list."""
    created, updated = "~", ""
    for pk in item_keys.partitions(LIST, tenant, kind, word):
        for item in table.query(pk):
            if not item["superseded"]:
                created, updated = min(created, item["created"]), max(updated, item["updated"])
    return (created, updated) if updated else None
