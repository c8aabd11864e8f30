"""ExpiredMemories: the bulk job that deletes the memories of a tenant which expired longer ago than their retention."""

from __future__ import annotations

from forgetless.domain.bulk_jobs import BulkJob, Progress
from forgetless.domain.memory import Memory
from forgetless.service.jobs.removal import RemovalTask, Remover

__all__ = ["BEFORE", "ExpiredMemories"]

#: The key in a job's request: memories whose expiration date is before this date are deleted.
BEFORE = "before"


class ExpiredMemories:
    """A `PortionWork`. It looks through all memories, newest first, and deletes as a client would: by DELETE events."""

    def __init__(self, *, remover: Remover) -> None:
        self._remover = remover

    def portion(self, job: BulkJob, *, deadline: float) -> Progress:
        """Look at memories until the deadline. A repeat finds what was deleted no longer.

        A memory that is changed after it was read is looked at again: it may have a later date now.
        """
        before = str(job.request[BEFORE])
        task = RemovalTask(job.tenant, {}, lambda memory: _is_over(memory, before), job.id)
        return self._remover.portion(task, job, deadline=deadline)


def _is_over(memory: Memory, before: str) -> bool:
    return memory.expiration_date is not None and memory.expiration_date < before
