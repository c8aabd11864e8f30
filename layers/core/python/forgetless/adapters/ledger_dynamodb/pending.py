"""The store of what the index lacks: pending memories by tenant and time, refusals, and memories that are set aside."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

from forgetless.adapters.ledger_codec import from_blob, load_memory
from forgetless.adapters.ledger_dynamodb import append, item_keys, list_entries
from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.table import Between, key_of, portions
from forgetless.adapters.ledger_dynamodb.unit_of_work import Store, Unit, body_bytes
from forgetless.domain.limits import HISTORIES_AT_ONCE
from forgetless.domain.memory import Memory
from forgetless.domain.portions import first_portion
from forgetless.domain.times import far_after
from forgetless.ports.ledger import Refusal, SetAside

__all__ = ["PENDING", "PendingStore", "everything"]

#: How many heads are changed in one transaction.
_PORTION = 100
#: How many entries of a queue are read at once.
_PAGE = 200
#: The character after the `#` that ends a tenant in a sort key: whatever follows belongs to later tenants.
_NEXT_TENANT = "$"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Memories that a generation of the index lacks: their queues, and how the head of one shows that it is in them."""

    queues: tuple[str, ...]
    has: Callable[[Item], bool]


PENDING = Waiting(item_keys.PENDING_QUEUES, lambda head: "pending" in head)
BEHIND = Waiting(item_keys.BEHIND_QUEUES, lambda head: "behind" in head and not append.waits(head))


class PendingStore(Store):
    """The part of `forgetless.ports.ledger.Maintenance` about what the index lacks or refuses."""

    def unindexed(
        self, *, before: str, limit: int, tenant: str | None = None, most: int = HISTORIES_AT_ONCE
    ) -> list[Memory]:
        tenants = self._tenant_parts(PENDING) if tenant is None else iter([item_keys.part(tenant)])
        return self._oldest(PENDING, tenants, before, limit, most)

    def behind(self, tenant: str, *, before: str, limit: int) -> list[Memory]:
        return self._oldest(BEHIND, iter([item_keys.part(tenant)]), before, limit, HISTORIES_AT_ONCE)

    def mark_pending(self, memories: Sequence[Memory], *, at: str) -> None:
        for portion in portions(memories, _PORTION):
            self._units.run(partial(_pending, memories=portion, at=at))

    def mark_behind(self, memories: Sequence[Memory], *, at: str) -> None:
        for portion in portions(memories, _PORTION):
            self._units.run(partial(_behind, memories=portion, at=at))

    def mark_caught_up(self, memories: Sequence[Memory]) -> list[Memory]:
        found = (self._units.run(partial(_caught_up, memories=portion)) for portion in portions(memories, _PORTION))
        return [memory for refused in found for memory in refused]

    def _oldest(self, what: Waiting, tenants: Iterator[str], before: str, limit: int, most: int) -> list[Memory]:
        parts = list(tenants)
        times = (Between(list_entries.LOWEST, before), Between(far_after(before), list_entries.HIGHEST))
        oldest = chain.from_iterable(
            heapq.merge(
                *(self._queued(what, part, since, limit) for part in parts),
                key=lambda entry: str(entry["gsi1sk"]).partition("#")[2],
            )
            for since in times
        )
        found = (item for portion in portions(oldest, max(limit, 1)) for item in self._still_in(what, portion))
        few, _ = first_portion(islice(found, limit), body_bytes, most=most)
        bodies = self._table.bodies(few)
        return [load_memory(from_blob(item["tenant"]), body) for item, body in bodies if what.has(item)]

    def pending_tenants(self, *, limit: int) -> list[str]:
        return self._tenants(PENDING, limit)

    def behind_tenants(self, *, limit: int) -> list[str]:
        return self._tenants(BEHIND, limit)

    def _tenants(self, what: Waiting, limit: int) -> list[str]:
        found: list[str] = []
        for part in self._tenant_parts(what):
            # A digest stands for some names, so the name is read from a memory.
            heads = map(key_of, self._queued(what, part, everything(), 1))
            read = (self._table.one(key) for key in heads)
            item = next((item for item in read if item is not None and what.has(item)), None)
            if item is not None:
                found.append(from_blob(item["tenant"]))
            if len(found) >= limit:
                break
        return found

    def note_refusals(self, refusals: Sequence[Refusal], *, at: str, most: int) -> int:
        return sum(
            self._units.run(partial(_note, refusals=portion, at=at, most=most))
            for portion in portions(refusals, _PORTION)
        )

    def set_aside(self, tenant: str | None = None, *, limit: int) -> list[SetAside]:
        found: list[SetAside] = []
        for portion in portions(self._aside(tenant), max(limit, 1)):
            items = self._table.read(portion)
            heads = [items[key] for key in portion if key in items and "aside_since" in items[key]]
            for item, body in self._table.bodies(heads):
                owner = from_blob(item["tenant"])
                memory = load_memory(owner, body)
                found.append(SetAside(owner, memory.id, memory.version, item["aside_since"], item["aside_reason"]))
            if len(found) >= limit:
                break
        return found[:limit]

    def retry_set_aside(self, tenant: str | None = None, *, at: str) -> int:
        keys = list(self._aside(tenant))
        return sum(self._units.run(partial(_retry, heads=portion, at=at)) for portion in portions(keys, _PORTION))

    def _aside(self, tenant: str | None) -> Iterator[Key]:
        limits = everything() if tenant is None else _of_tenant(item_keys.part(tenant), everything())
        for queue in item_keys.ASIDE_QUEUES:
            yield from self._table.queue(queue, limits, page=_PAGE)

    def _queued(self, what: Waiting, part: str, since: Between, page: int) -> Iterator[Item]:
        """The entries of a tenant in all queues, of a span of time, the oldest first."""
        limits = _of_tenant(part, since)
        streams = [self._table.queue_entries(queue, limits, page=page) for queue in what.queues]
        return heapq.merge(*streams, key=lambda entry: str(entry["gsi1sk"]))

    def _still_in(self, what: Waiting, entries: Sequence[Item]) -> Iterator[Item]:
        """The heads of those entries that are up to date: the index may lag behind the table."""
        heads = {key_of(entry): entry["gsi1sk"] for entry in entries}
        items = self._table.read(heads)
        current = [items[key] for key, order in heads.items() if key in items and items[key].get("gsi1sk") == order]
        return filter(what.has, current)

    def _tenant_parts(self, what: Waiting) -> Iterator[str]:
        """The tenants in the queues as parts of keys; each step jumps to the next tenant, whatever the last one has."""
        after = list_entries.LOWEST
        while True:
            limits = Between(after, list_entries.HIGHEST)
            firsts = [next(self._table.queue_entries(pk, limits, page=1), None) for pk in what.queues]
            parts = [str(entry["gsi1sk"]).partition("#")[0] for entry in firsts if entry is not None]
            if not parts:
                return
            yield min(parts)
            after = min(parts) + _NEXT_TENANT


def _current(unit: Unit, memories: Sequence[Memory]) -> Iterator[tuple[Memory, Key, Item | None]]:
    """The memories with their heads; None if the ledger has another version, or the same one with less context."""
    keys = [item_keys.head(memory.scope.tenant, memory.id) for memory in memories]
    unit.load(keys)
    for memory, key in zip(memories, keys, strict=True):
        head = unit.get(key)
        same = head is not None and (head["version"], head["context_size"]) == (memory.version, len(memory.context))
        yield memory, key, head if same else None


def _pending(unit: Unit, memories: Sequence[Memory], at: str) -> None:
    for memory, key, head in _current(unit, memories):
        if head is not None and not append.waits(head):
            unit.put(key, append.mark_pending(head, memory, at))


def _behind(unit: Unit, memories: Sequence[Memory], at: str) -> None:
    for memory, key, head in _current(unit, memories):
        if head is not None:
            unit.put(key, append.mark_behind(head, memory, at))


def _caught_up(unit: Unit, memories: Sequence[Memory]) -> list[Memory]:
    refused: list[Memory] = []
    for memory, key, head in _current(unit, memories):
        if head is None:
            refused.append(memory)
        elif "behind" in head:
            unit.put(key, append.mark_caught_up(head))
    return refused


def _of_tenant(part: str, since: Between) -> Between:
    # A sort key continues after the time, so it is above a range that ends with the time itself.
    return Between(f"{part}#{since.low}", f"{part}#{since.high}")


def everything() -> Between:
    """All times."""
    return Between(list_entries.LOWEST, list_entries.HIGHEST)


def _note(unit: Unit, refusals: Sequence[Refusal], at: str, most: int) -> int:
    refused = {item_keys.head(one.memory.scope.tenant, one.memory.id): one for one in refusals}
    unit.load(refused)
    count = 0
    for key, one in refused.items():
        item, memory = unit.get(key), one.memory
        if item is None or (item["version"], item["context_size"]) != (memory.version, len(memory.context)):
            continue
        if "aside_since" in item or (item["state"] == item_keys.DELETED and "pending" not in item):
            continue
        refusals_so_far = int(item.get("refusals", 0)) + 1
        if refusals_so_far < most:
            unit.put(key, {**append.mark_pending(item, memory, at), "refusals": refusals_so_far})
            continue
        count += 1
        queue = {
            "gsi1pk": item_keys.queue_of(item_keys.ASIDE_QUEUES, memory.id),
            "gsi1sk": item_keys.queued(memory.scope.tenant, at, item_keys.part(memory.id)),
        }
        aside = {"refusals": refusals_so_far, "aside_since": at, "aside_reason": one.reason}
        unit.put(key, {**append.unqueued(item), **queue, **aside})
    return count


def _retry(unit: Unit, heads: Sequence[Key], at: str) -> int:
    unit.load(heads)
    count = 0
    for key in heads:
        item = unit.get(key)
        if item is not None and "aside_since" in item:
            count += 1
            unit.put(key, append.mark_pending(item, append.memory_of(unit, item), at))
    return count
