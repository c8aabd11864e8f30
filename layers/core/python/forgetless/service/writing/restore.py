"""Restore: brings a superseded memory back, for example after an extraction that was wrong or was misled."""

from __future__ import annotations

import uuid

from forgetless.domain.errors import NotFoundError, VersionConflictError
from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.ports.clock import Clock
from forgetless.ports.request_effects import note_updates
from forgetless.ports.request_ledger import RequestLedger
from forgetless.ports.request_usage import note_stored
from forgetless.service.conflict_retry import ConflictRetry
from forgetless.service.read_portions import version_of
from forgetless.service.webhooks.outbox import WebhookOutbox
from forgetless.service.writing.change import check_version
from forgetless.service.writing.erase_memories import request_event_id
from forgetless.service.writing.indexer import Change, Indexer

__all__ = ["RestoreService"]


class RestoreService:
    """Brings superseded memories back."""

    def __init__(self, *, ledger: RequestLedger, indexer: Indexer, clock: Clock, outbox: WebhookOutbox) -> None:
        self._ledger = ledger
        self._indexer = indexer
        self._clock = clock
        self._outbox = outbox

    def restore(
        self,
        tenant: str,
        memory_id: str,
        *,
        expected_versions: frozenset[int] | None = None,
        request_name: str | None = None,
    ) -> Memory:
        """Make the memory hold again; the memory that superseded it stays as it is.

        A memory that nothing supersedes is returned unchanged, and so is one that a request with the same
        `request_name` has brought back before. Raises NotFoundError, also for a memory that is deleted;
        PreconditionFailedError if its version is not an expected one; VersionConflictError if others keep changing it;
        and EmbedderError, in which case nothing is changed.
        """
        event_id = request_event_id(request_name or str(uuid.uuid4()), memory_id)
        retry = ConflictRetry(self._clock)
        while True:
            memory = self._ledger.read(tenant, [memory_id]).get(memory_id)
            if memory is None or memory.deleted:
                raise NotFoundError(f"Memory with id {memory_id} not found")
            if memory.superseded_by is None or (request_name and self._is_done(memory, event_id)):
                return memory
            check_version(memory, expected_versions)
            try:
                return self._brought_back(memory, event_id)
            except VersionConflictError:
                if not retry.again():
                    raise

    def _brought_back(self, memory: Memory, event_id: str) -> Memory:
        # An extraction may have stored the same text again since. Extracted texts are unique, so this one, which
        # somebody wants back, counts as the caller's own.
        after = memory.next_version(self._clock.now(), event_id=event_id, superseded_by=None, extracted=False)
        rows = self._indexer.rows([after], self._indexer.context_messages([after]))
        events = [Event(EventKind.UPDATE, after)]
        self._outbox.record(events)
        self._ledger.append(events)
        note_stored(1)
        note_updates(1)
        self._indexer.write(rows, changes=[Change(memory, after)])
        return after

    def _is_done(self, memory: Memory, event_id: str) -> bool:
        return version_of(self._ledger, memory, event_id) is not None
