"""StoredRows: what the two collections of an index have in common, in Milvus' expressions and calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any, NamedTuple

from forgetless.adapters.index_milvus.compiler import compile_filter, lit
from forgetless.adapters.index_milvus.connection import Collection
from forgetless.adapters.index_milvus.direct_calls import Found
from forgetless.adapters.index_milvus.earlier_columns import without_columns
from forgetless.adapters.index_milvus.rows import is_literal, key_text, pk_of, row_of, split_pk
from forgetless.adapters.index_milvus.word_columns import SPARSE, WordColumns
from forgetless.domain.filters.ast import EVERYTHING, Filter
from forgetless.domain.limits import MOST_INDEX_RESULTS
from forgetless.domain.recipe import Words
from forgetless.ports.index import Content, Hit, IndexRow, Key

__all__ = ["DENSE", "Retriever", "StoredRows", "key_expressions", "vector_of"]

#: Rows in one insert. They fit into a gRPC message even if every row has the largest size.
INSERT_ROWS = 200
#: The largest number of keys in one expression.
KEYS_AT_ONCE = 200


class Retriever(NamedTuple):
    """A column that is searched, and how its values are compared."""

    field: str
    metric: str


DENSE = Retriever(field="dense", metric="COSINE")


class StoredRows:
    """The rows of one collection."""

    def __init__(self, collection: Collection, *, dimensions: int, words: WordColumns, missing: frozenset[str]) -> None:
        self._collection = collection
        self._dimensions = dimensions
        self._words = words
        self._missing = missing
        self._by_words = Retriever(field=SPARSE, metric=words.metric)

    def drop(self, tenant: str, keys: Sequence[Key]) -> None:
        for expression in key_expressions(tenant, keys):
            self._collection.call("delete", filter=expression)

    def drop_memories(self, tenant: str, ids: Sequence[str]) -> None:
        """Remove all rows of these memories."""
        for portion in _portions([id_ for id_ in ids if is_literal(id_)], KEYS_AT_ONCE):
            literals = ", ".join(map(lit, portion))
            self._collection.call("delete", filter=f"{_within(tenant)} and memory_id in [{literals}]")

    def drop_all(self, tenant: str | None = None) -> None:
        if tenant is None:
            self._collection.forget()
        else:
            self._collection.call("delete", filter=_within(tenant))

    def score_vector(self, tenant: str, vector: Sequence[float], keys: Sequence[Key]) -> list[Hit]:
        return self._score(DENSE, list(vector), tenant, keys)

    def score_words(self, tenant: str, words: Words, keys: Sequence[Key]) -> list[Hit]:
        query = self._words.query(words)
        return [] if query is None else self._score(self._by_words, query, tenant, keys)

    def contents(self, tenant: str, keys: Sequence[Key]) -> dict[Key, Content]:
        found: dict[Key, Content] = {}
        for expression in key_expressions(tenant, keys):
            columns = ["pk", "dense", *self._words.names]
            for row in self._collection.call("query", filter=expression, output_fields=columns):
                found[split_pk(row["pk"])] = Content(vector_of(row), *self._words.read(row))
        return found

    def count(self, tenant: str | None = None) -> int:
        # Counting must not create the collection.
        if not self._collection.exists():
            return 0
        where = "" if tenant is None else _within(tenant)
        (row,) = self._collection.call("query", filter=where, output_fields=["count(*)"])
        return int(row["count(*)"])

    def keys(self, tenant: str, *, limit: int, beyond: str = "") -> list[Key]:
        if limit <= 0 or not self._collection.exists():
            return []
        where = f"{_within(tenant)} and pk >= {lit(key_text(beyond))}" if beyond else _within(tenant)
        rows = self._collection.call("query", filter=where, output_fields=["pk"], limit=min(limit, MOST_INDEX_RESULTS))
        return [split_pk(row["pk"]) for row in rows]

    def close(self) -> None:
        self._collection.close()

    def _insert(self, rows: Sequence[dict[str, Any]]) -> None:
        for row in rows:
            if len(row["dense"]) != self._dimensions:
                raise ValueError(f"a vector has {len(row['dense'])} dimensions, the collection {self._dimensions}")
        for portion in _portions(rows, INSERT_ROWS):
            self._collection.insert(list(portion))

    def _row_of(self, row: IndexRow) -> dict[str, Any]:
        # Milvus has no rows without a vector. To it, one without a direction has the cosine 0 with every other.
        vector = row.vector or [0.0] * self._dimensions
        values = row_of(replace(row, vector=vector), self._words)
        return {name: value for name, value in values.items() if name not in self._missing}

    def _compiled(self, where: Filter, tenant: str) -> str:
        return compile_filter(without_columns(where, self._missing), tenant)

    def _score(self, retriever: Retriever, query: Any, tenant: str, keys: Sequence[Key]) -> list[Hit]:
        # Milvus looks up a primary key directly; any other field would be compared in every row.
        return [
            hit
            for expression in key_expressions(tenant, keys)
            for hit in self._search(retriever, [query], expression, 2 * KEYS_AT_ONCE)[0]
        ]

    def _search(self, retriever: Retriever, queries: Sequence[Any], expression: str, limit: int) -> list[list[Hit]]:
        """The hits of each query."""
        if limit <= 0 or not queries:
            return [[] for _ in queries]
        found = self._find(retriever, queries, expression, min(limit, MOST_INDEX_RESULTS))
        return [_hits(retriever, one) for one in found]

    def _search_words(self, words: Words, expression: str, limit: int) -> list[Hit]:
        query = self._words.query(words)
        return [] if query is None else self._search(self._by_words, [query], expression, limit)[0]

    def _find(self, retriever: Retriever, queries: Sequence[Any], expression: str, limit: int) -> list[Found]:
        return self._collection.search(
            data=list(queries),
            anns_field=retriever.field,
            search_params={"metric_type": retriever.metric},
            filter=expression,
            limit=limit,
        )


def _hits(retriever: Retriever, found: Found) -> list[Hit]:
    # Milvus 3.2.2 returns negative BM25 scores.
    scores = map(abs, found.scores) if retriever.metric == "BM25" else found.scores
    signals = found.columns.get("signals") or repeat(0)
    hits: dict[str, Hit] = {}
    for pk, score, signal in zip(found.pks, scores, signals, strict=False):
        if pk not in hits:
            hits[pk] = Hit(*split_pk(pk), score, signal)
    return list(hits.values())


def vector_of(row: Mapping[str, Any]) -> list[float]:
    """The vector of a row that was read; empty if it has none."""
    vector = [float(value) for value in row["dense"]]
    return vector if any(vector) else []


def _within(tenant: str) -> str:
    return compile_filter(EVERYTHING, tenant)


def key_expressions(tenant: str, keys: Sequence[Key]) -> Iterator[str]:
    """Expressions that match these rows; keys that no row can have are left out."""
    possible = [pk_of(tenant, *key) for key in keys if key_text(key[0]) == key[0]]
    for portion in _portions(possible, KEYS_AT_ONCE):
        yield f"{_within(tenant)} and pk in [{', '.join(map(lit, portion))}]"


def _portions(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
