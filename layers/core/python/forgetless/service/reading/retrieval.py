"""Retrieval: asks the collections that a search looks into by meaning and by words, and ranks what they find.

The present is in one collection. A moment in the past is in two: what is current now, and what was replaced since. What
the index finds is confirmed by whoever searches; if too much of it is refused, the next look is wider.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import date
from enum import Enum, auto
from operator import attrgetter
from typing import Protocol

from forgetless.domain.errors import EmbedderTextError
from forgetless.domain.filters.ast import Filter
from forgetless.domain.limits import MOST_INDEX_RESULTS
from forgetless.domain.loaded_bytes import give_turn, has_read_enough
from forgetless.domain.memory import Memory
from forgetless.domain.moments import Moment
from forgetless.domain.names import NO_NAMES
from forgetless.domain.recipe import Recipe, Words
from forgetless.domain.scoring import Scorer, saturate
from forgetless.domain.times import date_of
from forgetless.ports.answer_notes import note_ended_early, note_ranked_by_words
from forgetless.ports.embedder import Embedder, EmbeddingTask
from forgetless.ports.index import Hit, Key, RequestIndex, RequestPast
from forgetless.ports.metrics import CANDIDATES_REFUSED, SEARCHES_WIDENED
from forgetless.service.candidates import Candidate, Candidates
from forgetless.service.known_names import KnownNames
from forgetless.service.requests import ScoreDetails, ScoredMemory, SearchRequest

__all__ = [
    "CANDIDATES",
    "Confirm",
    "Miss",
    "PastPlace",
    "Place",
    "PresentPlace",
    "Retrieval",
    "asked_text",
    "first_limit",
    "query_vector",
    "score_details",
    "scorer_for",
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
#: How many candidates beyond those still needed are read from the ledger at once, and how many at most.
_READ_MARGIN = 8
_READ_AT_MOST = 500


def first_limit(top_k: int) -> int:
    """How many candidates each retriever is asked for at first, by a search that returns `top_k` results."""
    return min(max(CANDIDATES, CANDIDATES_PER_RESULT * top_k), MOST_INDEX_RESULTS)


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
    #: Empty if the embedder refuses the query: then words alone count.
    vector: Sequence[float]
    confirm: Confirm


@dataclass(frozen=True, slots=True)
class _Look:
    """One look into the index: what both retrievers listed, and whether a wider look could find more.

    `unseen` is the highest score that a row may have that neither retriever listed; below 0 if there is no such row.
    """

    candidates: Candidates
    #: The best score that a row may have which a full list has cut off, but the other retriever found.
    least_near: float | None
    least_word: float | None
    unseen: float
    #: The rows whose cosine, and whose words, have been asked for.
    asked_near: set[Key] = field(default_factory=set)
    asked_words: set[Key] = field(default_factory=set)

    @property
    def full(self) -> bool:
        """Whether a retriever may have more rows."""
        return self.least_near is not None or self.least_word is not None


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

        If the embedder refuses the query's text, words alone count. Raises EmbedderError, IndexUnavailableError, and
        what `confirm` raises.
        """
        words = self._recipe.query_words(request.query.strip())
        scorer = scorer_for(self._recipe, request, reference)
        limit = first_limit(request.top_k)
        # Only the merge needs the hits by words, so that search runs during the embedding and the search by vector.
        worded = self._begin_words(places, words, limit)
        try:
            text = asked_text(self._recipe, self._names, request)
            asked = _Asked(request, places, scorer, query_vector(self._embedder, text), confirm)
            best: list[ScoredMemory] = []
            while True:
                give_turn()  # each look waits for the index
                look = _look(asked, worded, limit)
                _complete(asked, worded, look, places=request.top_k)
                read = _confirmed(asked, look.candidates)
                # Each completion is a call, so more places are made sure of only where some of the first are refused.
                if read.refused and not has_read_enough():
                    give_turn()
                    if _complete(asked, worded, look, places=request.top_k + _READ_MARGIN):
                        read = _confirmed(asked, look.candidates)
                # A look that has read enough ends early, and may have found less than the one before.
                best = max(best, read.found, key=len) if has_read_enough() else read.found
                if read.refused:
                    CANDIDATES_REFUSED.count(read.refused)
                missed = read.refused > 0 or look.unseen >= request.threshold
                wider = missed and read.gone < MOST_GONE and look.full and limit < MOST_INDEX_RESULTS
                if len(best) == request.top_k or not wider or has_read_enough():
                    if len(best) < request.top_k and has_read_enough() and (wider or read.unread):
                        note_ended_early()
                    return best
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
    vector, scorer = asked.vector, asked.scorer
    near = [place.near(vector, limit) for place in asked.places] if vector else []
    worded = by_words.hits()
    candidates = Candidates(scorer)
    candidates.add_near(_merged(near))
    candidates.add_worded(_merged(worded))
    least_near, least_word = _last_score(near, limit), _last_score(worded, limit)
    # The search by vector lists every row, as far as its limit reaches; without it, only rows with a common word are
    # found.
    beyond = (least_near if vector else least_word) is not None
    best = (least_near or 0.0, least_word or 0.0, scorer.most_added)
    return _Look(candidates, least_near, least_word, unseen=scorer.scores([best])[0] if beyond else -1.0)


def _complete(asked: _Asked, by_words: _Worded, look: _Look, *, places: int) -> bool:
    """Ask for the scores that a retriever did not list and that could matter for the first `places`; whether any.

    Counting such a score as 0 would lower the recall by 0.04.
    """
    candidates, completed = look.candidates, False
    if look.least_near is not None:
        near = sorted(set(candidates.without_cosine(places=places, below=look.least_near)) - look.asked_near)
        for place in asked.places if near else ():
            candidates.complete_near(place.score_near(asked.vector, near))
        look.asked_near.update(near)
        completed = bool(near)
    if look.least_word is not None:
        worded = sorted(set(candidates.without_words(places=places, below=look.least_word)) - look.asked_words)
        for place in asked.places if worded else ():
            candidates.complete_worded(place.score_worded(by_words.words, worded))
        look.asked_words.update(worded)
        completed = completed or bool(worded)
    return completed


def _merged(found: Sequence[list[Hit]]) -> list[Hit]:
    """The hits of all places, best first."""
    if len(found) == 1:
        return found[0]
    return sorted((hit for hits in found for hit in hits), key=attrgetter("score"), reverse=True)


def _last_score(found: Sequence[list[Hit]], limit: int) -> float | None:
    """The best score that a row may have which a full list has cut off; None if no list is full."""
    return max((hits[-1].score for hits in found if len(hits) >= limit), default=None)


@dataclass(frozen=True, slots=True)
class _Read:
    """The best candidates that the ledger confirms, and how many it refused before there were enough."""

    found: list[ScoredMemory]
    refused: int
    #: How many of these the ledger no longer has.
    gone: int
    #: Whether candidates are left that were not asked for.
    unread: bool


def _confirmed(asked: _Asked, rows: Candidates) -> _Read:
    """Ask the ledger for the candidates, best first, until there are enough."""
    request = asked.request
    candidates = [one for one in rows.ranked() if one.score >= request.threshold]
    found: list[ScoredMemory] = []
    # Another version of a memory may have been found as well.
    shown: set[str] = set()
    refused = gone = place = 0
    while place < len(candidates) and len(found) < request.top_k and not has_read_enough():
        # Where many are refused, many more will be: the reads grow, so that their number does not.
        size = min(max(request.top_k - len(found) + _READ_MARGIN, refused), _READ_AT_MOST)
        portion = [one for one in candidates[place : place + size] if one.memory_id not in shown]
        place += size
        for candidate, memory in zip(portion, asked.confirm(portion) if portion else (), strict=True):
            if candidate.memory_id in shown:
                continue
            if isinstance(memory, Miss):
                refused += 1
                gone += memory is Miss.GONE
            elif len(found) < request.top_k:
                shown.add(candidate.memory_id)
                found.append(ScoredMemory(memory, candidate.score, _details(asked, candidate)))
    return _Read(found, refused, gone, unread=place < len(candidates))


def _details(asked: _Asked, candidate: Candidate) -> ScoreDetails | None:
    if not asked.request.explain:
        return None
    return score_details(candidate, asked.scorer, asked.request.threshold, by_words_alone=not asked.vector)


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
