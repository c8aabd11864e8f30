"""Search: finds the best memories for a query by meaning and by words, and confirms each of them in the ledger."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import date

from forgetless.domain.errors import EmbedderTextError, InvalidRequestError
from forgetless.domain.filters.ast import And, Compare, Field, Filter, Not, Operator, Or
from forgetless.domain.filters.evaluate import Matcher
from forgetless.domain.limits import MOST_INDEX_RESULTS
from forgetless.domain.memory import Memory
from forgetless.domain.names import NO_NAMES
from forgetless.domain.recipe import Recipe, Words
from forgetless.domain.scoring import Scorer, saturate
from forgetless.domain.times import date_of
from forgetless.ports.answer_notes import note_ranked_by_words
from forgetless.ports.clock import Clock
from forgetless.ports.embedder import Embedder, EmbeddingTask
from forgetless.ports.index import Hit, RequestIndex
from forgetless.ports.metrics import CANDIDATES_REFUSED, SEARCHES, SEARCHES_WIDENED
from forgetless.ports.request_ledger import MemoryStore
from forgetless.service.candidates import Candidate, Candidates
from forgetless.service.known_names import KnownNames
from forgetless.service.requests import ScoreDetails, ScoredMemory, SearchRequest

__all__ = [
    "CANDIDATES",
    "SearchService",
    "asked_text",
    "is_shown",
    "query_vector",
    "refuse_costly",
    "score_details",
    "scorer_for",
    "unexpired",
]

_logger = logging.getLogger(__name__)

#: How many candidates each retriever is asked for at first: this many, or four times top_k if that is more. Fewer cost
#: more further calls for scores that a retriever did not list; with 150, LoCoMo's searches make 0.3 to 0.7 of them.
CANDIDATES = 150
CANDIDATES_PER_RESULT = 4
#: The factor by which the next look asks for more candidates if the ledger refused too many.
WIDENING = 4
#: A search looks no wider after so many candidates that the ledger no longer has. There are so many only while a large
#: erasure removes its rows: a search that reaches into the erased scope may then show fewer results.
MOST_GONE = 2000
#: How many candidates beyond those still needed are read from the ledger at once, and how many more after refusals.
_READ_MARGIN = 8
_READ_AT_MOST = 500


def unexpired(now: str) -> Filter:
    """The filter for memories that have no expiration date or whose last day has not ended at `now`."""
    expiration = Field("expiration_date")
    return Or(
        (Not(Compare(expiration, Operator.EXISTS)), Compare(expiration, Operator.GTE, date_of(now))),
    )


@dataclass(frozen=True, slots=True)
class _Worded:
    """A search by words that has begun; `begun` is None if the query has no words."""

    words: Words
    begun: Future[list[Hit]] | None

    def hits(self) -> list[Hit]:
        """Wait for the search and return its hits; raises what it raised."""
        return self.begun.result() if self.begun else []

    def end(self) -> None:
        """Wait until the search has ended, whatever its result: Lambda would continue it in the next invocation."""
        if self.begun and not self.begun.cancel():
            self.begun.exception()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a search compares rows with."""

    request: SearchRequest
    where: Filter
    scorer: Scorer
    #: Empty if the embedder refuses the query: then words alone count.
    vector: Sequence[float]


@dataclass(frozen=True, slots=True)
class _Look:
    """One look into the index: what both retrievers listed, and whether a wider look could find more.

    `unseen` is the highest score that a row may have that neither retriever listed; below 0 if there is no such row.
    """

    candidates: Candidates
    #: The lowest score of a list that is full, which may have cut off rows that the other retriever found.
    least_near: float | None
    least_word: float | None
    unseen: float
    #: The rows whose cosine, and whose words, have been asked for.
    asked_near: set[tuple[str, int]] = field(default_factory=set)
    asked_words: set[tuple[str, int]] = field(default_factory=set)

    @property
    def full(self) -> bool:
        """Whether a retriever may have more rows."""
        return self.least_near is not None or self.least_word is not None


class SearchService:
    """Hybrid search with absolute scores; `pool` runs the search by words in parallel with the rest."""

    def __init__(
        self,
        *,
        ledger: MemoryStore,
        index: RequestIndex,
        embedder: Embedder,
        recipe: Recipe,
        names: KnownNames,
        clock: Clock,
        pool: Executor,
    ) -> None:
        self._ledger = ledger
        self._index = index
        self._embedder = embedder
        self._recipe = recipe
        self._names = names
        self._clock = clock
        self._pool = pool

    def search(self, request: SearchRequest) -> list[ScoredMemory]:
        """Up to `top_k` memories, best score first.

        If the embedder refuses the query's text, words alone count. Raises InvalidRequestError for an empty query, and
        EmbedderError, IndexUnavailableError and LedgerError.
        """
        query = request.query.strip()
        if not query:
            raise InvalidRequestError("query must not be empty: say what to look for")
        SEARCHES.count(tenant=request.tenant)
        if request.top_k == 0:
            return []
        reference = request.reference or self._clock.now()
        where = request.where if request.show_expired else And((request.where, unexpired(reference)))
        matches = Matcher(where)
        words, scorer = self._recipe.query_words(query), scorer_for(self._recipe, request, reference)
        limit = min(max(CANDIDATES, CANDIDATES_PER_RESULT * request.top_k), MOST_INDEX_RESULTS)
        # Only the merge needs the hits by words, so that search runs during the embedding and the search by vector.
        worded = self._begin_words(request, words, where, limit)
        try:
            text = asked_text(self._recipe, self._names, request)
            asked = _Asked(request, where, scorer, query_vector(self._embedder, text))
            while True:
                look = self._look(asked, worded, limit)
                self._complete(asked, worded, look, places=request.top_k)
                found, refused, gone = self._confirmed(asked, look.candidates, matches)
                # Each completion is a call, so more places are made sure of only where some of the first are refused.
                if refused and self._complete(asked, worded, look, places=request.top_k + _READ_MARGIN):
                    found, refused, gone = self._confirmed(asked, look.candidates, matches)
                if refused:
                    CANDIDATES_REFUSED.count(refused)
                missed = refused > 0 or look.unseen >= request.threshold
                wider = missed and gone < MOST_GONE and look.full and limit < MOST_INDEX_RESULTS
                if len(found) == request.top_k or not wider:
                    return with_own_ranks(found)
                SEARCHES_WIDENED.count()
                limit = min(limit * WIDENING, MOST_INDEX_RESULTS)
                worded = self._begin_words(request, words, where, limit)
        finally:
            worded.end()

    def _begin_words(self, request: SearchRequest, words: Words, where: Filter, limit: int) -> _Worded:
        if not words:
            return _Worded(words, None)
        # It runs in a copy of the context, so that its time is counted for this request.
        run, search = copy_context().run, self._index.search_words
        return _Worded(words, self._pool.submit(lambda: run(search, request.tenant, words, where, limit)))

    def _look(self, asked: _Asked, by_words: _Worded, limit: int) -> _Look:
        tenant, vector, scorer = asked.request.tenant, asked.vector, asked.scorer
        near = self._index.search_vector(tenant, vector, asked.where, limit) if vector else []
        worded = by_words.hits()
        candidates = Candidates(scorer)
        candidates.add_near(near)
        candidates.add_worded(worded)
        least_near = near[-1].score if len(near) >= limit else None
        least_word = worded[-1].score if len(worded) >= limit else None
        # The search by vector lists every row, as far as its limit reaches; without it, only rows with a common word
        # are found.
        beyond = (least_near if vector else least_word) is not None
        best = (least_near or 0.0, least_word or 0.0, scorer.most_added)
        return _Look(candidates, least_near, least_word, unseen=scorer.scores([best])[0] if beyond else -1.0)

    def _complete(self, asked: _Asked, by_words: _Worded, look: _Look, *, places: int) -> bool:
        """Ask for the scores that a retriever did not list and that could matter for the first `places`; whether any.

        Counting such a score as 0 would lower the recall by 0.04.
        """
        tenant, candidates, completed = asked.request.tenant, look.candidates, False
        if look.least_near is not None:
            near = set(candidates.without_cosine(places=places, below=look.least_near)) - look.asked_near
            candidates.complete_near(self._index.score_vector(tenant, asked.vector, sorted(near)))
            look.asked_near.update(near)
            completed = bool(near)
        if look.least_word is not None:
            worded = set(candidates.without_words(places=places, below=look.least_word)) - look.asked_words
            candidates.complete_worded(self._index.score_words(tenant, by_words.words, sorted(worded)))
            look.asked_words.update(worded)
            completed = completed or bool(worded)
        return completed

    def _confirmed(self, asked: _Asked, rows: Candidates, matches: Matcher) -> tuple[list[ScoredMemory], int, int]:
        """The best candidates that the ledger confirms; how many it refused before there were enough; how many of
        these it no longer has.
        """
        request, by_words = asked.request, not asked.vector
        candidates = [one for one in rows.ranked() if one.score >= request.threshold]
        found: list[ScoredMemory] = []
        refused = gone = place = 0
        while place < len(candidates) and len(found) < request.top_k:
            # Where many are refused, many more will be: the reads grow, so that their number does not.
            size = max(request.top_k - len(found) + _READ_MARGIN, min(refused, _READ_AT_MOST))
            portion = candidates[place : place + size]
            place += len(portion)
            memories = self._ledger.read(request.tenant, [candidate.memory_id for candidate in portion])
            for candidate in portion:
                refuse_costly(matches)
                memory = memories.get(candidate.memory_id)
                if not is_shown(memory, candidate, matches):
                    refused += 1
                    gone += memory is None
                elif memory is not None and len(found) < request.top_k:
                    found.append(ScoredMemory(memory, candidate.score))
                    if request.explain:
                        details = score_details(candidate, asked.scorer, request.threshold, by_words_alone=by_words)
                        found[-1] = replace(found[-1], details=details)
        return found, refused, gone


def with_own_ranks(found: Sequence[ScoredMemory]) -> list[ScoredMemory]:
    """The results with the ranks that they have among each other.

    A rank among all candidates would tell how many memories are better that the key may not read.
    """
    near = sorted(_ranks(found, "dense_rank"))
    worded = sorted(_ranks(found, "bm25_rank"))
    return [
        one
        if one.details is None
        else replace(
            one,
            details=replace(
                one.details,
                dense_rank=_place(near, one.details.dense_rank),
                bm25_rank=_place(worded, one.details.bm25_rank),
            ),
        )
        for one in found
    ]


def _ranks(found: Sequence[ScoredMemory], name: str) -> list[int]:
    ranks = (getattr(one.details, name) for one in found if one.details is not None)
    return [rank for rank in ranks if rank is not None]


def _place(ranks: Sequence[int], rank: int | None) -> int | None:
    return None if rank is None else ranks.index(rank) + 1


def refuse_costly(matches: Matcher) -> None:
    """Raise InvalidRequestError if the filter has cost as much as one request may spend."""
    if matches.exhausted:
        raise InvalidRequestError(
            "filters: so many conditions are too much work for what this search finds; use fewer of them, "
            "or narrow the filter to fewer memories"
        )


def is_shown(memory: Memory | None, candidate: Candidate, matches: Matcher) -> bool:
    """Whether the ledger holds exactly the version that the index found, live, and it matches the filter."""
    return memory is not None and memory.live and memory.version == candidate.version and matches(memory)


def asked_text(recipe: Recipe, names: KnownNames, request: SearchRequest) -> str:
    """The text whose vector stands for the query of the request."""
    known = names.asked(request.tenant, request.where) if recipe.knows_speakers else NO_NAMES
    return recipe.query_text(request.query.strip(), known)


def query_vector(embedder: Embedder, text: str) -> Sequence[float]:
    """The vector of a query's text; empty if the embedder refuses it, which the answer then says.

    Raises the other errors of the embedder.
    """
    try:
        return embedder.embed([text], EmbeddingTask.QUERY)[0]
    except EmbedderTextError as error:
        _logger.warning("the embedder refuses a query: it is searched by words alone", extra={"reason": error.message})
        note_ranked_by_words()
        return ()


def scorer_for(recipe: Recipe, request: SearchRequest, reference: str) -> Scorer:
    """What scores rows for the request, asked at the moment `reference` (a timestamp)."""
    day = date.fromisoformat(date_of(reference))
    return recipe.scorer(request.query, reference=day, agent_alone=request.ids.keys() == {"agent_id"})


def score_details(
    candidate: Candidate, scorer: Scorer, threshold: float, *, by_words_alone: bool = False
) -> ScoreDetails:
    """Every component of a candidate's score."""
    parts = scorer.parts(candidate.cosine, candidate.words, candidate.signals)
    return ScoreDetails(
        semantic_score=candidate.cosine,
        bm25_score=saturate(candidate.words),
        entity_boost=0.0,
        raw_score=parts.sum,
        max_possible_score=1.0,
        final_score=candidate.score,
        threshold=threshold,
        bm25_raw=candidate.words,
        dense_rank=candidate.dense_rank,
        bm25_rank=candidate.word_rank,
        parts=parts,
        probability=scorer.probability(candidate.score),
        by_words_alone=by_words_alone,
    )
