"""Hands events to functions, queues and topics, for every trigger that waits for no answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from local.emulator.invocation import Invoker, invoke_async
from local.emulator.sns.messages import Published
from local.emulator.sns.topics import Topics
from local.emulator.specs import Target
from local.emulator.sqs.errors import SqsError
from local.emulator.sqs.messages import Outgoing
from local.emulator.sqs.service import QueueService

__all__ = ["Deliveries", "Targets"]

#: Takes the name of a function or trigger, and a line about what went wrong there.
Log = Callable[[str, str], None]


class Deliveries:
    """Reaches functions (asynchronously, with Lambda's retries) and queues."""

    def __init__(self, functions: Mapping[str, Invoker], queues: QueueService, log: Log) -> None:
        self._functions, self._queues, self._log = functions, queues, log
        self._tasks: set[asyncio.Task[bool]] = set()

    def invoke(self, function: str, payload: bytes) -> None:
        """Invoke a function; nobody waits for the result."""
        work = invoke_async(self._functions[function], payload, lambda line: self._log(function, line))
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def send(self, queue: str, message: Outgoing) -> None:
        """Send a message to a queue; raises SqsError."""
        found = await self._queues.queue(queue)
        await self._queues.send(queue, [message.checked(found)])

    async def close(self) -> None:
        """Cancel the invocations and retries that are still to come."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Targets:
    """Tells whatever a trigger names of an event."""

    def __init__(self, deliveries: Deliveries, topics: Topics, log: Log) -> None:
        self._deliveries, self._topics, self._log = deliveries, topics, log

    async def tell(self, target: Target, payload: bytes) -> None:
        """Hand an event to a function, a queue or a topic; a refusal is logged, and ends no trigger."""
        if target.kind == "function":
            self._deliveries.invoke(target.name, payload)
            return
        try:
            if target.kind == "topic":
                await self._topics.publish(Published(self._topics.arn(target.name), payload.decode()))
            else:
                await self._deliveries.send(target.name, Outgoing(payload.decode(), group=target.group))
        except SqsError as error:
            self._log(target.name, f"an event was refused: {error.message}")
        except Exception as error:  # noqa: BLE001 - a schedule or a watch that ends would tell nothing more
            self._log(target.name, f"an event is lost: {error!r}")
