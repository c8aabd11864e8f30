"""Changes of existing memories: update, delete, delete a scope, reset. Each is an event first; the index follows."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain
from typing import Any

from forgetless.domain.erasures import Target
from forgetless.domain.errors import (
    InvalidRequestError,
    NotFoundError,
    PreconditionFailedError,
    VersionConflictError,
)
from forgetless.domain.identifiers import all_spellings
from forgetless.domain.limits import MOST_ANNOUNCED
from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.domain.metadata import merged_metadata
from forgetless.domain.webhook_deliveries import Summary
from forgetless.ports.clock import Clock
from forgetless.ports.request_effects import note_updates
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.conflict_retry import ConflictRetry
from forgetless.service.history_portions import light_ids
from forgetless.service.known_names import KnownNames
from forgetless.service.read_portions import memories_in_portions, version_of
from forgetless.service.requests import ErasedScope, UpdateRequest
from forgetless.service.webhooks.outbox import WebhookOutbox
from forgetless.service.writing.erase_memories import (
    FilteredDelete,
    MatchEraser,
    MemoryEraser,
    ScopeEraser,
    request_event_id,
)
from forgetless.service.writing.indexer import Change, Indexer

__all__ = ["NOTHING_TO_CHANGE", "ChangeService", "check_version"]

NOTHING_TO_CHANGE = "At least one of text, metadata, or expiration_date must be provided."

#: The most changes or deletions in one transaction.
_PORTION = 200
#: The fields that an update may change.
_CHANGED_FIELDS = ("text", "extracted", "source_key", "metadata", "expiration_date", "created_at", "recorded_at")


@dataclass(frozen=True, slots=True)
class _Portion:
    """Changes made in one transaction; `name` distinguishes their events from those of other requests and portions."""

    requests: Sequence[UpdateRequest]
    name: str

    @property
    def tenant(self) -> str:
        """The tenant that owns the memories."""
        return self.requests[0].tenant

    def event_id(self, memory_id: str) -> str:
        """The id of the event with which this portion changes a memory."""
        return request_event_id(self.name, memory_id)


def _portions(requests: Sequence[UpdateRequest], name: str) -> Iterator[_Portion]:
    """All changes of a memory stand in the same portion, so it gets one version, and its room is checked once."""
    by_memory: dict[str, list[UpdateRequest]] = {}
    for request in requests:
        by_memory.setdefault(request.memory_id, []).append(request)
    of_each = list(by_memory.values())
    for start in range(0, len(of_each), _PORTION):
        yield _Portion(list(chain.from_iterable(of_each[start : start + _PORTION])), f"{name}\x00{start}")


class ChangeService:
    """Changes and deletes existing memories."""

    def __init__(
        self,
        *,
        ledger: RequestLedger,
        indexer: Indexer,
        names: KnownNames,
        clock: Clock,
        outbox: WebhookOutbox,
        erasures: ScopeEraser,
        matching: MatchEraser,
        history_bytes: int,
    ) -> None:
        self._ledger = ledger
        self._outbox = outbox
        self._erasures = erasures
        self._matching = matching
        self._eraser = MemoryEraser(ledger=ledger, indexer=indexer, clock=clock, outbox=outbox)
        self._indexer = indexer
        self._names = names
        self._clock = clock
        self._history_bytes = history_bytes

    def update(self, request: UpdateRequest, *, request_name: str | None = None) -> Memory:
        """Change text, metadata (merged), time or expiration date; returns the new version.

        Raises NotFoundError; InvalidRequestError if the request names no change, the memory is immutable, or its
        earlier versions take as much room as they may;
        PreconditionFailedError if the version is not an expected one; VersionConflictError if others keep changing the
        memory; and EmbedderError. A new text is embedded before anything is changed.
        """
        return self.update_many([request], request_name=request_name)[0]

    def update_many(self, requests: Sequence[UpdateRequest], *, request_name: str | None = None) -> list[Memory]:
        """`update` for memories of one tenant, in portions, each of which is changed as a whole or not at all.

        All memories are checked before the first portion. What others change meanwhile, or an embedder that fails, may
        still stop a later one: the request's effects say how many memories were changed by then.
        A request that is repeated with the same `request_name` changes nothing more: its events are recognised.
        """
        portions = list(_portions(requests, request_name or str(uuid.uuid4())))
        # Unless this is a repeat, none of our events can be in the ledger before the first try.
        held = [self._changeable(portion, look_back=request_name is not None) for portion in portions]
        if len(portions) > 1:
            for portion, before in zip(portions, held, strict=True):
                self._all_changed(portion, before)
        changed: dict[str, Memory] = {}
        for portion, before in zip(portions, held, strict=True):
            changed |= self._update_portion(portion, before)
        return [changed[request.memory_id] for request in requests]

    def _update_portion(self, portion: _Portion, before: dict[str, Memory]) -> dict[str, Memory]:
        retry = ConflictRetry(self._clock)
        while True:
            after = self._all_changed(portion, before)
            stored = {id_: memory for id_, memory in after.items() if memory.version > before[id_].version}
            try:
                self._store_update(before, list(stored.values()))
            except VersionConflictError:
                if not retry.again():
                    raise
                before = self._changeable(portion, look_back=True)
            else:
                return after

    def _store_update(self, before: Mapping[str, Memory], stored: Sequence[Memory]) -> None:
        """Append the next versions of memories and index them; after a VersionConflictError nothing is written."""
        if not stored:
            return
        reworded = [memory for memory in stored if memory.text != before[memory.id].text]
        rows = self._indexer.rows(reworded, self._indexer.context_messages(reworded)) if reworded else []
        events = [Event(EventKind.UPDATE, memory) for memory in stored]
        self._outbox.record(events)
        self._ledger.append(events)
        note_updates(len(stored))
        if rows:
            self._indexer.write(rows, changes=[Change(before[row.memory.id], row.memory) for row in rows])
        if unworded := [memory for memory in stored if memory.text == before[memory.id].text]:
            self._indexer.replace_rows([Change(before[memory.id], memory) for memory in unworded])

    def _all_changed(self, portion: _Portion, before: Mapping[str, Memory]) -> dict[str, Memory]:
        """Each memory's next version, by its id; raises InvalidRequestError if one cannot be changed like this."""
        return {id_: self._changed(portion, memory) for id_, memory in before.items()}

    def _changed(self, portion: _Portion, memory: Memory) -> Memory:
        """The next version with all changes of this memory, or the memory itself if this request has already made it.

        Several changes of one memory in a portion make one version, so only the result of the last can be seen.
        """
        event_id = portion.event_id(memory.id)
        if memory.event_id == event_id:
            return memory
        changed = memory
        for request in portion.requests:
            if request.memory_id == memory.id:
                changed = replace(changed, **_changes(changed, request))
        changes = {name: getattr(changed, name) for name in _CHANGED_FIELDS}
        following = memory.next_version(self._clock.now(), event_id=event_id, **changes)
        self._check_room(following)
        return following

    def _check_room(self, memory: Memory) -> None:
        """Raise InvalidRequestError if the versions before this one take more room than they may."""
        if memory.history_bytes > self._history_bytes:
            raise InvalidRequestError(
                f"Memory {memory.id} was changed so often that its earlier versions take {memory.history_bytes} bytes, "
                f"and at most {self._history_bytes} are kept: delete it and add another instead."
            )

    def _changeable(self, portion: _Portion, *, look_back: bool) -> dict[str, Memory]:
        """The memories as they are now; if this request has already changed one, the version that it made."""
        found = self._ledger.read(portion.tenant, [request.memory_id for request in portion.requests])
        for request in portion.requests:
            memory = found.get(request.memory_id)
            if memory is None or memory.deleted:
                raise NotFoundError(f"Memory with id {request.memory_id} not found. Please provide a valid 'memory_id'")
            if look_back and (own := self._own_version(memory, portion.event_id(memory.id))) is not None:
                found[memory.id] = own
                continue
            if memory.immutable:
                raise InvalidRequestError("This memory is immutable: delete it and add another instead.")
            check_version(memory, request.expected_versions)
        return found

    def _own_version(self, memory: Memory, event_id: str) -> Memory | None:
        """The version that the event made, if it exists: a client that repeats a request must not make a second one."""
        if memory.event_id == event_id:
            return memory
        return None if memory.version == 1 else version_of(self._ledger, memory, event_id)

    def delete(
        self,
        tenant: str,
        memory_id: str,
        *,
        missing_ok: bool = False,
        expected_versions: frozenset[int] | None = None,
        request_name: str | None = None,
    ) -> None:
        """Delete one memory and erase its text, its metadata, the texts in its history and its raw messages.

        Raises NotFoundError, unless `missing_ok` is set or a request with the same `request_name` deleted the memory;
        PreconditionFailedError if its version is not an expected one; and VersionConflictError if others keep changing
        it.
        """
        name = request_name or str(uuid.uuid4())
        retry = ConflictRetry(self._clock)
        while True:
            memory = self._ledger.read(tenant, [memory_id]).get(memory_id)
            if memory is None or memory.deleted:
                if missing_ok or (memory is not None and memory.event_id == request_event_id(name, memory_id)):
                    return
                raise NotFoundError(f"Memory with id {memory_id} not found")
            check_version(memory, expected_versions)
            try:
                self._eraser.erase([memory], request_name=name)
            except VersionConflictError:
                if not retry.again():
                    raise
            else:
                return

    def delete_scope(self, tenant: str, ids: Mapping[str, str]) -> ErasedScope:
        """Erase everything whose scope has all `ids` (none: the whole tenant): memories, messages and waiting adds.

        It is in effect when this returns; a bulk job removes what this could not remove at once.
        """
        targets = all_spellings(ids)
        # There are totals of the tenant and of each id alone.
        totals = [self._ledger.kept_totals(tenant, spelled) for spelled in targets] if len(ids) <= 1 else [None]
        known = [one.live for one in totals if one is not None]
        erased = self._erase(tenant, *map(Target, targets))
        return replace(erased, deleted=sum(known)) if len(known) == len(totals) else erased

    def delete_kinds(self, tenant: str, names: Sequence[str], ids: Mapping[str, str]) -> ErasedScope:
        """Erase everything whose scope has all `ids` and any value for each of `names` (`user_id` …)."""
        return self._erase(tenant, *(Target(spelled, tuple(names)) for spelled in all_spellings(ids)))

    def reset(self, tenant: str) -> ErasedScope:
        """Erase everything of the tenant."""
        return self.delete_scope(tenant, {})

    def _erase(self, tenant: str, *targets: Target) -> ErasedScope:
        erasure = self._ledger.begin_erasure(tenant, targets, at=self._clock.now())
        self._names.forget(tenant)
        return self._erasures.begin(erasure)

    def delete_matching(self, asked: FilteredDelete) -> ErasedScope:
        """Delete what matches a filter, also superseded memories, with its messages.

        A bulk job deletes what this could not delete at once. Each memory is judged when it is deleted.
        """
        return self._matching.begin(asked)

    def delete_many(self, tenant: str, memory_ids: Sequence[str]) -> int:
        """Delete these memories, many in a transaction; returns how many of them there were."""
        return self._delete_all(tenant, list(dict.fromkeys(memory_ids)), {})

    def delete_linked(
        self, tenant: str, memory_id: str, *, most: int, expected_versions: frozenset[int] | None = None
    ) -> int:
        """Delete a memory and all that it superseded, directly or indirectly; returns how many besides itself.

        Raises NotFoundError; PreconditionFailedError if its version is not an expected one; and InvalidRequestError if
        there are more than `most`. Then nothing is deleted.
        """
        memory = self._ledger.read(tenant, [memory_id]).get(memory_id)
        if memory is None or memory.deleted:
            raise NotFoundError(f"Memory with id {memory_id} not found")
        check_version(memory, expected_versions)
        older = self._ledger.superseded_ids(tenant, memory_id, limit=most)
        if len(older) >= most:
            raise InvalidRequestError(
                f"delete_linked: this memory superseded {len(older)} others or more, and one request deletes at most "
                f"{most} memories. Delete older ones first, with DELETE /v1/batch/."
            )
        # The memory itself goes last: if this fails before, it still leads to the others.
        expected = {} if expected_versions is None else {memory_id: expected_versions}
        return max(0, self._delete_all(tenant, [*reversed(older), memory_id], expected) - 1)

    def _delete_all(self, tenant: str, ids: Sequence[str], expected: Mapping[str, frozenset[int]]) -> int:
        name = str(uuid.uuid4())
        weights = self._weights(tenant, ids, expected)
        if many := len(weights) > MOST_ANNOUNCED:
            # It is recorded before the deletions, as all deliveries are.
            self._outbox.record_summary(tenant, reduce(Summary.plus, (summary for _, summary in weights.values())))
        portions = light_ids({id_: weight for id_, (weight, _) in weights.items()}, count=_PORTION)
        return sum(self._delete_portion(tenant, few, name, expected, announced=not many) for few in portions)

    def _weights(
        self, tenant: str, ids: Sequence[str], expected: Mapping[str, frozenset[int]]
    ) -> dict[str, tuple[int, Summary]]:
        """Of those that exist, how many bytes all versions take, and what a delivery about it alone would say.

        Raises InvalidRequestError if several memories have more versions than a request can delete in its time, and
        what `_there` raises. They are read in portions, and none is held.
        """
        found: dict[str, tuple[int, Summary]] = {}
        weighs = 0
        for some, memories in memories_in_portions(self._ledger, tenant, ids):
            for memory in _living(some, memories, expected):
                found[memory.id] = memory.all_bytes, Summary.of(EventKind.DELETE, [memory])
                weighs += memory.all_bytes
            if len(found) > 1 and weighs > self._history_bytes:
                raise InvalidRequestError(
                    f"memory_ids: all versions of {len(found)} of these memories take {weighs} bytes, and one request "
                    f"deletes at most {self._history_bytes}: delete fewer of them at once, or by a filter."
                )
        return found

    def _delete_portion(
        self,
        tenant: str,
        ids: Sequence[str],
        name: str,
        expected: Mapping[str, frozenset[int]],
        *,
        announced: bool,
    ) -> int:
        memories = self._there(tenant, ids, expected)
        retry = ConflictRetry(self._clock)
        while memories:
            try:
                self._eraser.erase(memories, request_name=name, announced=announced)
            except VersionConflictError:
                if not retry.again():
                    raise
                memories = self._there(tenant, [memory.id for memory in memories], expected)
            else:
                break
        return len(memories)

    def _there(self, tenant: str, ids: Sequence[str], expected: Mapping[str, frozenset[int]]) -> list[Memory]:
        """Those that exist, as they are now; raises PreconditionFailedError if one is not at an expected version."""
        return _living(ids, self._ledger.read(tenant, ids), expected)


def _living(ids: Sequence[str], found: Mapping[str, Memory], expected: Mapping[str, frozenset[int]]) -> list[Memory]:
    there = [found[id_] for id_ in ids if id_ in found and not found[id_].deleted]
    for memory in there:
        check_version(memory, expected.get(memory.id))
    return there


def check_version(memory: Memory, expected: frozenset[int] | None) -> None:
    """Raise PreconditionFailedError unless the memory is at one of the `expected` versions (None: any)."""
    if expected is not None and memory.version not in expected:
        raise PreconditionFailedError(
            f"If-Match: memory {memory.id} is at version {memory.version} now; read it again, then change it."
        )


def _changes(memory: Memory, request: UpdateRequest) -> dict[str, Any]:
    if request.changes_nothing:
        raise InvalidRequestError(NOTHING_TO_CHANGE)
    changes: dict[str, Any] = {}
    if request.text is not None:
        # The text now comes from the caller. It is no longer what the LLM extracted.
        own = {"text": request.text, "extracted": False, "source_key": request.source_key}
        changes |= own if request.text != memory.text else {}
    if request.metadata is not None:
        changes["metadata"] = merged_metadata(memory.metadata, request.metadata)
    if request.clear_expiration or request.expiration_date is not None:
        changes["expiration_date"] = request.expiration_date
    if request.timestamp is not None:
        changes |= {"created_at": request.timestamp, "recorded_at": memory.accepted_at}
    return changes
