"""Reads of the past: get, list and search as of a moment, from the ledger's events, because the index holds only now.

A search ranks every memory that matches its filter. It takes a vector from the index if that version is still there,
and otherwise embeds the text again. BM25 uses the statistics of the memories that match.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from operator import mul

from forgetless.domain.bm25 import Bm25
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.filters.ast import EVERYTHING, And, Filter
from forgetless.domain.filters.evaluate import evaluate
from forgetless.domain.filters.scope_ids import pinned_ids
from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.domain.moments import Moment, begun, known, true_at
from forgetless.domain.scoring import Candidate
from forgetless.domain.words import query_words
from forgetless.ports.clock import Clock
from forgetless.ports.embedder import Embedder, EmbeddingTask
from forgetless.ports.index import IndexRow
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.reading.lists import page_of
from forgetless.service.reading.search import passes, score_details, unexpired
from forgetless.service.requests import Page, PageRequest, ScoredMemory, SearchRequest
from forgetless.service.writing.indexer import Indexer

__all__ = ["MOST_SEARCHED", "AsOfService"]

#: A search in the past ranks at most this many memories, because it reads them all.
MOST_SEARCHED = 2000
#: A search embeds at most this many versions that the index no longer has: best BM25 score first, then newest.
MOST_EMBEDDED = 100
_PAGE = 500


class AsOfService:
    """Reads what was true, and what was known, at a moment."""

    def __init__(self, *, ledger: RequestLedger, indexer: Indexer, embedder: Embedder, clock: Clock) -> None:
        self._ledger = ledger
        self._indexer = indexer
        self._embedder = embedder
        self._clock = clock

    def get(self, tenant: str, memory_id: str, moment: Moment) -> Memory | None:
        """The memory as it was known at the moment; None if it was unknown, or not true at `as_of`.

        Without `as_of`, a superseded memory is returned as well.
        """
        memory = known(self._ledger.history(tenant, memory_id), moment)
        if memory is None or moment.as_of is None:
            return memory
        return memory if true_at(memory, moment, self._ends(tenant, [memory]).get(memory.id)) else None

    def list_memories(
        self,
        tenant: str,
        ids: Mapping[str, str],
        moment: Moment,
        *,
        limit: int,
        show_expired: bool = False,
        where: Filter = EVERYTHING,
    ) -> list[Memory]:
        """The newest `limit` memories that had all `ids` and matched `where` at the moment."""
        wanted = where if show_expired else self._unexpired(where, moment)
        return list(islice(self._matching(tenant, ids, moment, wanted), limit))

    def page(self, request: PageRequest, moment: Moment) -> Page:
        """One page of the memories that matched at the moment, and how many matched in all.

        With `request.superseded`, those that were no longer true are included.
        """
        wanted = request.where if request.show_expired else self._unexpired(request.where, moment)
        ids = pinned_ids(request.where)
        return page_of(self._matching(request.tenant, ids, moment, wanted, superseded=request.superseded), request)

    def search(self, request: SearchRequest, moment: Moment) -> list[ScoredMemory]:
        """Up to `top_k` memories as of the moment, best first.

        Raises InvalidRequestError when the query is empty or more than MOST_SEARCHED memories match the filter, and
        EmbedderError and IndexUnavailableError.
        """
        query = request.query.strip()
        if not query:
            raise InvalidRequestError("query must not be empty: say what to look for")
        memories: list[Memory] = []
        wanted = request.where if request.show_expired else self._unexpired(request.where, moment, request.reference)
        for memory in self._matching(request.tenant, request.ids, moment, wanted):
            memories.append(memory)
            if len(memories) > MOST_SEARCHED:
                raise InvalidRequestError(
                    f"as_of and known_at: the filter matches more than {MOST_SEARCHED} memories; narrow it"
                )
        if not memories or request.top_k == 0:
            return []
        return self._ranked(request, query, memories)

    def _ranked(self, request: SearchRequest, query: str, memories: Sequence[Memory]) -> list[ScoredMemory]:
        words = Counter(query_words(query))
        documents = self._indexer.words(memories)
        bm25 = Bm25(documents.values())
        by_words = {memory.id: bm25.score(words, documents[memory.id]) for memory in memories}
        wanted = sorted(memories, key=lambda memory: -by_words[memory.id])
        vectors = _vectors(self._indexer.rows_of_versions(wanted, embedded=MOST_EMBEDDED))
        asked = self._embedder.embed([query], EmbeddingTask.QUERY)[0]
        by_id = {memory.id: memory for memory in memories}
        candidates = [
            Candidate(id_, memory.version, _dot(asked, vectors.get(id_)), by_words[id_])
            for id_, memory in by_id.items()
        ]
        candidates.sort(key=lambda one: (-one.score, one.memory_id))
        return [
            ScoredMemory(
                by_id[one.memory_id], one.score, score_details(one, request.threshold) if request.explain else None
            )
            for one in candidates
            if passes(one, request.threshold)
        ][: request.top_k]

    def _unexpired(self, where: Filter, moment: Moment, reference: str | None = None) -> Filter:
        return And((where, unexpired(reference or moment.reference(self._clock.now()))))

    def _matching(
        self, tenant: str, ids: Mapping[str, str], moment: Moment, where: Filter, *, superseded: bool = False
    ) -> Iterator[Memory]:
        """The memories that matched at the moment, in the present order, newest first.

        With `superseded`, all memories whose time had begun by then.
        """
        cursor: str | None = None
        while True:
            page = self._ledger.list_memories(tenant, ids, limit=_PAGE, cursor=cursor, superseded=True)
            then = [memory for one in page.items if (memory := known(self._history(one), moment)) is not None]
            if superseded:
                then = [memory for memory in then if begun(memory, moment)]
            else:
                ends = self._ends(tenant, then) if moment.as_of else {}
                then = [memory for memory in then if true_at(memory, moment, ends.get(memory.id))]
            yield from (memory for memory in then if evaluate(where, memory))
            cursor = page.cursor
            if cursor is None:
                return

    def _history(self, memory: Memory) -> Sequence[Event]:
        if memory.version == 1:
            return [Event(EventKind.ADD, memory)]
        return self._ledger.history(memory.scope.tenant, memory.id)

    def _ends(self, tenant: str, memories: Sequence[Memory]) -> dict[str, str]:
        """By id, when each superseded memory stopped being true.

        That is when its successor begins or, if the successor no longer exists, when the memory was superseded.
        """
        successors = sorted({memory.superseded_by for memory in memories if memory.superseded_by})
        found = self._ledger.read(tenant, successors) if successors else {}
        return {
            memory.id: found[memory.superseded_by].created_at if memory.superseded_by in found else memory.updated_at
            for memory in memories
            if memory.superseded_by
        }


def _vectors(rows: Sequence[IndexRow]) -> dict[str, Sequence[float]]:
    return {row.memory.id: row.vector for row in rows}


def _dot(one: Sequence[float], other: Sequence[float] | None) -> float:
    # Both have norm 1.
    return sum(map(mul, one, other)) if other is not None else 0.0
