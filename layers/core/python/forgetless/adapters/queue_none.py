"""No queue: when none is configured, jobs wait in the ledger until one is."""

from __future__ import annotations

from forgetless.domain.errors import QueueError
from forgetless.domain.jobs import Job

__all__ = ["NoQueue"]


class NoQueue:
    """Refuses every message. Callers treat it as a queue that is down, so no job is lost."""

    background = False

    def send(self, job: Job, *, attempt: str) -> None:
        raise QueueError(f"job {job.id} ({attempt}) waits in the ledger: FORGETLESS_QUEUE_URL is not set")

    def hide(self, receipt: str, *, seconds: float) -> None:
        del receipt, seconds
        raise QueueError("FORGETLESS_QUEUE_URL is not set")
