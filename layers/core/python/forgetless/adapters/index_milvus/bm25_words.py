"""BM25 by Milvus over stems joined by spaces: the word columns of recipe 2. To be deleted with its last generation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forgetless.adapters.index_milvus.word_columns import SPARSE
from forgetless.domain.recipe import Words
from forgetless.domain.recipe_2 import BM25_B, BM25_K1
from forgetless.ports.index import IndexRow

__all__ = ["MAX_WORDS_BYTES", "Bm25Words"]

#: The maximum length of a VARCHAR.
MAX_WORDS_BYTES = 65_535


class Bm25Words:
    """See `WordColumns`. Milvus itself makes the sparse vector of each row, with the statistics of the collection."""

    names = ("words",)
    shown: tuple[str, ...] = ()
    metric = "BM25"
    index_params: Mapping[str, Any] = {"bm25_k1": BM25_K1, "bm25_b": BM25_B}

    def add_fields(self, schema: Any) -> None:
        from pymilvus import DataType, Function, FunctionType  # noqa: PLC0415 - only where Milvus is used

        schema.add_field(
            "words",
            DataType.VARCHAR,
            max_length=MAX_WORDS_BYTES,
            enable_analyzer=True,
            # The words are already prepared, because versions differ in stemming and stop words.
            analyzer_params={"tokenizer": "standard"},
        )
        schema.add_field(SPARSE, DataType.SPARSE_FLOAT_VECTOR)
        schema.add_function(
            Function(
                name="bm25", function_type=FunctionType.BM25, input_field_names=["words"], output_field_names=[SPARSE]
            )
        )

    def values(self, row: IndexRow) -> dict[str, Any]:
        return {"words": _cut(str(row.words))}

    def read(self, row: Mapping[str, Any]) -> tuple[Words, int]:
        return str(row["words"]), 0

    def is_same(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        return bool(one["words"] == other["words"])

    def query(self, words: Words) -> str | None:
        return _cut(str(words)).strip() or None


def _cut(words: str) -> str:
    """As many of the words as a VARCHAR can hold, cut after a whole word."""
    encoded = words.encode("utf-8", "ignore")
    if len(encoded) <= MAX_WORDS_BYTES:
        return encoded.decode()
    return encoded[:MAX_WORDS_BYTES].rpartition(b" ")[0].decode("utf-8", "ignore")
