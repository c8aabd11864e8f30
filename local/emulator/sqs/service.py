"""The queues for coroutines: a thread for SQLite, and receivers that wait for messages."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from local.emulator.sqs.messages import Outgoing, Queue, Received, Sent
from local.emulator.sqs.store import Store

T = TypeVar("T")


class QueueService:
    """Queues of one emulator; methods may be awaited from the event loop's thread only."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # One thread, so that SQLite's work does not delay the gateway and transactions do not wait for each other.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqs")
        self._arrivals: dict[str, asyncio.Event] = {}
        self._closing = False
        #: How many receivers wait for messages, by queue.
        self.waiting: Counter[str] = Counter()

    async def run(self, work: Callable[[Store], T]) -> T:
        """Run work on the store in its thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, self._store))

    async def put_queue(self, name: str, attributes: dict[str, str]) -> None:
        """Make or change a queue."""
        await self.run(lambda store: store.put_queue(name, attributes))

    async def queue(self, name: str) -> Queue:
        """Return a queue; raises QueueDoesNotExistError."""
        return await self.run(lambda store: store.queue(name))

    async def send(self, name: str, messages: list[Outgoing]) -> list[Sent]:
        """Store checked messages and wake the receivers that wait for them."""
        sent = await self.run(lambda store: store.send(name, messages))
        self.wake(name)
        return sent

    async def receive(
        self, name: str, limit: int = 1, wait: float = 0.0, visibility: float | None = None
    ) -> list[Received]:
        """Return messages, waiting up to `wait` seconds for the first one."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            # Taken before the look into the queue, so that what arrives meanwhile is not missed.
            arrival = self._arrivals.setdefault(name, asyncio.Event())
            found = await self.run(lambda store: store.receive(name, limit, visibility))
            left = deadline - loop.time()
            if found or left <= 0 or self._closing:
                return found
            shows = await self.run(lambda store: store.next_visible(name))
            self.waiting[name] += 1
            try:
                async with asyncio.timeout(min(left, left if shows is None else max(shows, 0.0) + 0.001)):
                    await arrival.wait()
            except TimeoutError:
                pass
            finally:
                self.waiting[name] -= 1

    async def delete(self, name: str, handles: list[str]) -> None:
        """Delete delivered messages; the next of their groups may be delivered."""
        await self.run(lambda store: store.delete(name, handles))
        self.wake(name)

    async def change_visibility(self, name: str, handle: str, seconds: float) -> bool:
        """Hide a delivered message for some seconds from now; return whether it was in flight."""
        found = await self.run(lambda store: store.change_visibility(name, handle, seconds))
        self.wake(name)
        return found

    def wake(self, name: str) -> None:
        """Let all receivers that wait for messages of a queue look again."""
        arrival = self._arrivals.pop(name, None)
        if arrival is not None:
            arrival.set()

    def end_polls(self) -> None:
        """End all long polls, now and later."""
        self._closing = True
        for name in list(self._arrivals):
            self.wake(name)

    def close(self) -> None:
        """Finish what runs in the thread and close the file."""
        self._thread.submit(self._store.close)
        self._thread.shutdown(wait=True)
