"""The whole application over a filled ledger of one size: asked as clients ask it, with every call counted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import httpx2
from fastapi.testclient import TestClient
from mcp import Client

from forgetless.api.app import create_app
from forgetless.domain.errors import ForgetlessError
from forgetless.ports.ledger import Ledger
from forgetless.ports.llm import ChatMessage, Completion
from forgetless.service.projects.settings import organization_id, project_id
from forgetless.service.services import Ports, Services
from forgetless.service.transfer.export_jobs import ExportJobs
from forgetless.service.transfer.import_jobs import ImportJobs
from tests.fakes.bulk_queue import MemoryBulkQueue
from tests.fakes.clock import FakeClock
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.queue import MemoryQueue
from tests.scale.counting_sqlite import CountingSqlite
from tests.scale.filled_ledger import ADMIN, HOOK, NOW, TENANT, Filled, fill_sqlite
from tests.scale.work import Meter, TooMuchWorkError, Work, counted
from tests.unit.api.mcp_client import connected
from tests.unit.service.world import facts

__all__ = ["Ask", "JobCase", "Stage", "ToolAsk"]


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. Words in angle brackets stand for things of the ledger; each <memory> is another one."""

    path: str
    body: Any = None
    name: str = ""
    key: str = ADMIN
    headers: dict[str, str] = field(default_factory=dict)
    #: The statuses of an answer that counts.
    statuses: tuple[int, ...] = (200,)
    #: It erases so much that the next case needs another ledger.
    destroys: bool = False
    #: It counts records of which a tenant has only so many, in an index.
    counts: bool = False


@dataclass(frozen=True, slots=True)
class ToolAsk:
    """One call of an MCP tool."""

    arguments: dict[str, Any]
    name: str = ""
    destroys: bool = False


@dataclass(frozen=True, slots=True)
class JobCase:
    """One job: `prepare` makes what it finds, and `run` gets what `prepare` returned.

    `counts` says that an operator runs it to count what is stored, in statements that walk through an index.
    """

    run: Callable[[Stage, Any], object]
    prepare: Callable[[Stage], Any] = lambda _: None
    counts: bool = False


class _Llm:
    """An LLM that answers each question in its form; every fact is new."""

    def __init__(self) -> None:
        self._facts = count(1)

    def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema_name: str | None = None,
        schema: Mapping[str, Any] | None = None,
        deadline_s: float,
    ) -> Completion:
        replies = {
            "facts": facts(f"Alice grows {next(self._facts)} kinds of mint"),
            "instructions": json.dumps({"custom_instructions": "Remember plants.", "test_message": "I like mint."}),
            "export": json.dumps({"memory": "tea"}),
        }
        return Completion(replies.get(schema_name or "", "Alice drinks tea."))

    def close(self) -> None:
        """Nothing to release."""


class _Sender:
    """A receiver of webhooks that takes everything."""

    def send(self, url: str, *, headers: Any, body: bytes, deadline_s: float) -> int:
        return 200


class Stage:
    """One filled ledger. `renew` gives the next case a fresh copy of it, with nothing cached in the process."""

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir()
        self.size = size
        self._folder = folder
        self._copies = 0
        self._filled: Filled = fill_sqlite(folder / "filled.db", size)
        self.client = TestClient(
            create_app(lambda: self.services, inline=True, mcp=True),
            follow_redirects=False,
            # What a failing case raises is said with its counts.
            raise_server_exceptions=False,
        )
        self.services: Services
        #: Whether the next case gets a fresh ledger.
        self.spoilt = True

    def renew(self, *, destroys: bool = False) -> None:
        """Take a fresh ledger if the last case has erased from it; `destroys` says whether this case will."""
        if self.spoilt:
            self._fresh()
        self.spoilt = destroys

    def _spoil_if_interrupted(self) -> None:
        """A connection whose statements were interrupted may be left within a transaction: nobody uses it again."""
        self.spoilt = self.spoilt or bool(self.meter.exceeded)

    def _fresh(self) -> None:
        self.close()
        self._copies += 1
        copy = self._folder / f"{self._copies}.db"
        shutil.copyfile(self._folder / "filled.db", copy)
        self.clock = FakeClock(NOW)
        self.meter = meter = Meter(self.clock)
        self.ledger: Ledger = CountingSqlite(copy, meter)
        self.index = self._filled.index.copy()
        self.queue, self.bulk_queue = MemoryQueue(self.clock), MemoryBulkQueue(self.clock)
        self._memories = iter(self._filled.plain)
        self._jobs = iter(self._filled.jobs)
        self.ports = Ports(
            ledger=counted("ledger", self.ledger, meter),
            index=counted("index", self.index, meter),
            embedder=counted("embedder", FakeEmbedder(), meter),
            queue=counted("queue", self.queue, meter),
            clock=self.clock,
            llm=counted("llm", _Llm(), meter),
            bulk_queue=counted("queue", self.bulk_queue, meter),
            webhooks=counted("webhooks", _Sender(), meter),
        )
        self.services = Services(self.ports)
        # The first use of a key is written down, and its next uses find it cached.
        self.client.get("/configure/providers", headers={"X-API-Key": ADMIN})

    def close(self) -> None:
        """Close the present copy and remove it."""
        if self._copies:
            self.services.close()
            for file in self._folder.glob(f"{self._copies}.db*"):
                file.unlink()

    def some_memories(self, number: int) -> list[str]:
        """Live memories that no other case has had."""
        return list(islice(self._memories, number))

    def some_jobs(self, number: int) -> list[str]:
        """Finished jobs that no other case has had."""
        return list(islice(self._jobs, number))

    def ask(self, method: str, asked: Ask, most: Work | None = None) -> tuple[Work, httpx2.Response]:
        """What one request costs, and its answer; it is ended when it costs more than `most`."""
        self.renew(destroys=asked.destroys)
        path, body = self._named([asked.path, asked.body])
        headers = {"X-API-Key": asked.key, **asked.headers}
        self.client.get("/configure/providers", headers={"X-API-Key": asked.key})
        with self.meter.measuring(most) as work:
            answer = self.client.request(method, path, json=body, headers=headers)
        self._spoil_if_interrupted()
        work["answer bytes"] = len(answer.content)
        return work, answer

    def call(self, tool: str, asked: ToolAsk, most: Work | None = None) -> tuple[Work, Any]:
        """What one call of a tool costs, and its answer."""
        self.renew(destroys=asked.destroys)
        (arguments,) = self._named([asked.arguments])

        async def main() -> tuple[Work, Any]:
            async with connected(self.client.app, key=ADMIN) as client:
                return await self._called(client, tool, arguments, most)

        return anyio.run(main)

    def run(self, job: JobCase, most: Work | None = None) -> Work:
        """What one job costs; what must be there before it is not counted."""
        self.renew(destroys=True)
        prepared = job.prepare(self)
        with self.meter.measuring(most) as work:
            try:
                job.run(self, prepared)
            except TooMuchWorkError:
                pass
            except ForgetlessError:
                # An interrupted statement: the counts say by what.
                if not self.meter.exceeded:
                    raise
        return work

    async def _called(
        self, client: Client, tool: str, arguments: dict[str, Any], most: Work | None
    ) -> tuple[Work, Any]:
        with self.meter.measuring(most) as work:
            answer = await client.call_tool(tool, arguments)
        self._spoil_if_interrupted()
        work["answer bytes"] = len(json.dumps(answer.structured_content))
        return work, answer

    def _begun(self, jobs: ImportJobs | ExportJobs) -> str:
        """The id of an import or export that has just begun."""
        id_ = str(uuid4())
        jobs.begin(TENANT, id_)
        return id_

    def _named(self, asked: list[Any]) -> list[Any]:
        text = json.dumps(asked)
        named: dict[str, Callable[[], str]] = {
            "<job>": lambda: self.some_jobs(1)[0],
            "<successor>": lambda: self._filled.successor,
            "<superseded>": lambda: self._filled.superseded,
            "<export>": lambda: self._filled.export,
            "<new import>": lambda: self._begun(self.services.import_jobs),
            "<new export>": lambda: self._begun(self.services.export_jobs),
            "<key>": lambda: self._filled.user_key,
            "<hook>": lambda: HOOK,
            "<organization>": lambda: organization_id(TENANT),
            "<project>": lambda: project_id(TENANT),
        }
        for word, given in named.items():
            if word in text:
                text = text.replace(word, given())
        parts = text.split("<memory>")
        for memory in self.some_memories(len(parts) - 1):
            parts[:2] = [parts[0] + memory + parts[1]]
        found: list[Any] = json.loads(parts[0])
        return found
