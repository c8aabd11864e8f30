"""The port of the queue of bulk jobs: each message asks for one portion. Messages contain no text of a client."""

from __future__ import annotations

from typing import Protocol

from forgetless.domain.bulk_jobs import BulkJob

__all__ = ["LONGEST_DELAY_S", "BulkQueue"]

#: SQS delays a message by at most this many seconds.
LONGEST_DELAY_S = 900.0


class BulkQueue(Protocol):
    """A queue without order, which is fair to tenants. A message may arrive late, twice or never."""

    def send(self, job: BulkJob, *, delay_s: float = 0.0, waits: int = 0) -> None:
        """Send {"tenant", "job_id", "version", "waits"}, to be received `delay_s` seconds from now.

        `waits` says how often this message has found the job's lease taken. Raises QueueError. The job then stays in
        the ledger and sweep sends it again.
        """
