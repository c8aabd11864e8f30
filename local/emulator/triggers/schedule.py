"""Tells functions and queues by the clock."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import orjson

from local.emulator.specs import ACCOUNT_ID, Place, ScheduleSpec, Target
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
    """One schedule; `tell` hands its events over."""

    def __init__(self, spec: ScheduleSpec, place: Place, tell: Callable[[Target, bytes], Awaitable[None]]) -> None:
        self._spec, self._place, self._tell = spec, place, tell
        self._next = parse_expression(spec.expression)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to wait for the next firing."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Fire no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        moment = self._next(datetime.now(UTC))
        while moment is not None:
            while (left := (moment - datetime.now(UTC)).total_seconds()) > 0:
                await asyncio.sleep(min(left, _LONGEST_SLEEP_SECONDS))
            await self._tell(self._spec.target, schedule_event(self._spec, self._place, moment))
            moment = self._next(datetime.now(UTC))
