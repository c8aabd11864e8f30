"""The queue port: hands accepted jobs to the ingest function; messages carry ids only."""

from __future__ import annotations

from typing import Protocol

from forgetless.domain.jobs import Job

__all__ = ["JobQueue"]


class JobQueue(Protocol):
    """A FIFO queue whose message group is the job's writer scope."""

    @property
    def background(self) -> bool:
        """Whether anyone takes messages: where not, an add must be done while its caller waits."""

    def send(self, job: Job, *, attempt: str) -> None:
        """Enqueue {"tenant", "job_id"}; the same job and `attempt` within five minutes is sent once.

        Raises QueueError; the job stays in the ledger and sweep sends it again.
        """

    def hide(self, receipt: str, *, seconds: float) -> None:
        """Show a message that was received to nobody until `seconds` from now, whatever the queue's own rule is.

        Raises QueueError, also for a message that is no longer hidden: somebody else may have it.
        """
