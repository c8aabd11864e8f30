"""MilvusIndex: the index port on one Milvus collection."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any, NamedTuple

from forgetless.adapters.index_milvus.bm25_words import Bm25Words
from forgetless.adapters.index_milvus.compiler import compile_filter, lit
from forgetless.adapters.index_milvus.connection import Collection
from forgetless.adapters.index_milvus.direct_calls import Found
from forgetless.adapters.index_milvus.earlier_columns import lacking, without_columns
from forgetless.adapters.index_milvus.rows import (
    COMPARED,
    is_literal,
    is_same_row,
    key_text,
    pk_of,
    row_of,
    split_pk,
)
from forgetless.adapters.index_milvus.word_columns import SPARSE, WeightedWords, WordColumns
from forgetless.adapters.secrets_aws import Secret
from forgetless.domain.filters.ast import EVERYTHING, Filter
from forgetless.domain.limits import MOST_INDEX_RESULTS
from forgetless.domain.memory import Memory
from forgetless.domain.memory_fields import COLUMNS_VERSION
from forgetless.domain.recipe import RECIPE_VERSION, Words
from forgetless.ports.index import Hit, IndexRow

__all__ = ["MilvusIndex"]

#: Rows in one insert. They fit into a gRPC message even if every row has the largest size.
INSERT_ROWS = 200
#: The largest number of keys in one expression.
KEYS_AT_ONCE = 200

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")


#: The word columns of each recipe.
_WORD_COLUMNS: Mapping[int, WordColumns] = {2: Bm25Words(), 3: WeightedWords()}


class _Retriever(NamedTuple):
    field: str
    metric: str


_DENSE = _Retriever(field="dense", metric="COSINE")


class MilvusIndex:
    """Search by vector and by words in Milvus.

    `uri` is `unix:/path.sock`, `http://host:19530` or the address of Zilliz Cloud; `recipe` made the collection's rows.
    Nothing is imported or connected before the first call. All indexes in a process share one client per server.
    """

    def __init__(
        self,
        uri: str,
        *,
        token: Secret = "",
        collection: str,
        dimensions: int,
        recipe: int = RECIPE_VERSION,
        columns: int = COLUMNS_VERSION,
        timeout_s: float = 5.0,
    ) -> None:
        if not _NAME.fullmatch(collection):
            raise ValueError(f"collection {collection!r} must consist of letters, digits and underscores")
        self.collection = collection
        self._dimensions = dimensions
        self._words = words = _WORD_COLUMNS[recipe]
        self._by_words = _Retriever(field=SPARSE, metric=words.metric)
        self._missing = missing = lacking(columns)
        self._compared = [name for name in (*COMPARED, *words.names) if name not in missing]
        self._collection = Collection(
            uri, token=token, name=collection, dimensions=dimensions, words=words, missing=missing, timeout_s=timeout_s
        )

    def insert(self, rows: Sequence[IndexRow]) -> None:
        for row in rows:
            if row.vector and len(row.vector) != self._dimensions:
                raise ValueError(f"a vector has {len(row.vector)} dimensions, the collection {self._dimensions}")
        for portion in _portions(rows, INSERT_ROWS):
            self._collection.insert([self._row_of(row) for row in portion])

    def drop(self, tenant: str, keys: Sequence[tuple[str, int]]) -> None:
        for expression in _key_expressions(tenant, keys):
            self._collection.call("delete", filter=expression)

    def drop_older(self, tenant: str, memories: Sequence[Memory]) -> None:
        # Rows are deleted by key instead of `version <`, because a chain of conditions would nest too deeply.
        self.drop(tenant, [(m.id, version) for m in memories if m.live for version in range(1, m.version)])
        dead = [m.id for m in memories if not m.live and is_literal(m.id)]
        for portion in _portions(dead, KEYS_AT_ONCE):
            literals = ", ".join(map(lit, portion))
            self._collection.call("delete", filter=f"{_within(tenant)} and memory_id in [{literals}]")

    def drop_all(self, tenant: str | None = None) -> None:
        if tenant is None:
            self._collection.forget()
        else:
            self._collection.call("delete", filter=_within(tenant))

    def search_vector(self, tenant: str, vector: Sequence[float], where: Filter, limit: int) -> list[Hit]:
        return self._search(_DENSE, [list(vector)], self._compiled(where, tenant), limit)[0]

    def search_vectors(
        self, tenant: str, vectors: Sequence[Sequence[float]], where: Filter, limit: int
    ) -> list[list[Hit]]:
        return self._search(_DENSE, [list(vector) for vector in vectors], self._compiled(where, tenant), limit)

    def search_words(self, tenant: str, words: Words, where: Filter, limit: int) -> list[Hit]:
        query = self._words.query(words)
        if query is None:
            return []
        return self._search(self._by_words, [query], self._compiled(where, tenant), limit)[0]

    def score_vector(self, tenant: str, vector: Sequence[float], keys: Sequence[tuple[str, int]]) -> list[Hit]:
        return self._score(_DENSE, list(vector), tenant, keys)

    def score_words(self, tenant: str, words: Words, keys: Sequence[tuple[str, int]]) -> list[Hit]:
        query = self._words.query(words)
        return [] if query is None else self._score(self._by_words, query, tenant, keys)

    def vectors(self, tenant: str, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], list[float]]:
        found: dict[tuple[str, int], list[float]] = {}
        for expression in _key_expressions(tenant, keys):
            for row in self._collection.call("query", filter=expression, output_fields=["pk", "dense"]):
                vector = [float(value) for value in row["dense"]]
                found[split_pk(row["pk"])] = vector if any(vector) else []
        return found

    def held(self, tenant: str, keys: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
        return {
            split_pk(row["pk"])
            for expression in _key_expressions(tenant, keys)
            for row in self._collection.call("query", filter=expression, output_fields=["pk"])
        }

    def unchanged(self, tenant: str, rows: Sequence[IndexRow]) -> set[tuple[str, int]]:
        expected = {(row.memory.id, row.memory.version): self._row_of(row) for row in rows}
        same: set[tuple[str, int]] = set()
        for expression in _key_expressions(tenant, list(expected)):
            held = self._collection.call("query", filter=expression, output_fields=self._compared)
            alike = {key for row in held if is_same_row(row, expected[key := split_pk(row["pk"])], self._words)}
            # Milvus Lite 2.5.1 keeps duplicates. A query returns only one of them, but a search finds them all.
            if alike:
                held_vectors = (expected[key]["dense"] for key in alike)
                probe = next(filter(any, held_vectors), [1.0] + [0.0] * (self._dimensions - 1))
                (hits,) = self._find(_DENSE, [probe], expression, MOST_INDEX_RESULTS)
                found = Counter(map(split_pk, hits.pks))
                same |= {key for key in alike if found[key] == 1}
        return same

    def exists(self) -> bool:
        return self._collection.exists()

    def count(self, tenant: str | None = None) -> int:
        # Counting must not create the collection.
        if not self._collection.exists():
            return 0
        where = "" if tenant is None else _within(tenant)
        (row,) = self._collection.call("query", filter=where, output_fields=["count(*)"])
        return int(row["count(*)"])

    def keys(self, tenant: str, *, limit: int, beyond: str = "") -> list[tuple[str, int]]:
        if limit <= 0 or not self._collection.exists():
            return []
        where = f"{_within(tenant)} and pk >= {lit(key_text(beyond))}" if beyond else _within(tenant)
        rows = self._collection.call("query", filter=where, output_fields=["pk"], limit=min(limit, MOST_INDEX_RESULTS))
        return [split_pk(row["pk"]) for row in rows]

    def ping(self) -> None:
        self._collection.ping()

    def close(self) -> None:
        self._collection.close()

    def _row_of(self, row: IndexRow) -> dict[str, Any]:
        # Milvus has no rows without a vector. To it, one without a direction has the cosine 0 with every other.
        vector = row.vector or [0.0] * self._dimensions
        values = row_of(replace(row, vector=vector), self._words)
        return {name: value for name, value in values.items() if name not in self._missing}

    def _compiled(self, where: Filter, tenant: str) -> str:
        return compile_filter(without_columns(where, self._missing), tenant)

    def _score(self, retriever: _Retriever, query: Any, tenant: str, keys: Sequence[tuple[str, int]]) -> list[Hit]:
        # Milvus looks up a primary key directly; any other field would be compared in every row.
        return [
            hit
            for expression in _key_expressions(tenant, keys)
            for hit in self._search(retriever, [query], expression, 2 * KEYS_AT_ONCE)[0]
        ]

    def _search(self, retriever: _Retriever, queries: Sequence[Any], expression: str, limit: int) -> list[list[Hit]]:
        """The hits of each query."""
        if limit <= 0 or not queries:
            return [[] for _ in queries]
        found = self._find(retriever, queries, expression, min(limit, MOST_INDEX_RESULTS))
        return [_hits(retriever, one) for one in found]

    def _find(self, retriever: _Retriever, queries: Sequence[Any], expression: str, limit: int) -> list[Found]:
        return self._collection.search(
            data=list(queries),
            anns_field=retriever.field,
            search_params={"metric_type": retriever.metric},
            filter=expression,
            limit=limit,
        )


def _hits(retriever: _Retriever, found: Found) -> list[Hit]:
    # Milvus 3.2.2 returns negative BM25 scores.
    scores = map(abs, found.scores) if retriever.metric == "BM25" else found.scores
    signals = found.columns.get("signals") or repeat(0)
    hits: dict[str, Hit] = {}
    for pk, score, signal in zip(found.pks, scores, signals, strict=False):
        if pk not in hits:
            hits[pk] = Hit(*split_pk(pk), score, signal)
    return list(hits.values())


def _within(tenant: str) -> str:
    return compile_filter(EVERYTHING, tenant)


def _key_expressions(tenant: str, keys: Sequence[tuple[str, int]]) -> Iterator[str]:
    """Expressions that match these rows; keys that no row can have are left out."""
    possible = [pk_of(tenant, *key) for key in keys if key_text(key[0]) == key[0]]
    for portion in _portions(possible, KEYS_AT_ONCE):
        yield f"{_within(tenant)} and pk in [{', '.join(map(lit, portion))}]"


def _portions(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
