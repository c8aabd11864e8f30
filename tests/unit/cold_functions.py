"""Cold Lambda functions over a table of moto, each of which may only do what its policy in template.yaml says."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.ledger_dynamodb import DynamoLedger
from forgetless.adapters.ledger_dynamodb.erasure_log import LOG_DEFINITION, DynamoErasureLog
from forgetless.domain.bulk_jobs import BulkJob
from forgetless.domain.generations import Generation
from forgetless.domain.jobs import Job
from forgetless.domain.keys import Role
from forgetless.domain.limits import LLM_WAITS
from forgetless.ports.clock import Clock
from forgetless.ports.llm import ChatMessage
from forgetless.runtime import (
    composition,
    logs,  # noqa: F401 - loaded first inside of a test, it would keep that test's standard output
)
from forgetless.runtime.timed_ports import timed
from forgetless.service.generations.opened import OpenGeneration
from forgetless.service.services import Ports, Services
from local.emulator.gateway.event import ApiPlace, HttpRequest, build_event
from local.emulator.gateway.routes import Match
from local.emulator.specs import RouteSpec
from tests.dynamo_server import DynamoServer
from tests.fakes.bulk_queue import MemoryBulkQueue
from tests.fakes.lambda_context import FakeContext
from tests.fakes.queue import MemoryQueue
from tests.faults.tasks import handler_of
from tests.function_rights import Rights
from tests.unit.api.client import ADMIN, put_key
from tests.unit.servers import event_loop
from tests.unit.service.generations.place import Place
from tests.unit.service.world import facts, make_world

__all__ = ["House", "open_house"]

#: As for a ledger that a program opens.
_PATIENCE_S = 5.0
_PLACE = ApiPlace("api", "$default", "localhost")
_ROUTE = Match(RouteSpec(method="ANY", path="$default", function="f", authorizer=None, time_limit=30))


class _Sender:
    """A receiver of webhooks that takes everything."""

    def send(self, url: str, *, headers: Mapping[str, str], body: bytes, deadline_s: float) -> int:
        del url, headers, body, deadline_s
        return 200


class _GuardedQueue(MemoryQueue):
    """The queue of adds, which refuses what the running function may not do."""

    rights: Rights | None = None

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.hidden: list[str] = []

    def send(self, job: Job, *, attempt: str) -> None:
        assert self.rights is None or self.rights.allow("sqs:SendMessage", "IngestQueue")
        super().send(job, attempt=attempt)

    def hide(self, receipt: str, *, seconds: float) -> None:
        assert self.rights is None or self.rights.allow("sqs:ChangeMessageVisibility", "IngestQueue")
        super().hide(receipt, seconds=seconds)
        self.hidden.append(receipt)


class _GuardedBulkQueue(MemoryBulkQueue):
    """The same of the queue of bulk jobs."""

    rights: Rights | None = None

    def send(self, job: BulkJob, *, delay_s: float = 0.0, waits: int = 0) -> None:
        assert self.rights is None or self.rights.allow("sqs:SendMessage", "BulkQueue")
        super().send(job, delay_s=delay_s, waits=waits)


class _TimedPlace(Place):
    """Generations of the index whose calls are recorded as in a running service."""

    def opened(self, one: Generation) -> OpenGeneration:
        plain = super().opened(one)
        return OpenGeneration(timed("index", plain.index), timed("embedder", plain.embedder), plain.recipe)


class House:
    """Cold functions: each call has new services, and a right to nothing but what its policy says."""

    def __init__(self, folder: Path, ledger: DynamoLedger, server: DynamoServer, patch: pytest.MonkeyPatch) -> None:
        self.world, self.server, self._patch = make_world(folder, self._reply, ledger=ledger), server, patch
        self.log = f"erasures-{uuid.uuid4()}"
        self.opened: list[DynamoLedger] = []
        #: If it is set, all functions are warm and have these services.
        self.warm: Services | None = None
        self.llm_fault: Exception | None = None
        self.patience_s, self.llm_waits = _PATIENCE_S, LLM_WAITS
        self.queue, self.bulk_queue = _GuardedQueue(self.world.clock), _GuardedBulkQueue(self.world.clock)
        self.table = ledger._client.table
        self.place = _TimedPlace(ledger, self.world.clock, by_itself=False)

    def _reply(self, _messages: Sequence[ChatMessage]) -> str:
        if self.llm_fault is not None:
            raise self.llm_fault
        return facts("Alice likes tea")

    def services(self) -> Services:
        """New ones, as a new environment makes them; or those that are warm."""
        if self.warm is not None:
            return self.warm
        world = self.world
        ledger = DynamoLedger(self.table, endpoint_url=self.server.url, patience_s=self.patience_s)
        self.opened.append(ledger)
        self.place.ledger = ledger
        kept = self.place.kept()
        mine = kept.openings.of(kept.mine)
        ports = Ports(
            timed("ledger", ledger),
            mine.index,
            mine.embedder,
            timed("queue", self.queue),
            world.clock,
            None if world.llm is None else timed("llm", world.llm),
            timed("queue", self.bulk_queue),
            webhooks=_Sender(),
            erasure_log=DynamoErasureLog(self.log, endpoint_url=self.server.url),
            recipe=mine.recipe,
        )
        return Services(ports, rebuilds_lost_index=False, llm_waits=self.llm_waits, kept=kept)

    def call(self, name: str, event: Any) -> Any:
        """Invoke the function with an event, and fail if it was refused anything."""
        rights = Rights(f"{name.capitalize()}Function", {self.table: "Ledger", self.log: "Erasures"})
        services = self.services()
        self._patch.setattr(composition, "services", lambda: services)
        self.server.rules.append(rights.rule)
        self.queue.rights = self.bulk_queue.rights = rights
        try:
            answer = handler_of(name, services)(event, FakeContext())
        finally:
            self.server.rules.remove(rights.rule)
            self.queue.rights = self.bulk_queue.rights = None
        assert rights.refused == []
        return answer

    def ask(self, name: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send a request to a function behind the API; the body of its answer."""
        raw = b"" if body is None else json.dumps(body).encode()
        answer = self.send(name, method, path, raw, {"x-api-key": ADMIN, "content-type": "application/json", **headers})
        assert answer["statusCode"] < 300, (method, path, answer)
        return json.loads(answer["body"]) if answer["body"] else None

    def send(self, name: str, method: str, path: str, raw: bytes, headers: Mapping[str, str]) -> Any:
        """Send these bytes to a function behind the API; its answer to the gateway."""
        path, _, query = path.partition("?")
        sent = [("host", "localhost"), *headers.items()]
        request = HttpRequest(method, path, query, sent, raw, "127.0.0.1")
        return self.call(name, build_event(request, _ROUTE, _PLACE, "id"))

    def work(self, name: str, receipt: str, body: Any) -> list[Any]:
        """Give the function a message of its queue; the failures that it reports."""
        record = {
            "messageId": "1",
            "receiptHandle": receipt,
            "body": body,
            "attributes": {"MessageGroupId": "group"},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
        }
        failures: list[Any] = self.call(name, {"Records": [record]})["batchItemFailures"]
        return failures

    def work_off_bulk_jobs(self) -> None:
        """Run bulk until its queue is empty."""
        while (message := self.bulk_queue.receive()) is not None:
            body = {name: getattr(message, name) for name in ("tenant", "job_id", "version", "waits")}
            assert self.work("bulk", message.receipt, json.dumps(body)) == []
            self.bulk_queue.delete(message.receipt)


@contextmanager
def open_house(
    folder: Path, dynamo: Callable[[], DynamoLedger], server: DynamoServer, patch: pytest.MonkeyPatch
) -> Iterator[House]:
    """A house with a table, a log of erasures and an administrator's key."""
    house = House(folder, dynamo(), server, patch)
    server.admin.create_table(TableName=house.log, **LOG_DEFINITION)
    put_key(house.world, ADMIN, "default", Role.ADMIN)
    with event_loop():
        yield house
    for ledger in house.opened:
        ledger.close()
    server.admin.delete_table(TableName=house.log)
    house.world.ledger.close()
