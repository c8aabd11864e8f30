"""Changes: update, delete one, delete a scope, reset; each an event, then the index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from forgetless.domain.errors import InvalidRequestError, NotFoundError, VersionConflictError
from forgetless.domain.filter_evaluation import evaluate
from forgetless.domain.filters import And, Compare, Field, Filter, Operator
from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.domain.scope import Scope
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.announcing import Announcer
from forgetless.service.feedback import FeedbackService
from forgetless.service.indexing import Indexer
from forgetless.service.requests import UpdateRequest

__all__ = ["ChangeService"]

#: Deletions in one transaction.
_PORTION = 200
#: Another writer may be first; then we read again.
_TRIES = 5


class ChangeService:
    """Changes of memories that exist."""

    def __init__(self, *, ledger: Ledger, indexer: Indexer, clock: Clock, announcer: Announcer) -> None:
        self._ledger = ledger
        self._announcer = announcer
        self._feedback = FeedbackService(ledger=ledger, clock=clock)
        self._indexer = indexer
        self._clock = clock

    def update(self, request: UpdateRequest) -> Memory:
        """Change text, metadata (merged), time or expiration date; returns the new version.

        Raises NotFoundError, InvalidRequestError when nothing is to change or the memory is immutable, EmbedderError
        (then nothing changed).
        """
        return self.update_many([request])[0]

    def update_many(self, requests: Sequence[UpdateRequest]) -> list[Memory]:
        """`update` for memories of one tenant, in portions: each is changed as a whole or not at all."""
        changed: list[Memory] = []
        for start in range(0, len(requests), _PORTION):
            changed += self._update_portion(requests[start : start + _PORTION])
        return changed

    def _update_portion(self, requests: Sequence[UpdateRequest]) -> list[Memory]:
        for _ in range(_TRIES):
            before = self._changeable(requests)
            after: dict[str, Memory] = {}
            for request in requests:
                memory = after.get(request.memory_id) or before[request.memory_id]
                after[memory.id] = memory.next_version(self._clock.now(), **_changes(memory, request))
            reworded = [memory for memory in after.values() if memory.text != before[memory.id].text]
            rows = self._indexer.rows(reworded, self._indexer.context_words(reworded)) if reworded else []
            # Several changes of one memory in a portion are one version: only the last can be seen.
            stored = [replace(memory, version=before[memory.id].version + 1) for memory in after.values()]
            rows = [replace(row, memory=replace(row.memory, version=before[row.memory.id].version + 1)) for row in rows]
            events = [Event(EventKind.UPDATE, memory) for memory in stored]
            self._announcer.announce(events)
            try:
                self._ledger.append(events)
            except VersionConflictError:
                continue
            if rows:
                self._indexer.write(rows, outdated=[row.memory for row in rows])
            for memory in stored:
                if memory.text == before[memory.id].text:
                    self._indexer.replace_row(memory, reuse_version=before[memory.id].version)
            by_id = {memory.id: memory for memory in stored}
            return [by_id[request.memory_id] for request in requests]
        raise VersionConflictError(f"memory {requests[0].memory_id} keeps changing; try again")

    def _changeable(self, requests: Sequence[UpdateRequest]) -> dict[str, Memory]:
        found = self._ledger.read(requests[0].tenant, [request.memory_id for request in requests])
        for request in requests:
            memory = found.get(request.memory_id)
            if memory is None or memory.deleted:
                raise NotFoundError(f"Memory with id {request.memory_id} not found. Please provide a valid 'memory_id'")
            if memory.immutable:
                raise InvalidRequestError("This memory is immutable: delete it and add another instead.")
        return found

    def delete(self, tenant: str, memory_id: str, *, missing_ok: bool = False) -> None:
        """Forget one memory: its text, metadata, history's texts and its raw messages go for good.

        Raises NotFoundError, unless `missing_ok`.
        """
        for _ in range(_TRIES):
            try:
                memory = self._found(tenant, memory_id, f"Memory with id {memory_id} not found")
            except NotFoundError:
                if missing_ok:
                    return
                raise
            try:
                self._erase(tenant, [memory])
            except VersionConflictError:
                continue
            return
        raise VersionConflictError(f"memory {memory_id} keeps changing; try again")

    def delete_scope(self, tenant: str, ids: Mapping[str, str]) -> int:
        """Forget everything whose scope has all `ids` (none: the whole tenant); returns how many memories went."""
        count = 0
        tries = _TRIES
        while page := self._ledger.list_memories(tenant, ids, limit=_PORTION, superseded=True).items:
            try:
                self._erase(tenant, page)
            except VersionConflictError:
                tries -= 1
                if not tries:
                    raise
                continue
            count += len(page)
        self._ledger.erase_scope_messages(tenant, ids, at=self._clock.now())
        return count

    def delete_matching(self, tenant: str, ids: Mapping[str, str], where: Filter) -> int:
        """Forget the memories of a scope that match `where`, superseded ones too, with their messages."""
        count, cursor = 0, None
        while True:
            page = self._ledger.list_memories(tenant, ids, limit=_PORTION, cursor=cursor, superseded=True)
            for memory in page.items:
                if evaluate(where, memory):
                    self.delete(tenant, memory.id, missing_ok=True)
                    count += 1
            cursor = page.cursor
            if cursor is None:
                return count

    def delete_kinds(self, tenant: str, names: Sequence[str], ids: Mapping[str, str]) -> int:
        """Forget everything that has any value for each of `names` (`user_id` …) and all `ids`.

        The scopes come from memories and from jobs, so that messages from which nothing was learnt go too.
        """
        present = And(tuple(Compare(Field(name), Operator.EXISTS) for name in names))
        count = self.delete_matching(tenant, ids, present)
        for scope in self._job_scopes(tenant):
            given = scope.ids()
            if all(name in given for name in names) and ids.items() <= given.items():
                self._ledger.erase_scope_messages(tenant, given, at=self._clock.now())
        return count

    def delete_linked(self, tenant: str, memory_id: str) -> int:
        """Forget a memory and those that it superseded, and what these superseded; returns how many beside it.

        Raises NotFoundError.
        """
        memory = self._found(tenant, memory_id, f"Memory with id {memory_id} not found")
        older: dict[str, list[str]] = {}
        cursor = None
        while True:
            page = self._ledger.list_memories(
                tenant, memory.scope.ids(), limit=_PORTION, cursor=cursor, superseded=True
            )
            for one in page.items:
                if one.superseded_by:
                    older.setdefault(one.superseded_by, []).append(one.id)
            cursor = page.cursor
            if cursor is None:
                break
        linked = [memory_id]
        for id_ in linked:
            linked += [one for one in older.get(id_, ()) if one not in linked]
        for id_ in reversed(linked):
            self.delete(tenant, id_, missing_ok=True)
        return len(linked) - 1

    def _job_scopes(self, tenant: str) -> set[Scope]:
        scopes: set[Scope] = set()
        cursor = None
        while True:
            jobs, cursor = self._ledger.jobs(tenant, limit=_PORTION, cursor=cursor)
            scopes |= {job.scope for job in jobs}
            if cursor is None:
                return scopes

    def reset(self, tenant: str) -> int:
        """Forget everything of the tenant."""
        return self.delete_scope(tenant, {})

    def _found(self, tenant: str, memory_id: str, message: str) -> Memory:
        memory = self._ledger.read(tenant, [memory_id]).get(memory_id)
        if memory is None or memory.deleted:
            raise NotFoundError(message)
        return memory

    def _erase(self, tenant: str, memories: Sequence[Memory]) -> None:
        now = self._clock.now()
        refs = [ref for memory in memories for ref in memory.sources]
        tombstones = [memory.tombstone(now) for memory in memories]
        events = [Event(EventKind.DELETE, tombstone) for tombstone in tombstones]
        self._announcer.announce(events)
        self._ledger.append(events)
        self._ledger.erase_messages(tenant, refs, at=now)
        self._feedback.forget(tenant, [memory.id for memory in memories])
        self._indexer.write([], outdated=tombstones)


def _changes(memory: Memory, request: UpdateRequest) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if request.text is not None:
        # The text is the caller's now: it no longer stands for what the LLM extracted.
        changes |= {"text": request.text, "extracted": False} if request.text != memory.text else {}
    if request.metadata is not None:
        changes["metadata"] = {**memory.metadata, **request.metadata}
    if request.clear_expiration or request.expiration_date is not None:
        changes["expiration_date"] = request.expiration_date
    if request.timestamp is not None:
        changes |= {"created_at": request.timestamp, "recorded_at": memory.recorded_at or memory.created_at}
    if request.text is None and not changes:
        raise InvalidRequestError("At least one of text, metadata, or expiration_date must be provided.")
    return changes
