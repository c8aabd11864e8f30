"""MilvusIndex: the index port on two Milvus collections."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

from forgetless.adapters.index_milvus.bm25_words import Bm25Words
from forgetless.adapters.index_milvus.connection import Collection
from forgetless.adapters.index_milvus.earlier_columns import lacking
from forgetless.adapters.index_milvus.past import MilvusPast
from forgetless.adapters.index_milvus.rows import COMPARED, is_same_row, split_pk
from forgetless.adapters.index_milvus.stored_rows import DENSE, StoredRows, key_expressions, vector_of
from forgetless.adapters.index_milvus.word_columns import WeightedWords, WordColumns
from forgetless.adapters.secrets_aws import Secret
from forgetless.domain.filters.ast import Filter
from forgetless.domain.limits import MOST_INDEX_RESULTS
from forgetless.domain.memory import Memory
from forgetless.domain.memory_fields import COLUMNS_VERSION
from forgetless.domain.recipe import RECIPE_VERSION, Words
from forgetless.ports.index import Hit, IndexRow, Key

__all__ = ["MilvusIndex"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,249}")


#: The word columns of each recipe.
_WORD_COLUMNS: Mapping[int, WordColumns] = {2: Bm25Words(), 3: WeightedWords()}


class MilvusIndex(StoredRows):
    """Search by vector and by words in Milvus.

    `uri` is `unix:/path.sock`, `http://host:19530` or the address of Zilliz Cloud; `recipe` made the collection's rows.
    The rows of the past are in a collection whose name ends with `_past`. Nothing is imported or connected before the
    first call. All indexes in a process share one client per server.
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
        words, missing = _WORD_COLUMNS[recipe], lacking(columns)
        open_ = partial(
            Collection, uri, token=token, dimensions=dimensions, words=words, missing=missing, timeout_s=timeout_s
        )
        super().__init__(open_(name=collection), dimensions=dimensions, words=words, missing=missing)
        past = open_(name=f"{collection}_past", past=True)
        self._past = MilvusPast(past, dimensions=dimensions, words=words, missing=missing)
        self._compared = [name for name in (*COMPARED, *words.names) if name not in missing]

    @property
    def past(self) -> MilvusPast:
        return self._past

    def insert(self, rows: Sequence[IndexRow]) -> None:
        self._insert([self._row_of(row) for row in rows])

    def drop_older(self, tenant: str, memories: Sequence[Memory]) -> None:
        # Rows are deleted by key instead of `version <`, because a chain of conditions would nest too deeply.
        self.drop(tenant, [(m.id, version) for m in memories if m.live for version in range(1, m.version)])
        self.drop_memories(tenant, [m.id for m in memories if not m.live])
        self._past.drop_memories(tenant, [m.id for m in memories if m.deleted])

    def drop_all(self, tenant: str | None = None) -> None:
        self._past.drop_all(tenant)
        super().drop_all(tenant)

    def search_vector(self, tenant: str, vector: Sequence[float], where: Filter, limit: int) -> list[Hit]:
        return self._search(DENSE, [list(vector)], self._compiled(where, tenant), limit)[0]

    def search_vectors(
        self, tenant: str, vectors: Sequence[Sequence[float]], where: Filter, limit: int
    ) -> list[list[Hit]]:
        return self._search(DENSE, [list(vector) for vector in vectors], self._compiled(where, tenant), limit)

    def search_words(self, tenant: str, words: Words, where: Filter, limit: int) -> list[Hit]:
        return self._search_words(words, self._compiled(where, tenant), limit)

    def vectors(self, tenant: str, keys: Sequence[Key]) -> dict[Key, list[float]]:
        found: dict[Key, list[float]] = {}
        for expression in key_expressions(tenant, keys):
            for row in self._collection.call("query", filter=expression, output_fields=["pk", "dense"]):
                found[split_pk(row["pk"])] = vector_of(row)
        return found

    def held(self, tenant: str, keys: Sequence[Key]) -> set[Key]:
        return {
            split_pk(row["pk"])
            for expression in key_expressions(tenant, keys)
            for row in self._collection.call("query", filter=expression, output_fields=["pk"])
        }

    def unchanged(self, tenant: str, rows: Sequence[IndexRow]) -> set[Key]:
        expected = {(row.memory.id, row.memory.version): self._row_of(row) for row in rows}
        same: set[Key] = set()
        for expression in key_expressions(tenant, list(expected)):
            held = self._collection.call("query", filter=expression, output_fields=self._compared)
            alike = {key for row in held if is_same_row(row, expected[key := split_pk(row["pk"])], self._words)}
            # Milvus Lite 2.5.1 keeps duplicates. A query returns only one of them, but a search finds them all.
            if alike:
                held_vectors = (expected[key]["dense"] for key in alike)
                probe = next(filter(any, held_vectors), [1.0] + [0.0] * (self._dimensions - 1))
                (hits,) = self._find(DENSE, [probe], expression, MOST_INDEX_RESULTS)
                found = Counter(map(split_pk, hits.pks))
                same |= {key for key in alike if found[key] == 1}
        return same

    def exists(self) -> bool:
        return self._collection.exists()

    def ping(self) -> None:
        self._collection.ping()

    def close(self) -> None:
        super().close()
        self._past.close()
