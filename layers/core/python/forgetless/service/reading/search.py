"""Search: the few memories that matter for a query, by meaning and by words; the ledger has the last word."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from contextvars import copy_context
from dataclasses import dataclass

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.filters.ast import And, Compare, Field, Filter, Not, Operator, Or
from forgetless.domain.filters.evaluate import evaluate
from forgetless.domain.limits import MOST_INDEX_RESULTS
from forgetless.domain.memory import Memory
from forgetless.domain.scoring import WORD_WEIGHT, Candidate, saturate
from forgetless.domain.times import date_of
from forgetless.domain.words import query_words
from forgetless.ports.clock import Clock
from forgetless.ports.embedder import Embedder, EmbeddingTask
from forgetless.ports.index import Hit, RequestIndex
from forgetless.ports.request_ledger import MemoryStore
from forgetless.service.reading.candidates import Candidates
from forgetless.service.requests import ScoreDetails, ScoredMemory, SearchRequest

__all__ = ["SearchService", "passes", "score_details", "unexpired"]

#: Candidates that each retriever gives at first: as many, and four times top_k at least. Fewer cost more: what one
#: retriever did not list is then asked of it in a further call for two searches of three (at 60), not for one of four.
CANDIDATES = 150
CANDIDATES_PER_RESULT = 4
#: How much wider the next look is when the filter or the ledger refused too many.
WIDENING = 4
#: How many candidates beyond those still needed are read from the ledger at once.
_READ_MARGIN = 8


def unexpired(now: str) -> Filter:
    """Memories without an expiration date, or whose last day has not ended."""
    expiration = Field("expiration_date")
    return Or(
        (Not(Compare(expiration, Operator.EXISTS)), Compare(expiration, Operator.GTE, date_of(now))),
    )


@dataclass(frozen=True, slots=True)
class _Worded:
    """A search by words that has begun; without a word there is none."""

    words: str
    begun: Future[list[Hit]] | None

    def hits(self) -> list[Hit]:
        """Wait for what it finds; raises what it raised."""
        return self.begun.result() if self.begun else []

    def end(self) -> None:
        """Wait until it is over, whatever came of it: a Lambda environment would run it on in its next invocation."""
        if self.begun and not self.begun.cancel():
            self.begun.exception()


@dataclass(frozen=True, slots=True)
class _Look:
    """One look into the index: candidates by rank, and whether a wider look could find more."""

    candidates: list[Candidate]
    full: bool


class SearchService:
    """Hybrid search with absolute scores; `pool` runs the search by words beside the rest of a search."""

    def __init__(
        self, *, ledger: MemoryStore, index: RequestIndex, embedder: Embedder, clock: Clock, pool: Executor
    ) -> None:
        self._ledger = ledger
        self._index = index
        self._embedder = embedder
        self._clock = clock
        self._pool = pool

    def search(self, request: SearchRequest) -> list[ScoredMemory]:
        """Up to `top_k` memories in the order of their score.

        Raises InvalidRequestError for an empty query, EmbedderError, IndexUnavailableError, LedgerError.
        """
        query = request.query.strip()
        if not query:
            raise InvalidRequestError("query must not be empty: say what to look for")
        if request.top_k == 0:
            return []
        where = (
            request.where
            if request.show_expired
            else And((request.where, unexpired(request.reference or self._clock.now())))
        )
        words = " ".join(query_words(query))
        limit = min(max(CANDIDATES, CANDIDATES_PER_RESULT * request.top_k), MOST_INDEX_RESULTS)
        # Nobody waits for the words but the merge, so they are searched while the embedder and the vectors take time.
        worded = self._begin_words(request, words, where, limit)
        try:
            vector = self._embedder.embed([query], EmbeddingTask.QUERY)[0]
            while True:
                look = self._look(request, vector, worded, where, limit)
                candidates = [one for one in look.candidates if passes(one, request.threshold)]
                found, refused = self._confirmed(request, candidates, where)
                if len(found) == request.top_k or not refused or not look.full or limit >= MOST_INDEX_RESULTS:
                    return found
                limit = min(limit * WIDENING, MOST_INDEX_RESULTS)
                worded = self._begin_words(request, words, where, limit)
        finally:
            worded.end()

    def _begin_words(self, request: SearchRequest, words: str, where: Filter, limit: int) -> _Worded:
        if not words:
            return _Worded(words, None)
        # In a copy of the context, so that its time counts for this request.
        run, search = copy_context().run, self._index.search_words
        return _Worded(words, self._pool.submit(lambda: run(search, request.tenant, words, where, limit)))

    def _look(
        self, request: SearchRequest, vector: Sequence[float], asked: _Worded, where: Filter, limit: int
    ) -> _Look:
        tenant, places = request.tenant, request.top_k + _READ_MARGIN
        near = self._index.search_vector(tenant, vector, where, limit)
        worded = asked.hits()
        candidates = Candidates()
        candidates.add_near(near)
        candidates.add_worded(worded)
        # A retriever's list that is full says nothing of what stands below its end, and a score of 0 there would
        # cost .04 of the recall: ask it for the other's finds, where they could still matter.
        if len(near) >= limit:
            unknown = candidates.without_cosine(places=places, below=near[-1].score)
            candidates.complete_near(self._index.score_vector(tenant, vector, unknown))
        if len(worded) >= limit:
            unknown = candidates.without_bm25(places=places, below=worded[-1].score)
            candidates.complete_worded(self._index.score_words(tenant, asked.words, unknown))
        return _Look(candidates.ranked(), full=len(near) >= limit or len(worded) >= limit)

    def _confirmed(
        self, request: SearchRequest, candidates: Sequence[Candidate], where: Filter
    ) -> tuple[list[ScoredMemory], int]:
        """The best candidates that the ledger confirms, and how many it refused on the way."""
        found: list[ScoredMemory] = []
        refused = 0
        place = 0
        while place < len(candidates) and len(found) < request.top_k:
            portion = candidates[place : place + request.top_k - len(found) + _READ_MARGIN]
            place += len(portion)
            memories = self._ledger.read(request.tenant, [candidate.memory_id for candidate in portion])
            for candidate in portion:
                memory = memories.get(candidate.memory_id)
                if not _shown(memory, candidate, where):
                    refused += 1
                elif memory is not None and len(found) < request.top_k:
                    details = score_details(candidate, request.threshold) if request.explain else None
                    found.append(ScoredMemory(memory, candidate.score, details))
        return found, refused


def passes(candidate: Candidate, threshold: float) -> bool:
    """mem0's threshold acts on the cosine alone; a good score by words may pass as well."""
    return max(candidate.score, candidate.cosine) >= threshold


def _shown(memory: Memory | None, candidate: Candidate, where: Filter) -> bool:
    """Whether the ledger holds just what the index found, and shows it to this filter."""
    return memory is not None and memory.live and memory.version == candidate.version and evaluate(where, memory)


def score_details(candidate: Candidate, threshold: float) -> ScoreDetails:
    """Every component of a candidate's score."""
    words = saturate(candidate.bm25)
    raw = (1 - WORD_WEIGHT) * max(0.0, candidate.cosine) + WORD_WEIGHT * words
    return ScoreDetails(
        semantic_score=candidate.cosine,
        bm25_score=words,
        entity_boost=0.0,
        raw_score=raw,
        max_possible_score=1.0,
        final_score=candidate.score,
        threshold=threshold,
        bm25_raw=candidate.bm25,
        dense_rank=candidate.dense_rank,
        bm25_rank=candidate.bm25_rank,
    )
