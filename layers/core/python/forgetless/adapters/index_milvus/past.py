"""MilvusPast: the collection of the versions that searches of the present must not meet, with their times."""

from __future__ import annotations

from collections.abc import Sequence

from forgetless.adapters.index_milvus.compiler import lit
from forgetless.adapters.index_milvus.rows import MADE_WITH, PAST_TIMES, mark_of, past_columns, split_pk
from forgetless.adapters.index_milvus.stored_rows import DENSE, StoredRows, key_expressions
from forgetless.domain.filters.ast import Filter
from forgetless.domain.moments import OPEN, Moment
from forgetless.domain.recipe import Words
from forgetless.ports.index import Hit, Key, PastMark, PastRow

__all__ = ["MilvusPast"]


class MilvusPast(StoredRows):
    """See `forgetless.ports.index.Past`."""

    def insert(self, rows: Sequence[PastRow]) -> None:
        self._insert([{**self._row_of(one.row), **past_columns(one.mark)} for one in rows])

    def search_vector(
        self, tenant: str, vector: Sequence[float], where: Filter, moment: Moment | None, limit: int
    ) -> list[Hit]:
        return self._search(DENSE, [list(vector)], self._held_then(where, moment, tenant), limit)[0]

    def search_words(self, tenant: str, words: Words, where: Filter, moment: Moment | None, limit: int) -> list[Hit]:
        return self._search_words(words, self._held_then(where, moment, tenant), limit)

    def held(self, tenant: str, keys: Sequence[Key]) -> dict[Key, PastMark]:
        columns = ["pk", *PAST_TIMES, MADE_WITH]
        return {
            split_pk(row["pk"]): mark_of(row)
            for expression in key_expressions(tenant, keys)
            for row in self._collection.call("query", filter=expression, output_fields=columns)
        }

    def _held_then(self, where: Filter, moment: Moment | None, tenant: str) -> str:
        """The expression for the filter and for the rows that may have held then (`PastTimes.may_hold`)."""
        expression = self._compiled(where, tenant)
        if moment is None:
            return expression
        known, true = _within("known", moment.known_at), _within("true", moment.as_of)
        return f"{expression} and ({known} and {true})"


def _within(what: str, time: str | None) -> str:
    """Rows whose span of this kind holds the time, or does not end."""
    if time is None:
        return f"{what}_until == {lit(OPEN)}"
    return f"({what}_from <= {lit(time)} and {what}_until > {lit(time)})"
