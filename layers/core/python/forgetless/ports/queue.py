"""The queue port: passes accepted jobs to the ingest function. Messages contain only ids."""

from __future__ import annotations

from typing import Protocol

from forgetless.domain.jobs import Job

__all__ = ["JobQueue"]


class JobQueue(Protocol):
    """A FIFO queue. The message group of a job is its speaker."""

    @property
    def background(self) -> bool:
        """Whether somebody receives the messages. If not, an add must be done while its caller waits."""

    def send(self, job: Job, *, attempt: str) -> None:
        """Send {"tenant", "job_id"}. The same job and `attempt` within five minutes is sent only once.

        Raises QueueError. The job then stays in the ledger and sweep sends it again.
        """

    def hide(self, receipt: str, *, seconds: float) -> None:
        """Hide a received message from all receivers for `seconds` from now, whatever the queue's own setting is.

        Raises QueueError, also for a message that is no longer hidden, because another receiver may have it.
        """
