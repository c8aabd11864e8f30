"""QuickIndex: an index for large ledgers. It finds by filter only, the newest rows first, and computes no score."""

from __future__ import annotations

from collections.abc import Sequence

from forgetless.domain.filters.ast import Filter
from forgetless.domain.filters.evaluate import evaluate
from forgetless.domain.memory import Memory
from forgetless.domain.moments import Moment
from forgetless.domain.recipe import Words
from forgetless.ports.index import Content, Hit, IndexRow, Key, PastMark, PastRow

__all__ = ["QuickIndex"]


class QuickPast:
    """The rows of the past, as those of a QuickIndex."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[Key, PastRow]] = {}

    def copy(self) -> QuickPast:
        copied = QuickPast()
        copied._rows = {tenant: dict(rows) for tenant, rows in self._rows.items()}
        return copied

    def insert(self, rows: Sequence[PastRow]) -> None:
        for one in rows:
            self._of(one.row.memory.scope.tenant)[one.row.memory.id, one.row.memory.version] = one

    def drop(self, tenant: str, keys: Sequence[Key]) -> None:
        for key in keys:
            self._of(tenant).pop(key, None)

    def drop_deleted(self, tenant: str, memories: Sequence[Memory]) -> None:
        for memory in memories:
            self.drop(tenant, [(memory.id, version) for version in range(1, memory.version + 1)])

    def drop_all(self, tenant: str | None) -> None:
        if tenant is None:
            self._rows = {}
        self._rows.pop(tenant or "", None)

    def search_vector(
        self, tenant: str, vector: Sequence[float], where: Filter, moment: Moment | None, limit: int
    ) -> list[Hit]:
        found: list[Hit] = []
        for (id_, version), one in reversed(self._of(tenant).items()):
            if len(found) >= limit:
                break
            if (moment is None or one.mark.times.may_hold(moment)) and evaluate(where, one.row.memory):
                found.append(Hit(id_, version, 0.9 / (1 + len(found) / 1000), one.row.signals))
        return found

    def search_words(self, tenant: str, words: Words, where: Filter, moment: Moment | None, limit: int) -> list[Hit]:
        return self.search_vector(tenant, (), where, moment, limit)

    def score_vector(self, tenant: str, vector: Sequence[float], keys: Sequence[Key]) -> list[Hit]:
        rows = self._of(tenant)
        return [Hit(*key, 0.5, rows[key].row.signals) for key in keys if key in rows]

    def score_words(self, tenant: str, words: Words, keys: Sequence[Key]) -> list[Hit]:
        return self.score_vector(tenant, (), keys)

    def contents(self, tenant: str, keys: Sequence[Key]) -> dict[Key, Content]:
        rows = self._of(tenant)
        return {key: rows[key].row.content for key in keys if key in rows}

    def held(self, tenant: str, keys: Sequence[Key]) -> dict[Key, PastMark]:
        rows = self._of(tenant)
        return {key: rows[key].mark for key in keys if key in rows}

    def count(self, tenant: str | None = None) -> int:
        return sum(map(len, self._rows.values())) if tenant is None else len(self._of(tenant))

    def keys(self, tenant: str, *, limit: int, beyond: str = "") -> list[Key]:
        return sorted(key for key in self._of(tenant) if key[0] >= beyond)[:limit]

    def _of(self, tenant: str) -> dict[Key, PastRow]:
        return self._rows.setdefault(tenant, {})


class QuickIndex:
    """Rows by tenant and key; a hit's score falls with its rank, as a real one's does."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[Key, IndexRow]] = {}
        self.past = QuickPast()

    def copy(self) -> QuickIndex:
        """An index with the same rows, which may be changed alone."""
        copied = QuickIndex()
        copied._rows = {tenant: dict(rows) for tenant, rows in self._rows.items()}
        copied.past = self.past.copy()
        return copied

    def insert(self, rows: Sequence[IndexRow]) -> None:
        for row in rows:
            self._of(row.memory.scope.tenant)[row.memory.id, row.memory.version] = row

    def drop(self, tenant: str, keys: Sequence[Key]) -> None:
        for key in keys:
            self._of(tenant).pop(key, None)

    def drop_older(self, tenant: str, memories: Sequence[Memory]) -> None:
        for memory in memories:
            kept = memory.version if memory.live else memory.version + 1
            self.drop(tenant, [(memory.id, version) for version in range(1, kept)])
        self.past.drop_deleted(tenant, [memory for memory in memories if memory.deleted])

    def drop_all(self, tenant: str | None = None) -> None:
        self.past.drop_all(tenant)
        if tenant is None:
            self._rows = {}
        self._rows.pop(tenant or "", None)

    def search_vector(self, tenant: str, vector: Sequence[float], where: Filter, limit: int) -> list[Hit]:
        found: list[Hit] = []
        for (id_, version), row in reversed(self._of(tenant).items()):
            if len(found) >= limit:
                break
            if evaluate(where, row.memory):
                found.append(Hit(id_, version, 0.9 / (1 + len(found) / 1000), row.signals))
        return found

    def search_vectors(
        self, tenant: str, vectors: Sequence[Sequence[float]], where: Filter, limit: int
    ) -> list[list[Hit]]:
        return [self.search_vector(tenant, vector, where, limit) for vector in vectors]

    def search_words(self, tenant: str, words: Words, where: Filter, limit: int) -> list[Hit]:
        return self.search_vector(tenant, (), where, limit)

    def score_vector(self, tenant: str, vector: Sequence[float], keys: Sequence[Key]) -> list[Hit]:
        rows = self._of(tenant)
        return [Hit(*key, 0.5, rows[key].signals) for key in keys if key in rows]

    def score_words(self, tenant: str, words: Words, keys: Sequence[Key]) -> list[Hit]:
        return self.score_vector(tenant, (), keys)

    def vectors(self, tenant: str, keys: Sequence[Key]) -> dict[Key, list[float]]:
        rows = self._of(tenant)
        return {key: list(rows[key].vector) for key in keys if key in rows}

    def contents(self, tenant: str, keys: Sequence[Key]) -> dict[Key, Content]:
        rows = self._of(tenant)
        return {key: rows[key].content for key in keys if key in rows}

    def held(self, tenant: str, keys: Sequence[Key]) -> set[Key]:
        return set(keys) & self._of(tenant).keys()

    def unchanged(self, tenant: str, rows: Sequence[IndexRow]) -> set[Key]:
        held = self._of(tenant)
        keys = {(row.memory.id, row.memory.version): row for row in rows}
        return {key for key, row in keys.items() if key in held and held[key].memory == row.memory}

    def count(self, tenant: str | None = None) -> int:
        return sum(map(len, self._rows.values())) if tenant is None else len(self._of(tenant))

    def keys(self, tenant: str, *, limit: int, beyond: str = "") -> list[Key]:
        return sorted(key for key in self._of(tenant) if key[0] >= beyond)[:limit]

    def ping(self) -> None:
        """It always answers."""

    def close(self) -> None:
        """Nothing to release."""

    def _of(self, tenant: str) -> dict[Key, IndexRow]:
        return self._rows.setdefault(tenant, {})
