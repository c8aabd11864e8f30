"""The stores that the processes of a kill test share: a ledger, a queue and an index, which outlive each process."""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.queue_sqs import SqsQueue
from forgetless.domain.filters.ast import Filter
from forgetless.domain.llm_context import LEAST_CONTEXT
from forgetless.domain.memory import Memory
from forgetless.domain.recipe import Words
from forgetless.domain.times import later
from forgetless.ports.index import Content, Hit, IndexRow, PastRow
from forgetless.ports.ledger import Ledger
from forgetless.ports.llm import ChatMessage
from forgetless.service.services import Ports, Services
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.index import MemoryIndex
from tests.fakes.llm import FakeLlm
from tests.faults.fault_injection import Watch, watched
from tests.faults.ledgers import OpenLedger

__all__ = ["CALLS", "LIFE_STORY", "POISON", "DiskIndex", "Place", "compose", "long_talk"]

#: A message with which every attempt ends in an error that nobody foresaw.
POISON = "poison"
#: A message with so many facts that they need more than the hundred items of one DynamoDB transaction.
LIFE_STORY = "my whole life"
_FACTS = 40
#: The file that has a line for each call of the LLM about a long add.
CALLS = "llm-calls"
#: How messages begin that are too long for one call of the LLM, and the facts in each.
LONG_TALK = "It was like this."
_DID = re.compile(r"Alice did thing \d+")


@dataclass(frozen=True, slots=True)
class Place:
    """The addresses of the stores; `ahead_s` is how far the process's clock is ahead of the machine's."""

    folder: Path
    queue_url: str
    open_ledger: OpenLedger
    ahead_s: float = 0.0


class AheadClock(SystemClock):
    """The machine's clock plus some seconds, so that leases end without waiting.

    The clock for durations stands still, so that on a slow machine no deadline passes unless the scenario says so.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def now(self) -> str:
        return later(super().now(), self._seconds)

    def monotonic(self) -> float:
        return 0.0


class DiskIndex(MemoryIndex):
    """MemoryIndex over a file that processes share; writes are atomic."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def insert(self, rows: Sequence[IndexRow]) -> None:
        with self._changing():
            super().insert(rows)

    def drop(self, tenant: str, keys: Sequence[tuple[str, int]]) -> None:
        with self._changing():
            super().drop(tenant, keys)

    def drop_older(self, tenant: str, memories: Sequence[Memory]) -> None:
        with self._changing():
            super().drop_older(tenant, memories)

    def drop_all(self, tenant: str | None = None) -> None:
        with self._changing():
            super().drop_all(tenant)

    def search_vector(self, tenant: str, vector: Sequence[float], where: Filter, limit: int) -> list[Hit]:
        self._load()
        return super().search_vector(tenant, vector, where, limit)

    def search_words(self, tenant: str, words: Words, where: Filter, limit: int) -> list[Hit]:
        self._load()
        return super().search_words(tenant, words, where, limit)

    def vectors(self, tenant: str, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], list[float]]:
        self._load()
        return super().vectors(tenant, keys)

    def held(self, tenant: str, keys: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
        self._load()
        return super().held(tenant, keys)

    def unchanged(self, tenant: str, rows: Sequence[IndexRow]) -> set[tuple[str, int]]:
        self._load()
        return super().unchanged(tenant, rows)

    def contents(self, tenant: str, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Content]:
        self._load()
        return super().contents(tenant, keys)

    def insert_past(self, rows: Sequence[PastRow]) -> None:
        with self._changing():
            super().insert_past(rows)

    def drop_past(self, tenant: str, keys: Sequence[tuple[str, int]]) -> None:
        with self._changing():
            super().drop_past(tenant, keys)

    def past_rows(self) -> list[PastRow]:
        self._load()
        return super().past_rows()

    def count(self, tenant: str | None = None) -> int:
        self._load()
        return super().count(tenant)

    def keys(self, tenant: str, *, limit: int, beyond: str = "") -> list[tuple[str, int]]:
        self._load()
        return super().keys(tenant, limit=limit, beyond=beyond)

    def every_key(self) -> list[tuple[str, int]]:
        """Return the memory id and version of every row, with doubles."""
        self._load()
        return sorted((row.memory.id, row.memory.version) for row in self._rows)

    def _load(self) -> None:
        held = pickle.loads(self._path.read_bytes()) if self._path.exists() else ([], [])
        self._rows, self._past_rows = held

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._load()
            yield
            fresh = self._path.with_suffix(f".{os.getpid()}")
            fresh.write_bytes(pickle.dumps((self._rows, self._past_rows)))
            fresh.replace(self._path)


def compose(
    place: Place,
    watch: Watch | None = None,
    *,
    ledger: Ledger | None = None,
    reply: Callable[..., str] | None = None,
) -> Services:
    """Compose the services over the shared stores, watched if asked; `ledger` is used if it is open already."""

    def noted(messages: Sequence[ChatMessage]) -> str:
        if LONG_TALK in messages[-1].content:
            with (place.folder / CALLS).open("a") as calls:
                calls.write(f"{_new_facts(messages[-1].content)[0]}\n")
        return (reply or extract)(messages)

    ports: dict[str, Any] = {
        "ledger": ledger or place.open_ledger(watch),
        "index": DiskIndex(place.folder / "index.pickle"),
        "embedder": FakeEmbedder(),
        "queue": SqsQueue(place.queue_url),
        "llm": FakeLlm(noted),
    }
    if watch is not None:
        ports = {name: watched(port, name, watch) for name, port in ports.items()}
    return Services(Ports(clock=AheadClock(place.ahead_s), **ports), llm_context_tokens=LEAST_CONTEXT)


def long_talk(calls: int) -> str:
    """A message that takes at least so many calls."""
    said = (f"{LONG_TALK} Alice did thing {number}. {'And so on. ' * 40}" for number in range(calls))
    return "\n".join(said)


def _new_facts(asked: str) -> list[str]:
    data = json.loads(asked.removeprefix("<data>").removesuffix("</data>"))
    return [text for message in data["new_messages"] for text in _DID.findall(message["text"])]


def extract(messages: Sequence[ChatMessage]) -> str:
    """Extract facts as a model would: many of a life; two of a move, of which one supersedes another; otherwise one."""
    asked = messages[-1].content
    if POISON in asked:
        raise RuntimeError("the LLM does not like this")
    if LONG_TALK in asked:
        return json.dumps({"facts": [{"text": text} for text in _new_facts(asked)]})
    if LIFE_STORY in asked:
        return json.dumps({"facts": [{"text": f"Alice did thing {number}"} for number in range(_FACTS)]})
    if "Hanoi" in asked:
        return json.dumps({"facts": [{"text": "Alice lives in Hanoi", "supersedes": [1]}, {"text": "Alice likes tea"}]})
    return json.dumps({"facts": [{"text": "Alice lives in Hue"}]})
