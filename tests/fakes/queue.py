"""The ingest queue in memory, with the semantics of SQS FIFO: groups, visibility, deduplication, dead letters."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from uuid import uuid4

from forgetless.domain.errors import QueueError
from forgetless.domain.jobs import Job
from forgetless.domain.limits import MOST_DELIVERIES
from forgetless.ports.clock import Clock

__all__ = ["MemoryQueue", "Received"]

#: Seconds in which the same deduplication id is taken once.
DEDUPLICATION_S = 300.0


@dataclass(frozen=True, slots=True)
class Received:
    """A message in flight; `receipt` is good until its visibility ends."""

    body: str
    group: str
    receipt: str
    receive_count: int


@dataclass(slots=True)
class _Message:
    body: str
    group: str
    visible_at: float = 0.0
    receipt: str = ""
    receive_count: int = 0
    id: str = field(default_factory=lambda: str(uuid4()))


class MemoryQueue:
    """A queue of one process; `dead_letters` holds the bodies that were received `max_receives` times in vain.

    Set `failure` to have `send` and `hide` raise it.
    """

    background = True

    def __init__(self, clock: Clock, *, max_receives: int = MOST_DELIVERIES) -> None:
        self.dead_letters: list[str] = []
        self.failure: QueueError | None = None
        self._clock = clock
        self._max_receives = max_receives
        self._messages: list[_Message] = []
        self._sent: dict[str, float] = {}
        self._lock = threading.Lock()

    def send(self, job: Job, *, attempt: str) -> None:
        self._fail()
        now = self._clock.monotonic()
        with self._lock:
            self._sent = {key: at for key, at in self._sent.items() if now - at < DEDUPLICATION_S}
            if f"{job.id}:{attempt}" in self._sent:
                return
            self._sent[f"{job.id}:{attempt}"] = now
            body = json.dumps({"tenant": job.tenant, "job_id": job.id})
            self._messages.append(_Message(body, job.scope.writer_key()))

    def hide(self, receipt: str, *, seconds: float) -> None:
        self._fail()
        now = self._clock.monotonic()
        with self._lock:
            held = [m for m in self._messages if m.receipt == receipt and m.visible_at > now]
            if not held:
                raise QueueError("the message is no longer hidden")
            held[0].visible_at = now + seconds

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure

    def receive(self, *, limit: int = 10, visibility_s: float = 30.0) -> list[Received]:
        """Up to `limit` messages in order; a group with a message in flight waits until that one is done."""
        now = self._clock.monotonic()
        with self._lock:
            self._bury(now)
            blocked = {message.group for message in self._messages if message.visible_at > now}
            free = [message for message in self._messages if message.group not in blocked][:limit]
            for message in free:
                message.visible_at = now + visibility_s
                message.receipt = str(uuid4())
                message.receive_count += 1
            return [Received(m.body, m.group, m.receipt, m.receive_count) for m in free]

    def delete(self, receipt: str) -> None:
        """The message is done; a receipt whose visibility has ended does nothing."""
        now = self._clock.monotonic()
        with self._lock:
            self._messages = [m for m in self._messages if m.receipt != receipt or m.visible_at <= now]

    def release(self, receipt: str) -> None:
        """Make the message visible again at once, as a failed batch item is."""
        now = self._clock.monotonic()
        with self._lock:
            for message in self._messages:
                if message.receipt == receipt:
                    message.visible_at = now

    def __len__(self) -> int:
        return len(self._messages)

    def _bury(self, now: float) -> None:
        spent = [m for m in self._messages if m.visible_at <= now and m.receive_count >= self._max_receives]
        self.dead_letters += [message.body for message in spent]
        gone = {message.id for message in spent}
        self._messages = [message for message in self._messages if message.id not in gone]
