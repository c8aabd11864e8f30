"""Lists of memories: one entry for the tenant and one for each scope id, written together with the memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping

from forgetless.adapters.ledger_codec import to_blob
from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.table import Between, Table
from forgetless.adapters.ledger_dynamodb.unit_of_work import Unit
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.memory import Memory
from forgetless.domain.scope import NARROWEST_FIRST, SCOPE_IDS

__all__ = [
    "GONE",
    "HIGHEST",
    "LIST",
    "LOWEST",
    "check_names",
    "entries",
    "has_all",
    "merged",
    "move",
    "narrowest",
]

#: The prefix of the partitions of lists of memories.
LIST = "L"
#: The same for the tenant's deleted memories, which only an export reads.
GONE = "G"


#: Texts that sort below and above every sort key; sort keys consist of printable characters.
LOWEST, HIGHEST = " ", "~~~~"


def check_names(ids: Mapping[str, str]) -> None:
    """Raise InvalidRequestError for a name that is not a scope id."""
    for name in ids:
        if name not in SCOPE_IDS:
            raise InvalidRequestError(f"{name}: not a scope id; use one of {', '.join(SCOPE_IDS)}")


def narrowest(ids: Mapping[str, str]) -> tuple[str, str]:
    """The kind and the word of the list with the fewest entries to check."""
    name = next((name for name in NARROWEST_FIRST if ids.get(name)), None)
    return ("tenant", "") if name is None else (name.removesuffix("_id"), ids[name])


def _scope_attributes(ids: Mapping[str, str]) -> Item:
    """Scope ids as attributes of an entry, each in its form as a part of a key."""
    return {name: item_keys.part(value) for name, value in ids.items() if value}


def has_all(item: Item, ids: Mapping[str, str]) -> bool:
    """Whether the entry's scope has all ids; an empty id means that the scope must not have one of this name."""
    return all(item.get(name) == (item_keys.part(value) if value else None) for name, value in ids.items())


def entries(memory: Memory) -> list[Key]:
    """The keys of the entries of a memory in its lists."""
    sort_key = item_keys.ordered(memory.created_at, memory.position, memory.id)
    kinds = {"tenant": "", **item_keys.scope_kinds(memory.scope)}
    return [item_keys.listed(LIST, memory.scope.tenant, kind, word, sort_key) for kind, word in kinds.items()]


def move(unit: Unit, before: Memory | None, after: Memory) -> None:
    """Update the memory's entries; a deleted memory stays only in the list of deleted memories."""
    wanted = (
        {_gone(after): {"memory": to_blob(after.id)}} if after.deleted else dict.fromkeys(entries(after), _entry(after))
    )
    for key in entries(before) if before is not None else ():
        if key not in wanted:
            unit.delete(key)
    fresh = before is None or (after.deleted and not before.deleted)
    put = unit.put_new if fresh else unit.put
    for key, item in wanted.items():
        put(key, item)


def _gone(memory: Memory) -> Key:
    sort_key = item_keys.ordered(memory.created_at, memory.position, memory.id)
    return item_keys.listed(GONE, memory.scope.tenant, "tenant", "", sort_key)


def merged(table: Table, partitions: list[str], below: str | None, page: int) -> Iterator[Item]:
    """The entries of a list from all its partitions, the highest sort key first, and only those below `below`."""
    limits = Between(LOWEST, HIGHEST if below is None else below)
    streams = [table.query(pk, limits, descending=True, page=page) for pk in partitions]
    for item in heapq.merge(*streams, key=lambda item: str(item["sk"]), reverse=True):
        if item["sk"] != below:
            yield item


def _entry(memory: Memory) -> Item:
    return {
        "memory": to_blob(memory.id),
        "superseded": memory.superseded_by is not None,
        "created": memory.created_at,
        "updated": memory.updated_at,
        "context": bool(memory.context),
        **_scope_attributes(memory.scope.ids()),
    }
