"""Word columns: how the words of rows are stored in the collection, and searched by. Recipes differ in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from forgetless.domain.recipe import Words
from forgetless.ports.index import IndexRow

__all__ = ["SPARSE", "WeightedWords", "WordColumns"]

#: The column of sparse vectors.
SPARSE = "sparse"
#: How much two stored weights of a term may differ: Milvus keeps them as float32.
_SAME_WEIGHT = 1e-5


class WordColumns(Protocol):
    """The columns that a recipe's words need."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that `values` writes."""

    @property
    def shown(self) -> tuple[str, ...]:
        """The columns that searches return with each hit."""

    @property
    def metric(self) -> str:
        """The metric of a search by words."""

    @property
    def index_params(self) -> Mapping[str, Any]:
        """The parameters of the index of sparse vectors."""

    def add_fields(self, schema: Any) -> None:
        """Add the columns to a schema."""

    def values(self, row: IndexRow) -> dict[str, Any]:
        """What a row holds in the columns."""

    def read(self, row: Mapping[str, Any]) -> tuple[Words, int]:
        """The words and the signals of a row that was read."""

    def is_same(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        """Whether the columns of two rows, read or to be written, hold the same."""

    def query(self, words: Words) -> Any:
        """The words in the form of a search; None if they can find nothing."""


class WeightedWords:
    """Term weights of our own (recipe 3), compared by their inner product, which every Milvus computes alike."""

    names = (SPARSE, "signals")
    shown = ("signals",)
    metric = "IP"
    #: Nothing may be dropped, neither of a row nor of a question: the weights are what rows are compared by.
    index_params: Mapping[str, Any] = {"drop_ratio_build": 0.0}

    def add_fields(self, schema: Any) -> None:
        from pymilvus import DataType  # noqa: PLC0415 - takes half a second, only where Milvus is used

        schema.add_field("signals", DataType.INT64)
        schema.add_field(SPARSE, DataType.SPARSE_FLOAT_VECTOR)

    def values(self, row: IndexRow) -> dict[str, Any]:
        return {"signals": row.signals, SPARSE: _weights(row.words)}

    def read(self, row: Mapping[str, Any]) -> tuple[Words, int]:
        return {int(term): float(weight) for term, weight in row[SPARSE].items()}, int(row["signals"])

    def is_same(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        mine, theirs = one[SPARSE], other[SPARSE]
        return (
            one["signals"] == other["signals"]
            and mine.keys() == theirs.keys()
            and all(math.isclose(mine[term], theirs[term], rel_tol=_SAME_WEIGHT) for term in mine)
        )

    def query(self, words: Words) -> dict[int, float] | None:
        return _weights(words) or None


def _weights(words: Words) -> dict[int, float]:
    if isinstance(words, str):
        raise TypeError("this collection holds term weights, not words")
    # pymilvus takes an int for a wrong weight.
    return {term: float(weight) for term, weight in words.items()}
