"""Explain: at which step of a search one memory falls, or that it is found.

It makes the same calls as the first look of a search, and reads all of its candidates. So it costs about as much as a
search with many refused candidates, whatever the scope holds. Ranks count only memories that the caller may read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from forgetless.domain.errors import InvalidRequestError, NotFoundError
from forgetless.domain.filters.ast import And
from forgetless.domain.filters.describe import failed_conditions
from forgetless.domain.filters.evaluate import Matcher
from forgetless.domain.filters.expiration import unexpired
from forgetless.domain.loaded_bytes import give_turn
from forgetless.domain.memory import Memory
from forgetless.domain.recipe import Recipe, Words
from forgetless.domain.scoring import Scorer
from forgetless.ports.clock import Clock
from forgetless.ports.embedder import Embedder
from forgetless.ports.index import Hit, RequestIndex
from forgetless.ports.request_ledger import MemoryStore
from forgetless.service.candidates import Candidate, Candidates
from forgetless.service.known_names import KnownNames
from forgetless.service.reading.retrieval import asked_text, first_limit, query_vector, score_details, scorer_for
from forgetless.service.reading.search import is_shown
from forgetless.service.requests import ScoreDetails, SearchRequest

__all__ = ["ExplainService", "Explanation", "Step"]

#: A row of the index: memory id and version.
_Key = tuple[str, int]
#: So many candidates of each retriever are explained at most, however many results the search returns.
_MOST = 300
#: The steps that need the index.
_INDEX_STEPS = ("indexed", "candidate", "threshold", "rank")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a search. `passed` is None where an earlier step left nothing to judge.

    `value` and `limit` are numbers that were compared, if the step compares numbers.
    """

    name: str
    passed: bool | None
    reason: str
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of one memory in a search. `details` is None if it has no row in the index."""

    memory_id: str
    steps: tuple[Step, ...]
    details: ScoreDetails | None

    @property
    def fell_at(self) -> str | None:
        """The first step that it did not pass; None if it is found."""
        return next((step.name for step in self.steps if step.passed is False), None)


@dataclass(frozen=True, slots=True)
class _Places:
    """The row of the memory among the candidates of the search; the ranks are those among what the caller may read."""

    row: Candidate | None
    #: How many candidates each retriever lists.
    limit: int = 0
    listed: bool = False
    rank: int | None = None
    near: int | None = None
    worded: int | None = None
    candidates: int = 0
    #: Whether the embedder refuses the query, so that it is searched by words alone.
    by_words: bool = False


@dataclass(frozen=True, slots=True)
class _Asked:
    """What rows are compared with."""

    tenant: str
    vector: Sequence[float]
    words: Words


class ExplainService:
    """Explains searches of the present; the ports are those of `SearchService`."""

    def __init__(
        self,
        *,
        ledger: MemoryStore,
        index: RequestIndex,
        embedder: Embedder,
        recipe: Recipe,
        names: KnownNames,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._index = index
        self._embedder = embedder
        self._recipe = recipe
        self._names = names
        self._clock = clock

    def explain(self, request: SearchRequest, memory_id: str) -> Explanation:
        """What becomes of the memory in the search.

        Raises NotFoundError if the caller may not read the memory or it does not exist, InvalidRequestError for an
        empty query, and EmbedderError, IndexUnavailableError and LedgerError.
        """
        if not request.query.strip():
            raise InvalidRequestError("query must not be empty: say what to look for")
        memory = self._ledger.read(request.tenant, [memory_id]).get(memory_id)
        if memory is None or memory.deleted:
            raise NotFoundError(f"no memory {memory_id!r}")
        reference = request.reference or self._clock.now()
        judged = self._judged(request, memory, reference)
        scorer = scorer_for(self._recipe, request, reference)
        places = self._places(request, memory, reference, scorer) if memory.live else _Places(None)
        excluded = any(step.passed is False for step in judged)
        steps = (*judged, *self._found(request, memory, places, excluded=excluded))
        row, by_words = places.row, places.by_words
        details = None if row is None else score_details(row, scorer, request.threshold, by_words_alone=by_words)
        return Explanation(memory_id, steps, details)

    def _judged(self, request: SearchRequest, memory: Memory, reference: str) -> list[Step]:
        """The steps that need only the memory."""
        by = memory.superseded_by
        live = Step("superseded", by is None, "it is current" if by is None else f"{by} superseded it")
        fresh = request.show_expired or Matcher(unexpired(reference))(memory)
        day = memory.expiration_date
        expires = "it has no expiration date" if day is None else f"its last day is {day}"
        failed = failed_conditions(request.where, memory)
        return [
            live,
            Step("expired", fresh, expires + (", and the search shows expired ones" if request.show_expired else "")),
            Step("filter", not failed, "; ".join(failed) or "it matches every condition"),
        ]

    def _places(self, request: SearchRequest, memory: Memory, reference: str, scorer: Scorer) -> _Places:
        """Search as for the request, complete all scores, and confirm the candidates in the ledger."""
        where = request.where if request.show_expired else And((request.where, unexpired(reference)))
        words = self._recipe.query_words(request.query.strip())
        text = asked_text(self._recipe, self._names, request)
        give_turn()  # embedder and index are waited for
        vector = query_vector(self._embedder, text)
        limit = min(first_limit(request.top_k), _MOST)
        near = self._index.search_vector(request.tenant, vector, where, limit) if vector else []
        worded = self._index.search_words(request.tenant, words, where, limit) if words else []
        candidates = Candidates(scorer)
        candidates.add_near(near)
        candidates.add_worded(worded)
        key = (memory.id, memory.version)
        self._complete(candidates, _Asked(request.tenant, vector, words), _keys(near), _keys(worded), key)
        found = candidates.ranked()
        row = next((one for one in found if (one.memory_id, one.version) == key), None)
        listed = _keys(near) | _keys(worded)
        rivals = [one for one in found if (one.memory_id, one.version) in listed]
        held = self._ledger.read(request.tenant, [one.memory_id for one in rivals])
        matches = Matcher(where)
        rivals = [one for one in rivals if is_shown(held.get(one.memory_id), one, matches)]
        if row is None or row not in rivals:
            return _Places(row, limit, candidates=len(rivals), by_words=not vector)
        near_rank = _rank(row.dense_rank, [one.dense_rank for one in rivals])
        word_rank = _rank(row.word_rank, [one.word_rank for one in rivals])
        return _Places(row, limit, True, rivals.index(row) + 1, near_rank, word_rank, len(rivals), by_words=not vector)

    def _complete(self, candidates: Candidates, asked: _Asked, near: set[_Key], worded: set[_Key], key: _Key) -> None:
        """Add the row `key`, if it exists, and the scores that a retriever did not list."""
        if asked.vector:
            cosines = self._index.score_vector(asked.tenant, asked.vector, sorted((worded | {key}) - near))
            for hit in cosines:
                if (hit.memory_id, hit.version) not in worded:
                    candidates.add(hit, words=0.0)
            candidates.complete_near(cosines)
        if asked.words:
            matched = self._index.score_words(asked.tenant, asked.words, sorted((near | {key}) - worded))
            if not asked.vector:
                for hit in matched:
                    candidates.add(replace(hit, score=0.0), words=hit.score)
            candidates.complete_worded(matched)

    def _found(self, request: SearchRequest, memory: Memory, places: _Places, *, excluded: bool) -> list[Step]:
        """The steps that need the index."""
        if not memory.live:
            return [Step(name, None, "the index holds only current memories") for name in _INDEX_STEPS]
        row = places.row
        if row is None and places.by_words:
            reason = "the embedder refuses the query, so only words count, and none is in common"
            return [Step("candidate", False, reason), *(Step(name, None, reason) for name in _INDEX_STEPS[2:])]
        if row is None:
            waits = memory.id in self._ledger.pending(request.tenant, [memory.id])
            missing = (
                "it waits to be indexed; look again in a moment" if waits else "the index does not hold this version"
            )
            return [Step("indexed", False, missing), *(Step(name, None, "it has no row") for name in _INDEX_STEPS[1:])]
        return [
            Step("indexed", True, f"version {memory.version} is in the index"),
            _candidate_step(places, excluded=excluded),
            Step(
                "threshold",
                row.score >= request.threshold,
                f"its score is {row.score:.4f}, and the threshold {request.threshold:g}",
                value=row.score,
                limit=request.threshold,
            ),
            _rank_step(places, request.top_k),
        ]


def _candidate_step(places: _Places, *, excluded: bool) -> Step:
    if excluded:
        return Step("candidate", None, "an earlier step excluded it")
    if not places.listed:
        return Step(
            "candidate",
            False,
            f"beyond the candidates: each retriever lists {places.limit} at most",
            limit=places.limit,
        )
    named = {"by meaning": places.near, "by words": places.worded}
    ranks = ", ".join(f"number {rank} {how}" for how, rank in named.items() if rank is not None)
    return Step("candidate", True, f"{ranks} of {places.candidates} candidates", limit=places.limit)


def _rank_step(places: _Places, top_k: int) -> Step:
    if places.rank is None:
        return Step("rank", None, "it is not among the candidates", limit=top_k)
    reason = f"number {places.rank} of {places.candidates} candidates, and the search returns {top_k}"
    return Step("rank", places.rank <= top_k, reason, value=places.rank, limit=top_k)


def _keys(hits: Sequence[Hit]) -> set[_Key]:
    return {(hit.memory_id, hit.version) for hit in hits}


def _rank(rank: int | None, all_ranks: Sequence[int | None]) -> int | None:
    """The place of `rank` among those of the rows that the caller may read."""
    return None if rank is None else sum(one is not None and one <= rank for one in all_ranks)
