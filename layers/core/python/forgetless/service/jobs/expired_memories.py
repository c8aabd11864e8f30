"""ExpiredMemories: the bulk job that deletes the memories of a tenant which expired longer ago than their retention."""

from __future__ import annotations

from forgetless.domain.bulk_jobs import BulkJob, Progress
from forgetless.domain.errors import PreconditionFailedError
from forgetless.domain.memory import Memory
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import MemoryStore
from forgetless.service.writing.change import ChangeService

__all__ = ["BEFORE", "ExpiredMemories"]

#: The key in a job's request: memories whose expiration date is before this date are deleted.
BEFORE = "before"
#: How many memories are read at once.
_PORTION = 100


class ExpiredMemories:
    """A `PortionWork`. It looks through all memories, newest first, and deletes as a client would: by DELETE events."""

    def __init__(self, *, ledger: MemoryStore, changes: ChangeService, clock: Clock) -> None:
        self._ledger = ledger
        self._changes = changes
        self._clock = clock

    def portion(self, job: BulkJob, *, deadline: float) -> Progress:
        """Look at memories until the deadline. A repeat finds what was deleted no longer."""
        cursor, deleted = (job.cursor or {}).get("after"), job.done
        while True:
            page = self._ledger.list_memories(job.tenant, {}, limit=_PORTION, cursor=cursor, superseded=True)
            deleted += sum(self._deleted(memory) for memory in page.items if _is_over(memory, job.request[BEFORE]))
            cursor = page.cursor
            if cursor is None:
                return Progress(None, deleted)
            if self._clock.monotonic() >= deadline:
                return Progress({"after": cursor}, deleted)

    def _deleted(self, memory: Memory) -> bool:
        """Delete the memory, unless somebody has changed it since it was read: it may have a later date now."""
        versions = frozenset({memory.version})
        try:
            self._changes.delete(memory.scope.tenant, memory.id, missing_ok=True, expected_versions=versions)
        except PreconditionFailedError:
            return False
        return True


def _is_over(memory: Memory, before: str) -> bool:
    return memory.expiration_date is not None and memory.expiration_date < before
