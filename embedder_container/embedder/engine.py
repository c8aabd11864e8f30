"""The queue and its workers: the texts of all requests wait in one queue, and threads compute them in batches.

Tickets and their waiters belong to the event loop; the queue is protected by the lock. A worker takes a batch as
soon as it is free, so batches grow with the load by themselves, and an idle service answers at once.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .batches import Limits, next_batch
from .errors import DeadlineError, InferenceError, OverloadedError
from .metrics import Metrics
from .model import Runner

__all__ = ["Engine", "Ticket"]

#: Weight of the newest batch in the measured rate.
RATE_WEIGHT = 0.1
#: Tokens per second and thread that are assumed until the first batch is measured.
FIRST_RATE = 2000.0

Ids = tuple[int, ...]
Key = tuple[str, Ids]


@dataclass(eq=False, slots=True)
class Ticket:
    """The texts of one request; await ``done``. Times are of the monotonic clock, in seconds."""

    vectors: NDArray[np.float32]
    remaining: int
    done: asyncio.Future[None]
    queued_at: float
    started_at: float = 0.0
    finished_at: float = 0.0
    entries: list[_Entry] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class _Entry:
    """One distinct text in the queue, and all who wait for it as (ticket, position)."""

    ids: Ids
    task: str
    turn: int
    queued_at: float
    waiters: list[tuple[Ticket, int]] = field(default_factory=list)
    started: bool = False
    cancelled: bool = False
    #: Those of one group may share a batch.
    group: str = ""

    @property
    def tokens(self) -> int:
        return len(self.ids)


class Engine:
    """Computes rows of token ids with ``threads`` workers around one model. Create it on its event loop."""

    def __init__(
        self,
        model: Runner,
        metrics: Metrics,
        *,
        dimensions: int,
        limits: Limits | None = None,
        threads: int = 2,
        queue_tokens: int = 65_536,
    ) -> None:
        self._model = model
        self._metrics = metrics
        self._dimensions = dimensions
        self._limits = limits or Limits()
        self._queue_tokens = queue_tokens
        self._loop = asyncio.get_running_loop()
        self._changed = threading.Condition()
        self._line: list[_Entry] = []
        self._in_flight: dict[Key, _Entry] = {}
        self._waiting_tokens = 0
        self._served_tokens = 0
        self._rate = FIRST_RATE * threads
        self._closing = False
        self._workers = [
            threading.Thread(target=self._work, name=f"inference-{number}", daemon=True) for number in range(threads)
        ]
        for worker in self._workers:
            worker.start()

    @property
    def waiting_tokens(self) -> int:
        """Return the tokens in the queue that no worker has taken yet."""
        return self._waiting_tokens

    def submit(self, rows: Sequence[Sequence[int]], task: str = "") -> Ticket:
        """Queue the rows of one request; identical rows, also of other requests, are computed once.

        Raises OverloadedError when the queue is full. A request larger than half the queue is accepted when
        half of the queue is free, so that it is not refused for ever.
        """
        size = sum(map(len, rows))
        now = time.monotonic()
        with self._changed:
            if self._waiting_tokens + min(size, self._queue_tokens // 2) > self._queue_tokens:
                self._metrics.rejected.inc()
                raise OverloadedError(max(1, math.ceil(self._waiting_tokens / self._rate)))
            vectors = np.empty((len(rows), self._dimensions), np.float32)
            ticket = Ticket(vectors, len(rows), self._loop.create_future(), now)
            # A text's turn comes after what was computed when it arrived and after its own request's
            # earlier texts: a long request takes turns with what arrives later, and is never overtaken twice.
            turn = self._served_tokens
            for position, row in enumerate(rows):
                self._enqueue(ticket, position, (task, tuple(row)), turn)
                turn += len(row)
            self._line.sort(key=_turn)
            self._metrics.waiting.set(self._waiting_tokens)
            self._changed.notify(min(len(rows), len(self._workers)))
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Forget a ticket: texts that nobody else waits for leave the queue, unless a worker has taken them."""
        with self._changed:
            for entry in ticket.entries:
                entry.waiters = [waiter for waiter in entry.waiters if waiter[0] is not ticket]
                if not entry.waiters and not entry.started and not entry.cancelled:
                    entry.cancelled = True
                    self._waiting_tokens -= entry.tokens
                    del self._in_flight[entry.task, entry.ids]
            self._metrics.waiting.set(self._waiting_tokens)
        if not ticket.done.done():
            ticket.done.cancel()

    def expire(self, ticket: Ticket) -> None:
        """Give up a ticket because its deadline has passed: its waiter gets DeadlineError."""
        if not ticket.done.done():
            self._metrics.expired.inc()
            ticket.done.set_exception(DeadlineError("The deadline passed before the texts were computed."))
        self.cancel(ticket)

    def close(self) -> None:
        """Stop the workers after the batches in progress; texts that still wait are not computed."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()

    def _enqueue(self, ticket: Ticket, position: int, key: Key, turn: int) -> None:
        entry = self._in_flight.get(key)
        if entry is None:
            entry = _Entry(key[1], key[0], turn, ticket.queued_at)
            entry.group = "" if self._model.mixes_tasks else entry.task
            self._in_flight[key] = entry
            self._line.append(entry)
            self._waiting_tokens += entry.tokens
        else:
            entry.turn = min(entry.turn, turn)
        entry.waiters.append((ticket, position))
        ticket.entries.append(entry)

    def _work(self) -> None:
        while (batch := self._take()) is not None:
            started = time.monotonic()
            results = self._compute(batch)
            finished = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(self._deliver, batch, results, started, finished)
            except RuntimeError:
                return  # The loop is closed: nobody waits for an answer any more.

    def _take(self) -> list[_Entry] | None:
        """Wait for work and take a batch; None when the engine closes."""
        with self._changed:
            while True:
                if self._closing:
                    return None
                cut = next_batch(self._line, self._limits)
                self._line = cut.rest
                if cut.rows:
                    break
                self._changed.wait()
            for entry in cut.rows:
                entry.started = True
                self._waiting_tokens -= entry.tokens
                self._served_tokens += entry.tokens
            return cut.rows

    def _compute(self, batch: list[_Entry]) -> Sequence[NDArray[np.float32] | None]:
        """Compute a batch; if it fails, compute each row alone, so that a bad one does not affect the others."""
        try:
            return list(self._model.run([entry.ids for entry in batch], [entry.task for entry in batch]))
        except Exception:  # noqa: BLE001 - whatever the runtime raises, the others must be answered
            if len(batch) == 1:
                return [None]
        return [self._compute([entry])[0] for entry in batch]

    def _deliver(
        self,
        batch: list[_Entry],
        results: Sequence[NDArray[np.float32] | None],
        started: float,
        finished: float,
    ) -> None:
        tokens = sum(entry.tokens for entry in batch)
        with self._changed:
            for entry in batch:
                del self._in_flight[entry.task, entry.ids]
            rate = tokens * len(self._workers) / max(finished - started, 1e-6)
            self._rate += RATE_WEIGHT * (rate - self._rate)
            self._metrics.waiting.set(self._waiting_tokens)
        padded = len(batch) * max(entry.tokens for entry in batch)
        waits = [started - entry.queued_at for entry in batch]
        self._metrics.observe_batch(tokens, padded, waits, finished - started)
        for entry, vector in zip(batch, results, strict=True):
            for ticket, position in entry.waiters:
                _settle(ticket, position, vector, started, finished)


def _settle(ticket: Ticket, position: int, vector: NDArray[np.float32] | None, started: float, finished: float) -> None:
    if ticket.done.done():
        return
    if vector is None:
        ticket.done.set_exception(InferenceError(f"The model failed on input {position}."))
        return
    ticket.vectors[position] = vector
    # A text may have been in flight for another request before this one came.
    ticket.started_at = ticket.started_at or max(started, ticket.queued_at)
    ticket.finished_at = finished
    ticket.remaining -= 1
    if ticket.remaining == 0:
        ticket.done.set_result(None)


def _turn(entry: _Entry) -> int:
    return entry.turn
