"""The store of memories and their events."""

from __future__ import annotations

import contextlib
import heapq
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any

from forgetless.adapters.ledger_codec import from_blob, load_memory
from forgetless.adapters.ledger_dynamodb import (
    append,
    erase_messages,
    erasures,
    item_keys,
    jobs,
    list_entries,
    message_items,
    totals,
    usage,
)
from forgetless.adapters.ledger_dynamodb.attribute_values import Item, to_wire
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.table import Between, Table, portions
from forgetless.adapters.ledger_dynamodb.unit_of_work import Store, Unit, body_bytes
from forgetless.domain.cursors import after_memory, entity_place, from_cursor, memory_place, to_cursor
from forgetless.domain.errors import LeaseLostError, LedgerError
from forgetless.domain.jobs import Job
from forgetless.domain.limits import HISTORIES_AT_ONCE, SCANNED_ROWS, VERSION_BYTES
from forgetless.domain.memory import Event, EventKind, Memory, Message, MessageRef, VersionKey
from forgetless.domain.portions import first_portion, until_heavy
from forgetless.domain.scope import Scope
from forgetless.domain.usage import Use
from forgetless.ports.ledger import EventPage
from forgetless.ports.request_ledger import (
    ENTITY_KINDS,
    NOTHING_SHOWN,
    Entity,
    EntityCounts,
    EntityPage,
    MemoryPage,
    Shown,
    Totals,
)

__all__ = ["MemoryStore"]

#: How many heads are changed in one transaction.
_PORTION = 100
#: How many more entries than a page needs are read at once.
_MORE = 20
#: How many heads are read for a portion: with the state of erasures, they are one batch, which has at most 16 MB.
_SOME = 99
#: How many entities without memories a reader of entities removes.
_CLEARED_AT_ONCE = 10


class MemoryStore(Store):
    """See `forgetless.ports.request_ledger.MemoryStore`."""

    def append(
        self,
        events: Sequence[Event],
        *,
        completing: Job | None = None,
        messages: Sequence[Message] = (),
        unique: bool = True,
        shown: Shown = NOTHING_SHOWN,
        erasing: Sequence[MessageRef] = (),
        used: Sequence[Use] = (),
    ) -> None:
        left = self._units.run(
            lambda unit: _append(
                unit, events, completing, messages, unique=unique, shown=shown, erasing=erasing, used=used
            )
        )
        if left:
            tenant = events[0].memory.scope.tenant
            self._units.run(partial(totals.clear, tenant=tenant, named=totals.named_in(left)))
        if erasing:
            first = events[0].memory
            erase_messages.drop_unseen(self._units, first.scope.tenant, erasing, first.updated_at)

    def read(self, tenant: str, ids: Sequence[str]) -> dict[str, Memory]:
        items = self._table.read(item_keys.head(tenant, id_) for id_ in ids)
        memories = (load_memory(tenant, body) for _, body in self._table.bodies(list(items.values())))
        return {memory.id: memory for memory in memories}

    def read_some(self, tenant: str, ids: Sequence[str], *, most: int) -> tuple[dict[str, Memory], int]:
        heads = [item_keys.head(tenant, id_) for id_ in ids[:_SOME]]
        held = self._table.read(heads)
        looked = list(until_heavy(heads, lambda key: body_bytes(held.get(key, {})), most=most))
        found = self._table.bodies([held[key] for key in dict.fromkeys(looked) if key in held])
        memories = (load_memory(tenant, body) for _, body in found)
        return {memory.id: memory for memory in memories}, len(looked)

    def known_ids(self, tenant: str, ids: Sequence[str]) -> dict[str, bool]:
        found: dict[str, bool] = {}
        for some in portions(dict.fromkeys(ids), _SOME):
            heads = {item_keys.head(tenant, id_): id_ for id_ in some}
            held = self._table.read(heads)
            found |= {heads[key]: item["state"] == item_keys.DELETED for key, item in held.items()}
        return found

    def history(self, tenant: str, memory_id: str) -> list[Event]:
        pk = item_keys.head(tenant, memory_id).pk
        items = [item for item in self._table.query(pk) if "version" in item]
        return self._events(tenant, sorted(items, key=lambda item: int(item["version"])))

    def history_portion(self, tenant: str, memory_id: str, first: int, *, most: int) -> tuple[list[Event], bool]:
        # The head is read first: a version that follows while the others are read is not of this history.
        head = self._table.one(item_keys.head(tenant, memory_id))
        if head is None or head["version"] < first:
            return [], False
        earlier: Iterable[Item] = ()
        if first < head["version"]:
            low, high = (item_keys.event(tenant, memory_id, version) for version in (first, head["version"] - 1))
            # No page holds many more than are wanted.
            earlier = self._table.query(low.pk, Between(low.sk, high.sk), page=1 + most // VERSION_BYTES)
        items, more = first_portion(chain(earlier, [head]), body_bytes, most=most)
        return self._events(tenant, items), more

    def _events(self, tenant: str, items: Sequence[Item]) -> list[Event]:
        found = self._table.bodies(items)
        return [Event(EventKind(item["kind"]), load_memory(tenant, body)) for item, body in found]

    def versions(self, tenant: str, keys: Collection[VersionKey]) -> dict[VersionKey, Memory]:
        wanted = [item_keys.event(tenant, id_, version) for id_, version in keys]
        items = self._table.read([*wanted, *(item_keys.head(tenant, id_) for id_, _ in keys)])
        memories = [load_memory(tenant, body) for _, body in self._table.bodies(list(items.values()))]
        found = {(memory.id, memory.version): memory for memory in memories}
        # The items are not of one moment, so a deletion may have blanked a version after its head was read.
        gone = {memory.id for memory in memories if memory.deleted or not memory.text}
        return {key: found[key] for key in keys if key in found and key[0] not in gone}

    def list_events(self, tenant: str, *, limit: int, cursor: str | None = None) -> EventPage:
        keys, more = _export_page(self._table, tenant, limit, cursor)
        histories = list(
            until_heavy((self.history(tenant, id_) for _, id_ in keys), _stored_bytes, most=HISTORIES_AT_ONCE)
        )
        ended = len(histories) == len(keys) and not more
        found = tuple(event for history in histories for event in history)
        return EventPage(found, None if ended else to_cursor(keys[len(histories) - 1][0]))

    def list_memories(
        self,
        tenant: str,
        ids: Mapping[str, str],
        *,
        limit: int,
        cursor: str | None = None,
        superseded: bool = False,
    ) -> MemoryPage:
        list_entries.check_names(ids)
        below = None if cursor is None else item_keys.ordered(*memory_place(cursor))
        listed = self._listed(tenant, ids, below, limit + 1, superseded)
        items, more = first_portion(listed, lambda one: one.stored_bytes, most=HISTORIES_AT_ONCE, count=limit)
        return MemoryPage(tuple(items), after_memory(items[-1]) if more and items else None)

    def superseded_ids(self, tenant: str, memory_id: str, *, limit: int) -> list[str]:
        found: dict[str, None] = {}
        following = [memory_id]
        for newer in following:
            notes = self._table.query(item_keys.head(tenant, newer).pk, item_keys.OLDER, page=limit)
            for note in islice(notes, limit):
                older = from_blob(note["memory"])
                if len(found) < limit and older not in found and older != memory_id:
                    found[older] = None
                    following.append(older)
            if len(found) >= limit:
                break
        return list(found)

    def kept_totals(self, tenant: str, ids: Mapping[str, str]) -> Totals | None:
        named = totals.name_of(ids)
        total = totals.one(self._table, tenant, *named).total if named else totals.tenant_total(self._table, tenant)
        # The counters are not read in one moment, so a sum may be of a state that never was.
        live = max(0, total.live)
        return Totals(live, min(live, max(0, total.expiring)))

    def entity(self, tenant: str, kind: str, id_: str) -> Entity | None:
        found = totals.one(self._table, tenant, kind, id_)
        return self._with_times(tenant, [found])[0].entity() if found.total.live > 0 else None

    def entities(
        self, tenant: str, *, limit: int, cursor: str | None = None, kinds: Sequence[str] = ENTITY_KINDS
    ) -> EntityPage:
        after = entity_place(cursor) if cursor is not None else None
        found, more = totals.following(self._table, tenant, after=after, kinds=kinds, limit=limit)
        shown = self._with_times(tenant, [one for one in found if one.total.live > 0])
        for one in [one for one in found if one.total.live <= 0][:_CLEARED_AT_ONCE]:
            with contextlib.suppress(LedgerError):
                self._units.run(partial(totals.clear, tenant=tenant, named=[(one.kind, one.id)]))
        following = to_cursor(found[-1].kind, found[-1].id) if more and found else None
        return EntityPage(tuple(one.entity() for one in shown), following)

    def count_entities(self, tenant: str, *, limit: int) -> EntityCounts:
        found, more = totals.following(self._table, tenant, after=None, kinds=ENTITY_KINDS, limit=limit)
        kinds = Counter(one.kind for one in found if one.total.live > 0)
        return EntityCounts({kind: kinds[kind] for kind in ENTITY_KINDS}, exact=not more)

    def pending(self, tenant: str, ids: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for some in portions(dict.fromkeys(ids), _SOME):
            heads = {item_keys.head(tenant, id_): id_ for id_ in some}
            held = self._table.read(heads).items()
            found |= {heads[key] for key, item in held if "pending" in item or "aside_since" in item}
        return found

    def mark_indexed(
        self, memories: Sequence[Memory], *, by_writer: bool = False, behind: bool = False
    ) -> list[Memory]:
        refused: list[Memory] = []
        for portion in portions(memories, _PORTION):
            if not (by_writer and self._marked_unread(portion, behind=behind)):
                mark = partial(_mark_indexed, memories=portion, by_writer=by_writer, behind=behind)
                refused += self._units.run(mark)
        return refused

    def mark_unindexed(self, tenant: str | None = None, *, at: str) -> int:
        # This is for a rebuild, which is an administrator's command.
        heads = self._table.scan(item_keys.HEAD) if tenant is None else self._heads(tenant)
        return sum(
            self._units.run(partial(_mark_unindexed, heads=portion, at=at)) for portion in portions(heads, _PORTION)
        )

    def _marked_unread(self, memories: Sequence[Memory], *, behind: bool) -> bool:
        """Mark what its writer has just written, without reading it first; False if anything is not as written."""
        unit = uuid.uuid4().hex
        return self._units.unread([_mark_unread(memory, unit, behind=behind) for memory in memories], unit)

    def _memories(self, heads: Sequence[Key]) -> dict[Key, Memory]:
        found = self._table.bodies(list(self._table.read(heads).values()))
        return {Key(item["pk"], item["sk"]): load_memory(from_blob(item["tenant"]), body) for item, body in found}

    def _listed(
        self, tenant: str, ids: Mapping[str, str], below: str | None, count: int, superseded: bool
    ) -> Iterator[Memory]:
        pks = item_keys.partitions(list_entries.LIST, tenant, *list_entries.narrowest(ids))
        found = list_entries.merged(self._table, pks, below, count + _MORE)
        wanted = (item for item in found if list_entries.has_all(item, ids) and (superseded or not item["superseded"]))
        for portion in portions(wanted, max(count, 1)):
            heads = [item_keys.head(tenant, from_blob(item["memory"])) for item in portion]
            memories = self._memories(heads)
            for key in heads:
                # Each memory may have changed after its entry was read.
                memory = memories.get(key)
                if memory is not None and (memory.live or (superseded and not memory.deleted)):
                    yield memory

    def _with_times(self, tenant: str, found: Sequence[totals.Found]) -> list[totals.Found]:
        """The same entities with their true times, as far as one request may look them up."""
        left, shown = SCANNED_ROWS, []
        for one in found:
            times: tuple[str, str] | None = None
            if one.total.stale and one.total.live <= left:
                left -= one.total.live
                with contextlib.suppress(LedgerError):  # then the times may be those of memories that are gone
                    times = self._units.run(
                        partial(totals.correct, table=self._table, tenant=tenant, found=one, rows=SCANNED_ROWS)
                    )
            shown.append(one.with_times(*times) if times is not None else one)
        return shown

    def _heads(self, tenant: str) -> Iterator[Key]:
        for item in list_entries.merged(
            self._table, item_keys.partitions(list_entries.LIST, tenant, "tenant"), None, _PORTION
        ):
            yield item_keys.head(tenant, from_blob(item["memory"]))


def _append(
    unit: Unit,
    events: Sequence[Event],
    completing: Job | None,
    new_messages: Sequence[Message],
    *,
    unique: bool,
    shown: Shown,
    erasing: Sequence[MessageRef],
    used: Sequence[Use],
) -> set[Scope]:
    """Returns the scopes of what was deleted."""
    scopes = [event.memory.scope for event in events] + [message.scope for message in new_messages]
    if not scopes and completing is None:
        return set()
    tenant = completing.tenant if completing is not None else scopes[0].tenant
    wanted = [*append.needed(unit, events), *message_items.needed(unit, new_messages)]
    wanted += [item_keys.erasures(tenant), *erasures.shown_keys(tenant, shown), *erase_messages.needed(tenant, erasing)]
    unit.load([*wanted, *jobs.needed(completing)] if completing is not None else wanted)
    open_ = completing is None or jobs.complete(unit, completing)
    judge = erasures.judge(unit, tenant)
    if open_:
        erasures.refuse(unit, judge, events, new_messages, completing)
    fresh, left = append.append(unit, events, unique=unique, judge=judge)
    if fresh:
        erasures.refuse_unseen(unit, judge, tenant, shown)
    if fresh and not open_:
        raise LeaseLostError("the job has already finished; discard this work")
    # A repeat does not write messages again, because they may have been erased since.
    if open_ and (fresh or not events):
        message_items.insert(unit, new_messages)
        usage.count(unit, used)
    if erasing:
        erase_messages.erase(unit, tenant, erasing, events[0].memory.updated_at)
    return left


def _mark_unread(memory: Memory, unit: str, *, behind: bool) -> dict[str, Any]:
    """The action that marks this version as indexed if it is still as its writer wrote it, and was not behind."""
    held = {"version": memory.version, "context_size": len(memory.context), "pending": memory.updated_at}
    queued = append.mark_behind({}, memory, memory.updated_at) if behind else {}
    names = [*held, "stage", "rev", "behind", "gsi1pk", "gsi1sk"]
    same = " AND ".join(f"#{name} = :{name}" for name in held)
    put = ", ".join(f"#{name} = :{name}" for name in ("rev", *queued))
    gone = ", ".join(f"#{name}" for name in ("pending", "gsi1pk", "gsi1sk") if name not in queued)
    values = {"rev": unit, **held, **queued}
    return {
        "Update": {
            "Key": to_wire(item_keys.head(memory.scope.tenant, memory.id)._asdict()),
            "UpdateExpression": f"SET {put} REMOVE {gone}",
            "ConditionExpression": f"{same} AND attribute_not_exists(#stage) AND attribute_not_exists(#behind)",
            "ExpressionAttributeNames": {f"#{name}": name for name in names},
            "ExpressionAttributeValues": to_wire({f":{name}": value for name, value in values.items()}),
        }
    }


def _mark_indexed(unit: Unit, memories: Sequence[Memory], *, by_writer: bool, behind: bool) -> list[Memory]:
    refused: list[Memory] = []
    marked = {item_keys.head(memory.scope.tenant, memory.id): memory for memory in memories}
    unit.load(marked)
    for key, memory in marked.items():
        item = unit.get(key)
        # Within a version the context only shrinks, so its size shows whether exactly this text was indexed.
        if item is None or (item["version"], item["context_size"]) != (memory.version, len(memory.context)):
            refused.append(memory)
            continue
        if (by_writer and item.get("pending") != memory.updated_at) or not append.waits(item):
            continue
        unit.put(key, append.mark_indexed(item, memory, behind=behind))
    return refused


def _mark_unindexed(unit: Unit, heads: Sequence[Key], at: str) -> int:
    unit.load(heads)
    count = 0
    for key in heads:
        item = unit.get(key)
        if item is None or item["state"] == item_keys.DELETED:
            continue
        count += 1
        if "pending" not in item:
            unit.put(key, append.mark_pending(item, append.memory_of(unit, item), at))
    return count


def _stored_bytes(history: Sequence[Event]) -> int:
    return sum(event.memory.stored_bytes for event in history)


def _export_page(table: Table, tenant: str, limit: int, cursor: str | None) -> tuple[list[tuple[str, str]], bool]:
    """The next `limit` memories after the cursor, in the order of exports, each with its sort key before its id.

    They include deleted memories. The second value says whether more follow.
    """
    after = list_entries.LOWEST if cursor is None else str(from_cursor(cursor, str)[0])
    partitions = [
        pk for table_ in (list_entries.LIST, list_entries.GONE) for pk in item_keys.partitions(table_, tenant, "tenant")
    ]
    streams = [table.query(pk, Between(after, list_entries.HIGHEST), page=limit + 1) for pk in partitions]
    merged = heapq.merge(*streams, key=lambda item: str(item["sk"]))
    # By sort key, because a memory that is deleted meanwhile may be in both lists.
    found = {str(item["sk"]): item for item in islice((one for one in merged if one["sk"] != after), limit + 2)}
    shown = [(key, from_blob(item["memory"])) for key, item in found.items()]
    return shown[:limit], len(shown) > limit
