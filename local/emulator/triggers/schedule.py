"""Runs functions by the clock, with the retries of asynchronous invocations."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import orjson

from local.emulator.invocation import Invoker, invoke_async
from local.emulator.specs import ACCOUNT_ID, Place, ScheduleSpec
from local.emulator.template.expressions import parse_expression

_LONGEST_SLEEP_SECONDS = 3600.0


def schedule_event(spec: ScheduleSpec, place: Place, now: datetime) -> bytes:
    """Return the event of a schedule: its Input alone, or the service's own."""
    if spec.payload is not None:
        return spec.payload.encode()
    service = "scheduler" if spec.source == "aws.scheduler" else "events"
    kind = f"schedule/default/{spec.name}" if service == "scheduler" else f"rule/{spec.name}"
    return orjson.dumps(
        {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": spec.source,
            "account": ACCOUNT_ID,
            "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": place.region,
            "resources": [place.arn(service, kind)],
            "detail": {} if service == "events" else "{}",
        }
    )


class Schedule:
    """One schedule of one function."""

    def __init__(self, spec: ScheduleSpec, function: Invoker, place: Place, log: Callable[[str], None]) -> None:
        self._spec, self._function, self._place, self._log = spec, function, place, log
        self._next = parse_expression(spec.expression)
        self._tasks: set[asyncio.Task[object]] = set()

    def start(self) -> None:
        """Begin to wait for the next firing."""
        self._add(self._run())

    async def stop(self) -> None:
        """Stop without waiting for invocations in progress."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        moment = self._next(datetime.now(UTC))
        while moment is not None:
            while (left := (moment - datetime.now(UTC)).total_seconds()) > 0:
                await asyncio.sleep(min(left, _LONGEST_SLEEP_SECONDS))
            self._add(invoke_async(self._function, schedule_event(self._spec, self._place, moment), self._log))
            moment = self._next(datetime.now(UTC))

    def _add(self, work: Awaitable[object]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
