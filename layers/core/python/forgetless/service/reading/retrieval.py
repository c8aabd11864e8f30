"""Retrieval: asks the collections that a search looks into by meaning and by words, and ranks what they find.

The present is in one collection. A moment in the past is in two: what is current now, and what was replaced since. What
the index finds is confirmed by whoever searches; if too much of it is refused, the next look is wider.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextvars import copy_context
from dataclasses import dataclass
from datetime import date
from enum import Enum, auto
from operator import attrgetter
from typing import Protocol

from forgetless.domain.filters.ast import Filter
from forgetless.domain.limits import MOST_INDEX_RESULTS
from forgetless.domain.memory import Memory
from forgetless.domain.moments import Moment
from forgetless.domain.names import NO_NAMES
from forgetless.domain.recipe import Recipe, Words
from forgetless.domain.scoring import Scorer, saturate
from forgetless.domain.times import date_of
from forgetless.ports.embedder import Embedder, EmbeddingTask
from forgetless.ports.index import Hit, Key, RequestIndex, RequestPast
from forgetless.ports.metrics import CANDIDATES_REFUSED, SEARCHES_WIDENED
from forgetless.service.candidates import Candidate, Candidates
from forgetless.service.known_names import KnownNames
from forgetless.service.requests import ScoreDetails, ScoredMemory, SearchRequest

__all__ = ["Confirm", "Miss", "PastPlace", "Place", "PresentPlace", "Retrieval", "asked_text", "scorer_for"]

#: How many candidates each retriever is asked for at first: this many, or four times top_k if that is more. Fewer cost
#: more: with 60, two searches in three need a further call for scores that a retriever did not list, instead of one in
#: four.
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


class Place(Protocol):
    """A collection, as one search looks into it."""

    def near(self, vector: Sequence[float], limit: int) -> list[Hit]:
        """Rows by meaning, the best first."""

    def worded(self, words: Words, limit: int) -> list[Hit]:
        """Rows by words, the best first."""

    def score_near(self, vector: Sequence[float], keys: Sequence[Key]) -> list[Hit]:
        """The cosines of those of these rows that it has."""

    def score_worded(self, words: Words, keys: Sequence[Key]) -> list[Hit]:
        """How well the words of those of these rows match that it has."""


@dataclass(frozen=True, slots=True)
class PresentPlace:
    """The collection of current versions."""

    index: RequestIndex
    tenant: str
    where: Filter

    def near(self, vector: Sequence[float], limit: int) -> list[Hit]:
        return self.index.search_vector(self.tenant, vector, self.where, limit)

    def worded(self, words: Words, limit: int) -> list[Hit]:
        return self.index.search_words(self.tenant, words, self.where, limit)

    def score_near(self, vector: Sequence[float], keys: Sequence[Key]) -> list[Hit]:
        return self.index.score_vector(self.tenant, vector, keys)

    def score_worded(self, words: Words, keys: Sequence[Key]) -> list[Hit]:
        return self.index.score_words(self.tenant, words, keys)


@dataclass(frozen=True, slots=True)
class PastPlace:
    """The collection of the past, as of a moment."""

    past: RequestPast
    tenant: str
    where: Filter
    moment: Moment

    def near(self, vector: Sequence[float], limit: int) -> list[Hit]:
        return self.past.search_vector(self.tenant, vector, self.where, self.moment, limit)

    def worded(self, words: Words, limit: int) -> list[Hit]:
        return self.past.search_words(self.tenant, words, self.where, self.moment, limit)

    def score_near(self, vector: Sequence[float], keys: Sequence[Key]) -> list[Hit]:
        return self.past.score_vector(self.tenant, vector, keys)

    def score_worded(self, words: Words, keys: Sequence[Key]) -> list[Hit]:
        return self.past.score_words(self.tenant, words, keys)


class Miss(Enum):
    """Why a candidate is no result."""

    REFUSED = auto()
    #: The ledger no longer has the memory.
    GONE = auto()
    #: The memory is a result already, found by another version.
    REPEATED = auto()


#: Looks candidates up in the ledger: for each, the memory to show, or why there is none.
Confirm = Callable[[Sequence[Candidate]], Sequence[Memory | Miss]]


@dataclass(frozen=True, slots=True)
class _Worded:
    """A search by words that has begun; `begun` is empty if the query has no words."""

    words: Words
    begun: Sequence[Future[list[Hit]]]

    def hits(self) -> list[list[Hit]]:
        """Wait for the search and return its hits by place; raises what it raised."""
        return [one.result() for one in self.begun]

    def end(self) -> None:
        """Wait until the search has ended, whatever its result: Lambda would continue it in the next invocation."""
        for one in self.begun:
            if not one.cancel():
                one.exception()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a search compares rows with, and where."""

    request: SearchRequest
    places: Sequence[Place]
    scorer: Scorer
    vector: Sequence[float]


@dataclass(frozen=True, slots=True)
class _Look:
    """One look into the index: candidates by rank, and whether a wider look could find more.

    `unseen` is the highest score that a row may have that neither retriever listed; below 0 if there is no such row.
    """

    candidates: list[Candidate]
    full: bool
    unseen: float


class Retrieval:
    """Hybrid search with absolute scores; `pool` runs the search by words in parallel with the rest."""

    def __init__(self, *, embedder: Embedder, recipe: Recipe, names: KnownNames, pool: Executor) -> None:
        self._embedder = embedder
        self._recipe = recipe
        self._names = names
        self._pool = pool

    def results(
        self, request: SearchRequest, places: Sequence[Place], *, reference: str, confirm: Confirm
    ) -> list[ScoredMemory]:
        """Up to `top_k` memories from these places, best score first; `reference` is the moment of the question.

        Raises EmbedderError, IndexUnavailableError, and what `confirm` raises.
        """
        words = self._recipe.query_words(request.query.strip())
        scorer = scorer_for(self._recipe, request, reference)
        limit = min(max(CANDIDATES, CANDIDATES_PER_RESULT * request.top_k), MOST_INDEX_RESULTS)
        # Only the merge needs the hits by words, so that search runs during the embedding and the search by vector.
        worded = self._begin_words(places, words, limit)
        try:
            text = asked_text(self._recipe, self._names, request)
            vector = self._embedder.embed([text], EmbeddingTask.QUERY)[0]
            asked = _Asked(request, places, scorer, vector)
            while True:
                look = _look(asked, worded, limit)
                candidates = [one for one in look.candidates if one.score >= request.threshold]
                found, refused, gone = _confirmed(request, candidates, scorer, confirm)
                if refused:
                    CANDIDATES_REFUSED.count(refused)
                missed = refused > 0 or look.unseen >= request.threshold
                wider = missed and gone < MOST_GONE and look.full and limit < MOST_INDEX_RESULTS
                if len(found) == request.top_k or not wider:
                    return found
                SEARCHES_WIDENED.count()
                limit = min(limit * WIDENING, MOST_INDEX_RESULTS)
                worded = self._begin_words(places, words, limit)
        finally:
            worded.end()

    def _begin_words(self, places: Sequence[Place], words: Words, limit: int) -> _Worded:
        if not words:
            return _Worded(words, ())
        # Each runs in a copy of the context, so that its time is counted for this request.
        runs = [(copy_context().run, place.worded) for place in places]
        return _Worded(words, [self._pool.submit(run, search, words, limit) for run, search in runs])


def _look(asked: _Asked, by_words: _Worded, limit: int) -> _Look:
    count, vector, scorer, words = asked.request.top_k + _READ_MARGIN, asked.vector, asked.scorer, by_words.words
    near = [place.near(vector, limit) for place in asked.places]
    worded = by_words.hits()
    candidates = Candidates(scorer)
    candidates.add_near(_merged(near))
    candidates.add_worded(_merged(worded))
    # If a retriever's list is full, it may have cut off rows that the other retriever found. Counting their score as 0
    # would lower the recall by 0.04, so ask for the scores of those that could still be in the answer.
    last_near, last_word = _last_score(near, limit), _last_score(worded, limit)
    if last_near is not None:
        unknown = candidates.without_cosine(places=count, below=last_near)
        for place in asked.places if unknown else ():
            candidates.complete_near(place.score_near(vector, unknown))
    if last_word is not None:
        unknown = candidates.without_words(places=count, below=last_word)
        for place in asked.places if unknown else ():
            candidates.complete_worded(place.score_worded(words, unknown))
    # The search by vector lists every row, as far as its limit reaches.
    unseen = -1.0 if last_near is None else scorer.scores([(last_near, last_word or 0.0, scorer.most_added)])[0]
    return _Look(candidates.ranked(), full=last_near is not None or last_word is not None, unseen=unseen)


def _merged(found: Sequence[list[Hit]]) -> list[Hit]:
    """The hits of all places, best first."""
    if len(found) == 1:
        return found[0]
    return sorted((hit for hits in found for hit in hits), key=attrgetter("score"), reverse=True)


def _last_score(found: Sequence[list[Hit]], limit: int) -> float | None:
    """The best score that a row may have which a full list has cut off; None if no list is full."""
    return max((hits[-1].score for hits in found if len(hits) >= limit), default=None)


def _confirmed(
    request: SearchRequest, candidates: Sequence[Candidate], scorer: Scorer, confirm: Confirm
) -> tuple[list[ScoredMemory], int, int]:
    """The best candidates that the ledger confirms; how many it refused before there were enough; how many of these it
    no longer has.
    """
    found: list[ScoredMemory] = []
    refused = gone = place = 0
    while place < len(candidates) and len(found) < request.top_k:
        # Where many are refused, many more will be: the reads grow, so that their number does not.
        size = max(request.top_k - len(found) + _READ_MARGIN, min(refused, _READ_AT_MOST))
        portion = candidates[place : place + size]
        place += len(portion)
        for candidate, memory in zip(portion, confirm(portion), strict=True):
            if isinstance(memory, Miss):
                refused += memory is not Miss.REPEATED
                gone += memory is Miss.GONE
            elif len(found) < request.top_k:
                details = _details(candidate, scorer, request.threshold) if request.explain else None
                found.append(ScoredMemory(memory, candidate.score, details))
    return found, refused, gone


def asked_text(recipe: Recipe, names: KnownNames, request: SearchRequest) -> str:
    """The text whose vector stands for the query of the request."""
    known = names.asked(request.tenant, request.where) if recipe.knows_speakers else NO_NAMES
    return recipe.query_text(request.query.strip(), known)


def scorer_for(recipe: Recipe, request: SearchRequest, reference: str) -> Scorer:
    """What scores rows for the request, asked at the moment `reference` (a timestamp)."""
    day = date.fromisoformat(date_of(reference))
    return recipe.scorer(request.query, reference=day, agent_alone=request.ids.keys() == {"agent_id"})


def _details(candidate: Candidate, scorer: Scorer, threshold: float) -> ScoreDetails:
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
    )
