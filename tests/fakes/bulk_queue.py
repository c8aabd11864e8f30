"""The queue of bulk jobs in memory, with the semantics of a standard SQS queue: delays and visibility, but no order."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from uuid import uuid4

from forgetless.domain.bulk_jobs import BulkJob
from forgetless.domain.errors import QueueError
from forgetless.ports.clock import Clock

__all__ = ["BulkMessage", "MemoryBulkQueue"]


@dataclass(slots=True)
class BulkMessage:
    """A message; `receipt` is good until its visibility ends."""

    tenant: str
    job_id: str
    version: int
    waits: int
    visible_at: float
    receipt: str = ""
    id: str = field(default_factory=lambda: str(uuid4()))


class MemoryBulkQueue:
    """A queue of one process. Set `failure` to have `send` raise it; `sent` counts every accepted message."""

    def __init__(self, clock: Clock) -> None:
        self.failure: QueueError | None = None
        self.sent = 0
        self._clock = clock
        self._messages: list[BulkMessage] = []
        self._lock = threading.Lock()

    def send(self, job: BulkJob, *, delay_s: float = 0.0, waits: int = 0) -> None:
        if self.failure is not None:
            raise self.failure
        visible_at = self._clock.monotonic() + delay_s
        with self._lock:
            self.sent += 1
            self._messages.append(BulkMessage(job.tenant, job.id, job.version, waits, visible_at))

    def receive(self, *, visibility_s: float = 60.0) -> BulkMessage | None:
        """The visible message that has waited longest, hidden for `visibility_s`; None when there is none."""
        now = self._clock.monotonic()
        with self._lock:
            visible = [message for message in self._messages if message.visible_at <= now]
            if not visible:
                return None
            first = min(visible, key=lambda message: message.visible_at)
            first.receipt, first.visible_at = str(uuid4()), now + visibility_s
            return first

    def delete(self, receipt: str) -> None:
        """The message is done."""
        with self._lock:
            self._messages = [message for message in self._messages if message.receipt != receipt]

    def return_all(self) -> int:
        """Show every hidden message again, as the emulator does when it starts; returns how many there are."""
        with self._lock:
            for message in self._messages:
                message.visible_at = min(message.visible_at, self._clock.monotonic())
            return len(self._messages)

    def purge(self) -> None:
        """Lose every message."""
        with self._lock:
            self._messages = []

    def __len__(self) -> int:
        return len(self._messages)
