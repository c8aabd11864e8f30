"""Grows one collection in a Milvus Lite of its own, and measures searches, inserts and sizes at each number of rows."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from forgetless.adapters.index_milvus import MilvusIndex
from forgetless.domain.errors import IndexUnavailableError
from forgetless.domain.filters.ast import EVERYTHING, Compare, Field, Filter, Operator
from forgetless.ports.index import Index
from forgetless.service.reading.retrieval import CANDIDATES
from local.bench.index_rows.rows import PORTION, Rows
from local.bench.scale.measures import disk_bytes
from local.milvus import LiteServer

__all__ = ["Figures", "Growing", "OutOfTimeError", "growing"]

#: Rows by which the cost of one insert is measured. They are dropped again, so that the number of rows stays.
_SINGLE = 5
#: Questions, and how many results of each are compared with the true ones.
_QUESTIONS, _BEST = 50, 10
#: Seconds after which one call counts as failed. The service itself waits less (FORGETLESS_MILVUS_TIMEOUT).
_CALL_S = 60.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured with one number of rows."""

    rows: Rows
    count: int
    values: dict[str, float] = field(default_factory=dict)

    def as_object(self) -> dict[str, Any]:
        """Return the figures as they are saved."""
        return {"rows": self.count, "tenants": self.rows.tenants, **self.values}


class OutOfTimeError(Exception):
    """The time of the run was over while rows were inserted."""


class Growing:
    """A collection that grows from size to size."""

    def __init__(self, rows: Rows, index: Index, pid: int, data: Path) -> None:
        self.rows = rows
        self.count = 0
        #: Rows a second when it last grew; 0 before that.
        self.rate = 0.0
        #: Milliseconds of Milvus' CPU for each row then.
        self._insert_ms = 0.0
        self._index = index
        self._server = psutil.Process(pid)
        self._data = data

    def grow(self, count: int, *, end: float) -> None:
        """Insert rows until there are `count`; raises OutOfTimeError at `end` (monotonic)."""
        before, began, cpu = self.count, time.monotonic(), self._cpu_s()
        while self.count < count:
            if time.monotonic() > end:
                raise OutOfTimeError
            numbers = range(self.count, min(count, (self.count // PORTION + 1) * PORTION))
            self._index.insert(list(self.rows.numbered(numbers)))
            self.count = numbers.stop
        added = self.count - before
        self.rate = added / max(time.monotonic() - began, 1e-6)
        self._insert_ms = (self._cpu_s() - cpu) * 1000 / max(added, 1)

    def measure(self, seconds: float) -> Figures:
        """Return the figures with as many rows as there are now; each search is repeated for `seconds`."""
        tenant, one_user = self.rows.tenant(0), Compare(Field("user_id"), Operator.EQ, self.rows.user(0))
        figures = Figures(self.rows, self.count, {"insert rows/s": self.rate, "insert CPU ms": self._insert_ms})
        wheres: dict[str, Filter] = {"tenant": EVERYTHING, "user": one_user}
        for whose, where in wheres.items():
            for what, search in self._searches(tenant, where).items():
                search(0)
                cpu = self._cpu_s()
                taken = _repeated(search, seconds)
                figures.values[f"{whose}, {what} P50 ms"] = statistics.median(taken)
                figures.values[f"{whose}, {what} CPU ms"] = (self._cpu_s() - cpu) * 1000 / len(taken)
        vectors = [vector for vector, _ in self.rows.questions(_QUESTIONS)]
        figures.values["share of the true best ten"] = self._recall(tenant, vectors)
        figures.values["share of a user's rows"] = self._found(tenant, one_user, vectors)
        figures.values["insert one P50 ms"] = statistics.median(self._inserts())
        figures.values["memory MB"] = self._server.memory_info().rss / 1e6
        figures.values["disk MB"] = disk_bytes(self._data.rglob("*")) / 1e6
        return figures

    def _searches(self, tenant: str, where: Filter) -> dict[str, Callable[[int], object]]:
        questions = list(self.rows.questions(_QUESTIONS))

        def by_vector(number: int) -> object:
            return self._index.search_vector(tenant, questions[number % _QUESTIONS][0], where, CANDIDATES)

        def by_words(number: int) -> object:
            return self._index.search_words(tenant, questions[number % _QUESTIONS][1], where, CANDIDATES)

        return {"by vector": by_vector, "by words": by_words}

    def _recall(self, tenant: str, vectors: Sequence[Sequence[float]]) -> float:
        """Return the share of the rows that are truly nearest among those found; less than 1 if an index guesses."""
        true = self.rows.nearest(vectors, self.count, _BEST)
        found = [
            {hit.memory_id for hit in self._index.search_vector(tenant, vector, EVERYTHING, CANDIDATES)[:_BEST]}
            for vector in vectors
        ]
        return sum(len(one & other) for one, other in zip(true, found, strict=True)) / sum(map(len, true))

    def _found(self, tenant: str, one_user: Filter, vectors: Sequence[Sequence[float]]) -> float:
        """Return the share of a user's rows that a search finds, up to as many as it asks for."""
        mine = sum(self.rows.user(number) == self.rows.user(0) for number in range(0, self.count, self.rows.tenants))
        found = [len(self._index.search_vector(tenant, vector, one_user, CANDIDATES)) for vector in vectors]
        return sum(found) / len(found) / min(mine, CANDIDATES)

    def _inserts(self) -> list[float]:
        taken = []
        for number in range(self.count, self.count + _SINGLE):
            (row,) = self.rows.numbered(range(number, number + 1))
            began = time.monotonic()
            self._index.insert([row])
            taken.append((time.monotonic() - began) * 1000)
            self._index.drop(row.memory.scope.tenant, [(row.memory.id, row.memory.version)])
        return taken

    def _cpu_s(self) -> float:
        times = self._server.cpu_times()
        return float(times.user + times.system)


@contextmanager
def growing(rows: Rows) -> Iterator[Growing]:
    """Give an empty collection in a Milvus Lite that runs until the block ends."""
    # A unix socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="fl-rows-", ignore_cleanup_errors=True) as folder:
        server = LiteServer(Path(folder) / "data", Path(folder) / "m.sock")
        server.start()
        try:
            server.ready()
            if (pid := server.pid) is None:
                raise IndexUnavailableError(f"Milvus Lite ended; see {server.log_path}")
            index = MilvusIndex(server.uri, collection="rows", dimensions=rows.dimensions, timeout_s=_CALL_S)
            yield Growing(rows, index, pid, server.data_dir)
            index.close()
        finally:
            server.stop()


def _repeated(call: Callable[[int], object], seconds: float) -> list[float]:
    """Return the milliseconds of each call; at least three."""
    taken: list[float] = []
    end = time.monotonic() + seconds
    while len(taken) < 3 or time.monotonic() < end:
        began = time.monotonic()
        call(len(taken))
        taken.append((time.monotonic() - began) * 1000)
    return taken
