"""Appending events: versions, repeats, duplicates and erasure, inside one unit of work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from forgetless.adapters.ledger_codec import dump_memory, from_blob, load_memory, to_blob
from forgetless.adapters.ledger_dynamodb import documents, idempotency_records, item_keys, list_entries, totals
from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.adapters.ledger_dynamodb.unit_of_work import Unit
from forgetless.domain.erasures import Judge
from forgetless.domain.errors import DuplicateTextError, VersionConflictError
from forgetless.domain.memory import Event, EventKind, Memory, MessageRef, is_repeat
from forgetless.domain.scope import Scope

__all__ = [
    "append",
    "drop_context",
    "mark_behind",
    "mark_caught_up",
    "mark_indexed",
    "mark_pending",
    "memory_of",
    "needed",
    "state_of",
    "unqueued",
    "waits",
    "without_refusals",
]


#: The attributes of a head that say how often, since when and why the index refused its memory.
REFUSAL_ATTRIBUTES = frozenset({"refusals", "aside_since", "aside_reason"})


@dataclass(slots=True)
class _Change:
    """The change of one memory in a call: its state before (None when it did not exist), and its state now."""

    before: Memory | None
    after: Memory


def needed(unit: Unit, events: Sequence[Event]) -> list[item_keys.Key]:
    """The keys that nearly every append reads. It finds out about the others, such as lists that a memory leaves."""
    memories = [event.memory for event in events]
    wanted = {item_keys.head(memory.scope.tenant, memory.id) for memory in memories}
    added = [event.memory for event in events if event.kind is EventKind.ADD]
    wanted |= {item_keys.text(memory.scope, memory.hash) for memory in added if memory.extracted}
    wanted.update(_documents(events))
    changed = [memory for memory in memories if memory.version > 1]
    wanted |= {key for memory in changed for key in list_entries.entries(memory)}
    counted = {event.memory.scope for event in events if event.kind is not EventKind.UPDATE}
    kept = {memory.scope for memory in memories} - counted
    return [*wanted, *totals.counters(unit, counted), *totals.counters(unit, kept, of_tenant=False)]


def append(unit: Unit, events: Sequence[Event], *, unique: bool, judge: Judge) -> tuple[list[Event], set[Scope]]:
    """Write events and the states of their memories after them.

    Returns the events that the ledger did not have yet, and the scopes of which memories were deleted.
    Raises VersionConflictError and, where texts must be `unique`, DuplicateTextError.
    """
    changes: dict[str, _Change] = {}
    fresh = [event for event in events if _apply(unit, event, changes)]
    documents.forget(unit, _documents(events))
    holders = _move_texts(unit, changes.values())
    if unique:
        _check_duplicates(unit, fresh, holders, judge)
    _load_lists(unit, changes.values())
    for change in changes.values():
        list_entries.move(unit, change.before, change.after)
        _move_links(unit, change)
    totals.change(unit, [(change.before, change.after) for change in changes.values()])
    gone = (change.before for change in changes.values() if change.after.deleted)
    return fresh, {memory.scope for memory in gone if memory is not None and not memory.deleted}


def memory_of(unit: Unit, item: Item) -> Memory:
    """The memory in a head or in an earlier version."""
    return load_memory(from_blob(item["tenant"]), unit.body(item))


def state_of(memory: Memory) -> int:
    """LIVE, SUPERSEDED or DELETED."""
    return (
        item_keys.DELETED
        if memory.deleted
        else item_keys.LIVE
        if memory.superseded_by is None
        else item_keys.SUPERSEDED
    )


def mark_pending(item: Item, memory: Memory, at: str) -> Item:
    """The head, marked pending since `at`."""
    order = item_keys.ordered(memory.created_at, memory.position, memory.id)
    queue = item_keys.queue_of(item_keys.PENDING_QUEUES, memory.id)
    item = without_refusals(item)
    return {**item, "pending": at, "gsi1pk": queue, "gsi1sk": item_keys.queued(memory.scope.tenant, at, order)}


def mark_behind(item: Item, memory: Memory, at: str) -> Item:
    """The head, marked behind since `at`. Only one that is neither pending nor set aside is in a queue for that."""
    if waits(item):
        return {**item, "behind": at}
    order = item_keys.ordered(memory.created_at, memory.position, memory.id)
    queue = item_keys.queue_of(item_keys.BEHIND_QUEUES, memory.id)
    return {**item, "behind": at, "gsi1pk": queue, "gsi1sk": item_keys.queued(memory.scope.tenant, at, order)}


def mark_indexed(item: Item, memory: Memory, *, behind: bool) -> Item:
    """The head of a pending or set-aside memory that the serving generation holds by now."""
    at = memory.updated_at if behind else item.get("behind")
    return unqueued(item) if at is None else mark_behind(unqueued(item), memory, at)


def mark_caught_up(item: Item) -> Item:
    """The head of a memory that is not behind."""
    left = {name: value for name, value in item.items() if name != "behind"}
    return left if waits(item) else unqueued(left)


def waits(item: Item) -> bool:
    """Whether the memory is pending or set aside."""
    return "pending" in item or "aside_since" in item


def unqueued(item: Item) -> Item:
    """The head of a memory that is neither pending nor set aside, and in no queue."""
    gone = {"pending", "gsi1pk", "gsi1sk"}
    return {name: value for name, value in without_refusals(item).items() if name not in gone}


def without_refusals(item: Item) -> Item:
    """The head of a memory that the index has not refused, or not since it was written."""
    return {name: value for name, value in item.items() if name not in REFUSAL_ATTRIBUTES}


def drop_context(unit: Unit, memory: Memory, refs: Iterable[MessageRef], at: str) -> None:
    """Remove `refs` from the memory's context and mark it pending; its version does not change."""
    tenant = memory.scope.tenant
    key = item_keys.head(tenant, memory.id)
    item = unit.get(key)
    assert item is not None
    gone = set(refs)
    left = replace(memory, context=tuple(ref for ref in memory.context if ref not in gone))
    _move_links(unit, _Change(memory, left))
    unit.drop_body(item)
    item = unit.with_body(key, {**item, "context_size": len(left.context)}, dump_memory(left))
    unit.put(key, without_refusals(item) if "pending" in item else mark_pending(item, left, at))


def _erases(event: Event) -> bool:
    return event.kind is EventKind.DELETE or event.memory.deleted


def _documents(events: Iterable[Event]) -> list[item_keys.Key]:
    """The keys of the documents that go with what these events delete."""
    gone = [event.memory for event in events if _erases(event)]
    return [key for memory in gone for key in documents.of_memory(memory.scope.tenant, memory.id)]


def _apply(unit: Unit, event: Event, changes: dict[str, _Change]) -> bool:
    memory = event.memory
    tenant = memory.scope.tenant
    key = item_keys.head(tenant, memory.id)
    head = unit.get(key)
    version = head["version"] if head is not None else 0
    erases = _erases(event)
    if erases:
        memory = memory.blanked(deleted=True).nobodys()
    if memory.version != version + 1:
        if _is_held(unit, Event(event.kind, memory), head):
            return False
        raise VersionConflictError(
            f"memory {memory.id}: version {memory.version} does not follow version {version}; read it again"
        )
    if head is not None:
        held = memory_of(unit, head)
        changes.setdefault(memory.id, _Change(held, held))
        _archive(unit, head, held, erased=erases)
    item = {
        "tenant": to_blob(tenant),
        "version": memory.version,
        "kind": str(event.kind),
        "job": to_blob(memory.job_id),
        "state": state_of(memory),
        "context_size": len(memory.context),
    }
    if memory.expiration_date is not None:
        unit.put(item_keys.expiring(tenant), {"tenant": to_blob(tenant)})
    if head is not None and "behind" in head:
        item["behind"] = head["behind"]
    since = memory.pending_since(contested=head is not None and (waits(head) or "behind" in head))
    unit.put(key, mark_pending(unit.with_body(key, item, dump_memory(memory)), memory, since))
    changes.setdefault(memory.id, _Change(None, memory)).after = memory
    return True


def _is_held(unit: Unit, event: Event, head: Item | None) -> bool:
    memory = event.memory
    if head is None or memory.version > head["version"]:
        return False
    item: Item | None = head
    if memory.version < head["version"]:
        item = unit.get(item_keys.event(memory.scope.tenant, memory.id, memory.version))
    if item is None:
        return False
    held = Event(EventKind(item["kind"]), memory_of(unit, item))
    return is_repeat(held, event, erased=head["state"] == item_keys.DELETED)


def _archive(unit: Unit, head: Item, held: Memory, *, erased: bool) -> None:
    """Store the head's content as an earlier version; erase the text of all earlier versions when it must go."""
    tenant = held.scope.tenant
    key = item_keys.event(tenant, held.id, held.version)
    kept = ("tenant", "version", "kind", "job", "body", "body_id", "parts")
    unit.put_new(key, {name: head[name] for name in kept if name in head})
    if not erased:
        return
    for item in unit.query(key.pk):
        if item["sk"].startswith(item_keys.ANSWERS):
            # Answers stored for an Idempotency-Key also show the text. The job itself still runs only once.
            idempotency_records.drop_shown(unit, tenant, held.id, item)
    for version in range(1, held.version + 1):
        _blank_event(unit, item_keys.event(tenant, held.id, version))


def _blank_event(unit: Unit, key: item_keys.Key) -> None:
    item = unit.get(key)
    if item is not None:
        memory = memory_of(unit, item)
        unit.drop_body(item)
        unit.put(key, unit.with_body(key, item, dump_memory(memory.blanked(deleted=memory.deleted).nobodys())))


def _move_texts(unit: Unit, changes: Iterable[_Change]) -> dict[item_keys.Key, list[str]]:
    """Record which memory has each extracted text now; returns the memories of the texts that changed."""
    moves = [(_text_key(change.before), _text_key(change.after), change.after.id) for change in changes]
    unit.load(key for old, new, _ in moves for key in (old, new) if key is not None)
    holders: dict[item_keys.Key, list[str]] = {}
    for old, new, id_ in moves:
        for key, held in ((old, False), (new, True)):
            if key is None:
                continue
            item = unit.get(key)
            ids = [from_blob(holder) for holder in item["holders"]] if item is not None else []
            ids = [holder for holder in ids if holder != id_] + ([id_] if held else [])
            if ids:
                unit.put(key, {"holders": [to_blob(holder) for holder in ids]})
            else:
                unit.delete(key)
            holders[key] = ids
    return holders


def _text_key(memory: Memory | None) -> item_keys.Key | None:
    if memory is None or not memory.extracted or not memory.live:
        return None
    return item_keys.text(memory.scope, memory.hash)


def _check_duplicates(
    unit: Unit, fresh: Sequence[Event], holders: dict[item_keys.Key, list[str]], judge: Judge
) -> None:
    """Raise DuplicateTextError for new ADDs whose text another live extracted memory of their scope has.

    Memories that an erasure covers do not count.

    It checks the state after the whole call, so one call may supersede a memory and add its text again. Of two ADDs
    with the same text in a call, the first one is accepted.
    """
    refused: list[str] = []
    candidates = [event.memory for event in fresh if event.kind is EventKind.ADD and event.memory.extracted]
    later = {memory.id for memory in candidates}
    for memory in candidates:
        later.discard(memory.id)
        others = set(holders.get(item_keys.text(memory.scope, memory.hash), ())) - {memory.id} - later
        if memory.live and any(not _is_hidden(unit, memory.scope.tenant, other, judge) for other in others):
            refused.append(memory.id)
    if refused:
        raise DuplicateTextError(tuple(refused))


def _is_hidden(unit: Unit, tenant: str, id_: str, judge: Judge) -> bool:
    head = unit.get(item_keys.head(tenant, id_)) if judge.hiding else None
    return head is not None and judge.hides(memory_of(unit, head))


def _load_lists(unit: Unit, changes: Iterable[_Change]) -> None:
    """Read all entries and notes that will change in one batch."""
    wanted: list[item_keys.Key] = []
    for change in changes:
        # Everything that belongs to a new memory is new as well.
        for memory in (change.before, change.after if change.before is not None else None):
            if memory is not None:
                wanted += [*list_entries.entries(memory), *_links(memory)]
    unit.load(wanted)


def _move_links(unit: Unit, change: _Change) -> None:
    """Note at each message which memories have it as context, and at each memory which ones it superseded."""
    old = set(_links(change.before)) if change.before is not None else set()
    new = set(_links(change.after))
    for key in old - new:
        unit.delete(key)
    for key in new - old:
        put = unit.put_new if change.before is None else unit.put
        put(key, {"memory": to_blob(change.after.id)})


def _links(memory: Memory) -> list[item_keys.Key]:
    tenant = memory.scope.tenant
    links = [item_keys.carrier(tenant, ref, memory.id) for ref in memory.context]
    if memory.superseded_by is not None and not memory.deleted:
        links.append(item_keys.superseded(tenant, memory.superseded_by, memory.id))
    return links
