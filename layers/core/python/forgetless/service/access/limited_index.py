"""LimitedIndex: the index for a limited key; the final check is in LimitedLedger."""

from __future__ import annotations

from collections.abc import Sequence

from forgetless.domain.filters.ast import And, Filter
from forgetless.domain.key_limits import KeyLimits
from forgetless.domain.memory import Memory
from forgetless.domain.recipe import Words
from forgetless.ports.index import Hit, IndexRow, RequestIndex

__all__ = ["LimitedIndex"]


class LimitedIndex:
    """See `forgetless.ports.index.RequestIndex`; searches consider only the rows within the limits.

    Otherwise, other rows would take up places in the answer.
    """

    def __init__(self, index: RequestIndex, limits: KeyLimits) -> None:
        self._index = index
        self._mine = limits.condition()

    def search_vector(self, tenant: str, vector: Sequence[float], where: Filter, limit: int) -> list[Hit]:
        return self._index.search_vector(tenant, vector, And((self._mine, where)), limit)

    def search_vectors(
        self, tenant: str, vectors: Sequence[Sequence[float]], where: Filter, limit: int
    ) -> list[list[Hit]]:
        return self._index.search_vectors(tenant, vectors, And((self._mine, where)), limit)

    def search_words(self, tenant: str, words: Words, where: Filter, limit: int) -> list[Hit]:
        return self._index.search_words(tenant, words, And((self._mine, where)), limit)

    # The following methods take rows that a search or the ledger returned. Both respect the limits.

    def score_vector(self, tenant: str, vector: Sequence[float], keys: Sequence[tuple[str, int]]) -> list[Hit]:
        return self._index.score_vector(tenant, vector, keys)

    def score_words(self, tenant: str, words: Words, keys: Sequence[tuple[str, int]]) -> list[Hit]:
        return self._index.score_words(tenant, words, keys)

    def vectors(self, tenant: str, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], list[float]]:
        return self._index.vectors(tenant, keys)

    def insert(self, rows: Sequence[IndexRow]) -> None:
        self._index.insert(rows)

    def drop(self, tenant: str, keys: Sequence[tuple[str, int]]) -> None:
        self._index.drop(tenant, keys)

    def drop_older(self, tenant: str, memories: Sequence[Memory]) -> None:
        self._index.drop_older(tenant, memories)
