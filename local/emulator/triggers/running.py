"""All triggers of a template besides HTTP, started and stopped together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from local.emulator.invocation import Invoker
from local.emulator.sns.topics import Topics
from local.emulator.specs import Place, Template
from local.emulator.sqs.service import QueueService
from local.emulator.triggers.deliveries import Deliveries, Log, Targets
from local.emulator.triggers.queue_poller import DEFAULT_CONCURRENCY, QueuePoller
from local.emulator.triggers.schedule import Schedule

__all__ = ["Triggers"]


class _Startable(Protocol):
    def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End."""


class Triggers:
    """Queues, schedules and topics of one template; `limit_of` gives the most environments of a function."""

    def __init__(
        self,
        template: Template,
        functions: Mapping[str, Invoker],
        queues: QueueService,
        place: Place,
        *,
        limit_of: Callable[[str], int],
        log: Log,
    ) -> None:
        self._deliveries = Deliveries(functions, queues, log)
        self.topics = Topics(template.topics, template.subscriptions, place, self._deliveries, partial(log, "topics"))
        self.targets = Targets(self._deliveries, self.topics, log)
        self._parts: list[_Startable] = []
        for event in template.queue_events:
            self._parts.append(
                QueuePoller(
                    event,
                    queues,
                    functions[event.function],
                    place=place,
                    log=partial(log, event.function),
                    concurrency=min(event.max_concurrency or DEFAULT_CONCURRENCY, limit_of(event.function)),
                )
            )
        self._parts += [Schedule(spec, place, self.targets.tell) for spec in template.schedules]

    def add(self, part: _Startable) -> None:
        """Start and stop one more with the others."""
        self._parts.append(part)

    def start(self) -> None:
        """Begin to poll, to wait and to listen."""
        for part in self._parts:
            part.start()

    async def stop(self) -> None:
        """End them, and the invocations whose results nobody waits for."""
        await asyncio.gather(*(part.stop() for part in self._parts))
        await self._deliveries.close()
