"""Feeds functions from queues: several batches at once, each received, invoked and settled in turn."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from local.emulator.invocation import Invoker, InvokeResult, ThrottledError
from local.emulator.specs import Place, QueueEventSpec
from local.emulator.sqs.messages import Received
from local.emulator.sqs.service import QueueService
from local.emulator.triggers.batch import batch_event, by_size, fits, processed

#: The number of batches at once with which a standard mapping starts.
DEFAULT_CONCURRENCY = 5
#: Seconds for which one receive waits for messages.
POLL_SECONDS = 20.0
#: A batch is sent before its event has more bytes than this.
MAX_EVENT_BYTES = 6 * 1024 * 1024
_RETRY_SECONDS = (0.1, 0.5, 1.0, 5.0)


class QueuePoller:
    """One event source mapping; `log` takes lines about what went wrong."""

    def __init__(
        self,
        event: QueueEventSpec,
        service: QueueService,
        function: Invoker,
        *,
        place: Place,
        log: Callable[[str], None],
        concurrency: int = DEFAULT_CONCURRENCY,
    ) -> None:
        self._event, self._service, self._function = event, service, function
        self._place, self._log = place, log
        self._concurrency = concurrency
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to poll."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._poll()) for _ in range(self._concurrency)]

    async def stop(self) -> None:
        """Stop polling; the messages of batches in progress become visible again later."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _poll(self) -> None:
        while True:
            try:
                messages = await self.collect()
                await self.settle(messages)
            except Exception as error:  # noqa: BLE001 - a poller that ends would stop the queue for good
                self._log(f"POLL {self._event.queue} failed: {error!r}")
                await asyncio.sleep(1.0)

    async def collect(self) -> list[Received]:
        """Return messages: a full batch, or those that came within the batching window, or a little more than 6 MB."""
        event, loop = self._event, asyncio.get_running_loop()
        messages = await self._service.receive(event.queue, min(event.batch_size, 10), POLL_SECONDS)
        deadline = loop.time() + event.window
        while messages and len(messages) < event.batch_size and (left := deadline - loop.time()) > 0:
            if len(by_size(messages, MAX_EVENT_BYTES)) > 1:
                break
            more = min(event.batch_size - len(messages), 10)
            messages += await self._service.receive(event.queue, more, left)
        return messages

    async def settle(self, messages: list[Received]) -> None:
        """Invoke the function with messages, 6 MB at a time, and delete what it processed."""
        for batch in by_size(await self._filtered(messages), MAX_EVENT_BYTES):
            if not await self._settle_batch(batch) and self._event.queue.endswith(".fifo"):
                return  # The next messages of the same groups must wait.

    async def _filtered(self, messages: list[Received]) -> list[Received]:
        """Return the messages that fit a filter of the mapping; the others leave the queue, as on Lambda."""
        if self._event.filters is None:
            return messages
        fitting: list[Received] = []
        others: list[Received] = []
        for message in messages:
            (fitting if fits(message, self._event.filters) else others).append(message)
        if others:
            self._log(f"FILTER {self._event.queue}: {len(others)} of {len(messages)} messages fit no filter")
            await self._service.delete(self._event.queue, [message.handle for message in others])
        return fitting

    async def _settle_batch(self, messages: list[Received]) -> bool:
        """Return whether every message was processed."""
        queue = await self._service.queue(self._event.queue)
        payload = batch_event(messages, self._place.arn("sqs", queue.name), self._place.region)
        result = await self._invoke(payload, queue.number("VisibilityTimeout", 30))
        if result is None:
            return False
        done = processed(messages, result, report_failures=self._event.report_failures)
        if len(done) < len(messages):
            self._log(f"BATCH {queue.name}: {len(messages) - len(done)} of {len(messages)} messages failed")
        if done:
            await self._service.delete(queue.name, [message.handle for message in done])
        return len(done) == len(messages)

    async def _invoke(self, payload: bytes, visibility: float) -> InvokeResult | None:
        """Invoke; while throttled, try again until the messages become visible by themselves."""
        loop = asyncio.get_running_loop()
        deadline, attempt = loop.time() + visibility, 0
        while loop.time() < deadline:
            with contextlib.suppress(ThrottledError):
                return await self._function.submit(payload)
            await asyncio.sleep(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])
            attempt += 1
        self._log(f"BATCH {self._event.queue}: throttled until the visibility time-out")
        return None
