"""MemoryIndex: the index port within one process; what it finds is exact."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Sequence

from forgetless.domain.errors import IndexRefusedError, IndexUnavailableError
from forgetless.domain.filters.ast import EVERYTHING, Filter
from forgetless.domain.filters.evaluate import evaluate
from forgetless.domain.memory import Memory
from forgetless.domain.moments import Moment
from forgetless.domain.recipe import Words, cosine, is_same_vector
from forgetless.domain.recipes import RECIPES
from forgetless.ports.index import Content, Hit, IndexRow, Key, PastMark, PastRow

__all__ = ["MemoryIndex", "MemoryPast"]


class MemoryPast:
    """The collection of the past of a MemoryIndex, which holds its rows and is available with it."""

    def __init__(self, index: MemoryIndex) -> None:
        self._index = index

    def insert(self, rows: Sequence[PastRow]) -> None:
        self._index.insert_past(rows)

    def drop(self, tenant: str, keys: Sequence[Key]) -> None:
        self._index.drop_past(tenant, keys)

    def search_vector(
        self, tenant: str, vector: Sequence[float], where: Filter, moment: Moment | None, limit: int
    ) -> list[Hit]:
        rows = self._matching(tenant, where, moment)
        return _best(((row, cosine(row.vector, vector)) for row in rows), limit)

    def search_words(self, tenant: str, words: Words, where: Filter, moment: Moment | None, limit: int) -> list[Hit]:
        if not words:
            return []
        wanted = {id(row) for row in self._matching(tenant, where, moment)}
        rows = [one.row for one in self._index.past_rows()]
        matches = zip(rows, _matches(words, rows), strict=True)
        return _best(((row, score) for row, score in matches if score > 0 and id(row) in wanted), limit)

    def score_vector(self, tenant: str, vector: Sequence[float], keys: Sequence[Key]) -> list[Hit]:
        return _among(keys, self.search_vector(tenant, vector, EVERYTHING, None, len(self._index.past_rows())))

    def score_words(self, tenant: str, words: Words, keys: Sequence[Key]) -> list[Hit]:
        return _among(keys, self.search_words(tenant, words, EVERYTHING, None, len(self._index.past_rows())))

    def contents(self, tenant: str, keys: Sequence[Key]) -> dict[Key, Content]:
        return _contents(tenant, keys, [one.row for one in self._index.past_rows()])

    def held(self, tenant: str, keys: Sequence[Key]) -> dict[Key, PastMark]:
        wanted = {(tenant, *key) for key in keys}
        found = [one for one in self._index.past_rows() if _key(one.row) in wanted]
        return {(one.row.memory.id, one.row.memory.version): one.mark for one in found}

    def count(self, tenant: str | None = None) -> int:
        return sum(tenant in {None, one.row.memory.scope.tenant} for one in self._index.past_rows())

    def keys(self, tenant: str, *, limit: int, beyond: str = "") -> list[Key]:
        rows = [one.row.memory for one in self._index.past_rows()]
        mine = [memory for memory in rows if memory.scope.tenant == tenant and memory.id >= beyond]
        return [(memory.id, memory.version) for memory in mine[: max(limit, 0)]]

    def _matching(self, tenant: str, where: Filter, moment: Moment | None) -> list[IndexRow]:
        return [
            one.row
            for one in self._index.past_rows()
            if one.row.memory.scope.tenant == tenant
            and evaluate(where, one.row.memory)
            and (moment is None or one.mark.times.may_hold(moment))
        ]


class MemoryIndex:
    """Cosine and words over everything; rows of recipe 2 have BM25's statistics of all tenants, as in Milvus.

    `available = False` makes every call fail, as a Milvus that is down does. An insert with a row that `refuses` names
    is refused as a whole.
    """

    def __init__(self, *, dimensions: int | None = None) -> None:
        self.available = True
        self.refuses: Callable[[IndexRow], bool] = lambda _row: False
        self._dimensions = dimensions
        self._rows: list[IndexRow] = []
        self._past_rows: list[PastRow] = []
        self._past = MemoryPast(self)
        self._lock = threading.Lock()

    @property
    def past(self) -> MemoryPast:
        return self._past

    def insert(self, rows: Sequence[IndexRow]) -> None:
        self._refuse(rows)
        with self._answering():
            self._rows = [*self._rows, *rows]

    def insert_past(self, rows: Sequence[PastRow]) -> None:
        self._refuse([one.row for one in rows])
        with self._answering():
            self._past_rows = [*self._past_rows, *rows]

    def drop_past(self, tenant: str, keys: Sequence[Key]) -> None:
        gone = {(tenant, *key) for key in keys}
        with self._answering():
            self._past_rows = [one for one in self._past_rows if _key(one.row) not in gone]

    def past_rows(self) -> list[PastRow]:
        with self._answering():
            return self._past_rows

    def _refuse(self, rows: Sequence[IndexRow]) -> None:
        for row in rows:
            if row.vector and self._dimensions not in {None, len(row.vector)}:
                raise ValueError(f"a vector has {len(row.vector)} dimensions, the collection {self._dimensions}")
        with self._answering():
            if any(map(self.refuses, rows)):
                raise IndexRefusedError("Milvus did not complete insert (code 1100)")

    def drop(self, tenant: str, keys: Sequence[Key]) -> None:
        gone = {(tenant, *key) for key in keys}
        with self._answering():
            self._rows = [row for row in self._rows if _key(row) not in gone]

    def drop_older(self, tenant: str, memories: Sequence[Memory]) -> None:
        kept_from = {memory.id: memory.version if memory.live else math.inf for memory in memories}
        with self._answering():
            self._rows = [
                row
                for row in self._rows
                if row.memory.scope.tenant != tenant or row.memory.version >= kept_from.get(row.memory.id, 0)
            ]
            deleted = {(tenant, memory.id) for memory in memories if memory.deleted}
            self._past_rows = [one for one in self._past_rows if _key(one.row)[:2] not in deleted]

    def drop_all(self, tenant: str | None = None) -> None:
        with self._answering():
            self._rows = [row for row in self._rows if tenant is not None and row.memory.scope.tenant != tenant]
            self._past_rows = [
                one for one in self._past_rows if tenant is not None and one.row.memory.scope.tenant != tenant
            ]

    def search_vector(self, tenant: str, vector: Sequence[float], where: Filter, limit: int) -> list[Hit]:
        rows = self._matching(tenant, where)
        return _best(((row, cosine(row.vector, vector)) for row in rows), limit)

    def search_vectors(
        self, tenant: str, vectors: Sequence[Sequence[float]], where: Filter, limit: int
    ) -> list[list[Hit]]:
        return [self.search_vector(tenant, vector, where, limit) for vector in vectors]

    def search_words(self, tenant: str, words: Words, where: Filter, limit: int) -> list[Hit]:
        if not words:
            return []
        wanted = {id(row) for row in self._matching(tenant, where)}
        rows = self._rows
        matches = zip(rows, _matches(words, rows), strict=True)
        return _best(((row, score) for row, score in matches if score > 0 and id(row) in wanted), limit)

    def score_vector(self, tenant: str, vector: Sequence[float], keys: Sequence[Key]) -> list[Hit]:
        return _among(keys, self.search_vector(tenant, vector, EVERYTHING, len(self._rows)))

    def score_words(self, tenant: str, words: Words, keys: Sequence[Key]) -> list[Hit]:
        return _among(keys, self.search_words(tenant, words, EVERYTHING, len(self._rows)))

    def vectors(self, tenant: str, keys: Sequence[Key]) -> dict[Key, list[float]]:
        wanted = {(tenant, *key) for key in keys}
        with self._answering():
            return {(row.memory.id, row.memory.version): list(row.vector) for row in self._rows if _key(row) in wanted}

    def contents(self, tenant: str, keys: Sequence[Key]) -> dict[Key, Content]:
        with self._answering():
            return _contents(tenant, keys, self._rows)

    def held(self, tenant: str, keys: Sequence[Key]) -> set[Key]:
        wanted = {(tenant, *key) for key in keys}
        with self._answering():
            return {(row.memory.id, row.memory.version) for row in self._rows if _key(row) in wanted}

    def unchanged(self, tenant: str, rows: Sequence[IndexRow]) -> set[Key]:
        with self._answering():
            held = [row for row in self._rows if row.memory.scope.tenant == tenant]
        found = [[other for other in held if _key(other) == _key(row)] for row in rows]
        return {
            (row.memory.id, row.memory.version)
            for row, others in zip(rows, found, strict=True)
            if len(others) == 1 and _is_same(row, others[0])
        }

    def exists(self) -> bool:
        return self.count() > 0

    def count(self, tenant: str | None = None) -> int:
        with self._answering():
            return sum(tenant in {None, row.memory.scope.tenant} for row in self._rows)

    def keys(self, tenant: str, *, limit: int, beyond: str = "") -> list[Key]:
        with self._answering():
            rows = [row.memory for row in self._rows if row.memory.scope.tenant == tenant and row.memory.id >= beyond]
        return [(memory.id, memory.version) for memory in rows[: max(limit, 0)]]

    def ping(self) -> None:
        with self._answering():
            pass

    def close(self) -> None:
        """Nothing to release."""

    def _answering(self) -> threading.Lock:
        if not self.available:
            raise IndexUnavailableError("the index in memory is switched off")
        return self._lock

    def _matching(self, tenant: str, where: Filter) -> list[IndexRow]:
        with self._answering():
            rows = self._rows
        return [row for row in rows if row.memory.scope.tenant == tenant and evaluate(where, row.memory)]


def _matches(words: Words, rows: Sequence[IndexRow]) -> list[float]:
    """Rows of recipe 2 have BM25's statistics of all tenants, as in Milvus."""
    recipe = RECIPES[2 if isinstance(words, str) else 3]
    return recipe.matches(words, [row.words for row in rows])


def _contents(tenant: str, keys: Sequence[Key], rows: Iterable[IndexRow]) -> dict[Key, Content]:
    wanted = {(tenant, *key) for key in keys}
    return {
        (row.memory.id, row.memory.version): Content(list(row.vector), row.words, row.signals)
        for row in rows
        if _key(row) in wanted
    }


def _key(row: IndexRow) -> tuple[str, str, int]:
    return (row.memory.scope.tenant, row.memory.id, row.memory.version)


def _is_same(one: IndexRow, other: IndexRow) -> bool:
    same = (one.memory, one.words, one.signals) == (other.memory, other.words, other.signals)
    return same and is_same_vector(one.vector, other.vector)


def _best(scored: Iterable[tuple[IndexRow, float]], limit: int) -> list[Hit]:
    hits: dict[tuple[str, int], Hit] = {}
    for row, score in scored:
        hits[row.memory.id, row.memory.version] = Hit(row.memory.id, row.memory.version, score, row.signals)
    return sorted(hits.values(), key=lambda hit: -hit.score)[: max(limit, 0)]


def _among(keys: Sequence[Key], hits: Iterable[Hit]) -> list[Hit]:
    wanted = set(keys)
    return [hit for hit in hits if (hit.memory_id, hit.version) in wanted]
