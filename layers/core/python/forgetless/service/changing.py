"""Changes: update, delete one, delete a scope, reset; each an event, then the index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from forgetless.domain.errors import InvalidRequestError, NotFoundError, VersionConflictError
from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.announcing import Announcer
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
        self._indexer = indexer
        self._clock = clock

    def update(self, request: UpdateRequest) -> Memory:
        """Change text, metadata (merged) or expiration date; returns the new version.

        Raises NotFoundError, InvalidRequestError when nothing is to change, EmbedderError (then nothing changed).
        """
        for _ in range(_TRIES):
            memory = self._found(
                request.tenant,
                request.memory_id,
                f"Memory with id {request.memory_id} not found. Please provide a valid 'memory_id'",
            )
            changed = memory.next_version(self._clock.now(), **_changes(memory, request))
            same_text = changed.text == memory.text
            rows = [] if same_text else self._indexer.rows([changed], self._indexer.context_words([changed]))
            event = Event(EventKind.UPDATE, changed)
            self._announcer.announce([event])
            try:
                self._ledger.append([event])
            except VersionConflictError:
                continue
            if same_text:
                self._indexer.replace_row(changed, reuse_version=memory.version)
            else:
                self._indexer.write(rows, outdated=[changed])
            return changed
        raise VersionConflictError(f"memory {request.memory_id} keeps changing; try again")

    def delete(self, tenant: str, memory_id: str) -> None:
        """Forget one memory: its text, metadata, history's texts and its raw messages go for good.

        Raises NotFoundError.
        """
        for _ in range(_TRIES):
            memory = self._found(tenant, memory_id, f"Memory with id {memory_id} not found")
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
    if request.text is None and not changes:
        raise InvalidRequestError("At least one of text, metadata, or expiration_date must be provided.")
    return changes
