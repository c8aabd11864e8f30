"""LimitedIndex: the index for a limited key; the final check is in LimitedLedger."""

from __future__ import annotations

from collections.abc import Sequence

from forgetless.domain.filters.ast import And, Filter
from forgetless.domain.key_limits import KeyLimits
from forgetless.domain.memory import Memory
from forgetless.domain.moments import Moment
from forgetless.domain.recipe import Words
from forgetless.ports.index import Content, Hit, IndexRow, Key, PastMark, PastRow, RequestIndex, RequestPast

__all__ = ["LimitedIndex", "LimitedPast"]


class LimitedPast:
    """See `forgetless.ports.index.RequestPast`; limited as LimitedIndex is."""

    def __init__(self, past: RequestPast, limits: KeyLimits) -> None:
        self._past = past
        self._mine = limits.condition()

    def search_vector(
        self, tenant: str, vector: Sequence[float], where: Filter, moment: Moment | None, limit: int
    ) -> list[Hit]:
        return self._past.search_vector(tenant, vector, And((self._mine, where)), moment, limit)

    def search_words(self, tenant: str, words: Words, where: Filter, moment: Moment | None, limit: int) -> list[Hit]:
        return self._past.search_words(tenant, words, And((self._mine, where)), moment, limit)

    # As below, the following methods take rows that a search or the ledger returned.

    def score_vector(self, tenant: str, vector: Sequence[float], keys: Sequence[Key]) -> list[Hit]:
        return self._past.score_vector(tenant, vector, keys)

    def score_words(self, tenant: str, words: Words, keys: Sequence[Key]) -> list[Hit]:
        return self._past.score_words(tenant, words, keys)

    def contents(self, tenant: str, keys: Sequence[Key]) -> dict[Key, Content]:
        return self._past.contents(tenant, keys)

    def held(self, tenant: str, keys: Sequence[Key]) -> dict[Key, PastMark]:
        return self._past.held(tenant, keys)

    def insert(self, rows: Sequence[PastRow]) -> None:
        self._past.insert(rows)

    def drop(self, tenant: str, keys: Sequence[Key]) -> None:
        self._past.drop(tenant, keys)


class LimitedIndex:
    """See `forgetless.ports.index.RequestIndex`; searches consider only the rows within the limits.

    Otherwise, other rows would take up places in the answer.
    """

    def __init__(self, index: RequestIndex, limits: KeyLimits) -> None:
        self._index = index
        self._mine = limits.condition()
        self._past = LimitedPast(index.past, limits)

    @property
    def past(self) -> LimitedPast:
        return self._past

    def search_vector(self, tenant: str, vector: Sequence[float], where: Filter, limit: int) -> list[Hit]:
        return self._index.search_vector(tenant, vector, And((self._mine, where)), limit)

    def search_vectors(
        self, tenant: str, vectors: Sequence[Sequence[float]], where: Filter, limit: int
    ) -> list[list[Hit]]:
        return self._index.search_vectors(tenant, vectors, And((self._mine, where)), limit)

    def search_words(self, tenant: str, words: Words, where: Filter, limit: int) -> list[Hit]:
        return self._index.search_words(tenant, words, And((self._mine, where)), limit)

    # The following methods take rows that a search or the ledger returned. Both respect the limits.

    def score_vector(self, tenant: str, vector: Sequence[float], keys: Sequence[Key]) -> list[Hit]:
        return self._index.score_vector(tenant, vector, keys)

    def score_words(self, tenant: str, words: Words, keys: Sequence[Key]) -> list[Hit]:
        return self._index.score_words(tenant, words, keys)

    def vectors(self, tenant: str, keys: Sequence[Key]) -> dict[Key, list[float]]:
        return self._index.vectors(tenant, keys)

    def contents(self, tenant: str, keys: Sequence[Key]) -> dict[Key, Content]:
        return self._index.contents(tenant, keys)

    def insert(self, rows: Sequence[IndexRow]) -> None:
        self._index.insert(rows)

    def drop(self, tenant: str, keys: Sequence[Key]) -> None:
        self._index.drop(tenant, keys)

    def drop_older(self, tenant: str, memories: Sequence[Memory]) -> None:
        self._index.drop_older(tenant, memories)
