"""A whole service on real adapters without network: SQLite, the index in memory, fakes for models and clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from forgetless.adapters.erasure_log_file import FileErasureLog
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.filters.ast import EVERYTHING, Filter
from forgetless.domain.filters.scope_ids import all_ids
from forgetless.domain.key_limits import KeyLimits
from forgetless.domain.memory import Memory
from forgetless.domain.moments import Moment
from forgetless.domain.recipe import Words
from forgetless.domain.scope import Scope
from forgetless.ports.clock import Clock
from forgetless.ports.erasure_log import ErasureLog
from forgetless.ports.index import Hit, IndexRow
from forgetless.ports.ledger import Ledger
from forgetless.ports.llm import ChatMessage
from forgetless.service.requests import (
    AddOutcome,
    AddRequest,
    HistoryItem,
    IncomingMessage,
    PageRequest,
    ScoredMemory,
    SearchRequest,
)
from forgetless.service.services import Ports, Services
from tests.fakes.clock import FakeClock
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.index import MemoryIndex
from tests.fakes.llm import FakeLlm
from tests.fakes.queue import MemoryQueue

__all__ = ["ALICE", "MADE", "LooseIndex", "World", "facts", "make_world", "newest", "only"]

ALICE = Scope("default", user_id="alice")


def only(*users: str) -> KeyLimits:
    """The limits of a key that may do everything for these users."""
    return KeyLimits(users, ("*",), ("*",))


def newest(
    services: Services,
    ids: Mapping[str, str],
    *,
    tenant: str = "default",
    limit: int = 1000,
    moment: Moment | None = None,
    **more: Any,
) -> list[Memory]:
    """The newest memories with these ids, now or as of the moment."""
    request = PageRequest(tenant, all_ids(ids), limit, counted=False, **more)
    return list(services.at(moment).page(request).items)


Reply = Callable[[Sequence[ChatMessage]], str]


def facts(*entries: dict[str, object] | str) -> str:
    """An LLM's reply with these facts."""
    return json.dumps({"facts": [{"text": entry} if isinstance(entry, str) else entry for entry in entries]})


class LooseIndex(MemoryIndex):
    """An index in memory that can be made to lag (`frozen`: nothing is dropped), to filter loosely,

    or to let something happen just `before_insert`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.frozen = False
        self.before_insert: Callable[[], None] | None = None
        self.filters = True

    def insert(self, rows: Sequence[IndexRow]) -> None:
        meanwhile, self.before_insert = self.before_insert, None
        if meanwhile is not None:
            meanwhile()
        super().insert(rows)

    def drop(self, tenant: str, keys: Sequence[tuple[str, int]]) -> None:
        if not self.frozen:
            super().drop(tenant, keys)

    def drop_older(self, tenant: str, memories: Sequence[Memory]) -> None:
        if not self.frozen:
            super().drop_older(tenant, memories)

    def drop_past(self, tenant: str, keys: Sequence[tuple[str, int]]) -> None:
        if not self.frozen:
            super().drop_past(tenant, keys)

    def search_vector(self, tenant: str, vector: Sequence[float], where: Filter, limit: int) -> list[Hit]:
        return super().search_vector(tenant, vector, where if self.filters else EVERYTHING, limit)

    def search_words(self, tenant: str, words: Words, where: Filter, limit: int) -> list[Hit]:
        return super().search_words(tenant, words, where if self.filters else EVERYTHING, limit)


@dataclass
class World:
    """The parts, to look into, and the services, to call."""

    ledger: Ledger
    index: LooseIndex
    embedder: FakeEmbedder
    queue: MemoryQueue
    clock: FakeClock
    llm: FakeLlm | None
    real_clock: Clock | None = None
    erasure_log: ErasureLog | None = None
    services: Services = field(init=False)

    def __post_init__(self) -> None:
        clock = self.real_clock or self.clock
        ports = Ports(self.ledger, self.index, self.embedder, self.queue, clock, self.llm, erasure_log=self.erasure_log)
        self.services = Services(ports)

    def say(self, *texts: str, scope: Scope = ALICE, infer: bool = False, **options: object) -> AddOutcome:
        """Add user messages, a second after the last."""
        self.clock.advance(1)
        messages = tuple(IncomingMessage("user", text) for text in texts)
        return self.services.add.add(AddRequest(scope, messages, infer=infer, **options))  # type: ignore[arg-type]

    def find(
        self, query: str, *, scope: Scope = ALICE, where: Filter | None = None, top_k: int = 10, threshold: float = 0.0
    ) -> list[ScoredMemory]:
        """Search the scope."""
        ids = scope.ids()
        request = SearchRequest(scope.tenant, query, where or all_ids(ids), ids, top_k, threshold, explain=True)
        return self.services.search.search(request)

    def texts(self, scope: Scope = ALICE) -> list[str]:
        """What a list shows, newest first."""
        return [memory.text for memory in newest(self.services, scope.ids(), tenant=scope.tenant)]

    def history(self, memory_id: str, *, tenant: str = "default") -> list[HistoryItem]:
        """All events of a memory, oldest first."""
        return list(chain.from_iterable(self.services.reads.history(tenant, memory_id)))


#: The worlds of the running test, so that it closes each of them, however it ends.
MADE: list[World] = []


def make_world(
    folder: Path,
    reply: Reply | Sequence[str] | None = None,
    clock: Clock | None = None,
    ledger: Ledger | None = None,
    erasure_log: ErasureLog | None = None,
) -> World:
    """A fresh world; `reply` gives it an LLM, and the others replace a fake clock, SQLite and a file."""
    fake = FakeClock()
    world = World(
        ledger=ledger or SqliteLedger(folder / "ledger.db"),
        index=LooseIndex(),
        embedder=FakeEmbedder(),
        queue=MemoryQueue(fake),
        clock=fake,
        llm=None if reply is None else FakeLlm(reply),
        real_clock=clock,
        erasure_log=erasure_log or FileErasureLog(folder / "ledger.db-erasures"),
    )
    MADE.append(world)
    return world
