"""Search: finds the best memories for a query by meaning and by words, and confirms each of them in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace

from forgetless.domain.errors import CostlyFilterError, InvalidRequestError
from forgetless.domain.filters.ast import And
from forgetless.domain.filters.evaluate import Matcher
from forgetless.domain.filters.expiration import unexpired
from forgetless.domain.memory import Memory
from forgetless.domain.recipe import Recipe
from forgetless.ports.clock import Clock
from forgetless.ports.embedder import Embedder
from forgetless.ports.index import RequestIndex
from forgetless.ports.metrics import SEARCHES
from forgetless.ports.request_ledger import MemoryStore
from forgetless.service.candidates import Candidate
from forgetless.service.known_names import KnownNames
from forgetless.service.reading.retrieval import Miss, PresentPlace, Retrieval
from forgetless.service.requests import ScoredMemory, SearchRequest

__all__ = ["SearchService", "begin_search", "is_shown", "refuse_costly", "with_own_ranks"]


class SearchService:
    """Searches of the present; `pool` runs the search by words in parallel with the rest."""

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
        self._clock = clock
        self._retrieval = Retrieval(embedder=embedder, recipe=recipe, names=names, pool=pool)

    def search(self, request: SearchRequest) -> list[ScoredMemory]:
        """Up to `top_k` memories, best score first.

        Raises InvalidRequestError for an empty query, CostlyFilterError, EmbedderError, IndexUnavailableError and
        LedgerError.
        """
        begin_search(request)
        if request.top_k == 0:
            return []
        reference = request.reference or self._clock.now()
        where = request.where if request.show_expired else And((request.where, unexpired(reference)))
        matches = Matcher(where)
        place = PresentPlace(self._index, request.tenant, where)
        found = self._retrieval.results(
            request,
            [place],
            reference=reference,
            confirm=lambda portion: self._confirmed(request.tenant, portion, matches),
        )
        return with_own_ranks(found)

    def _confirmed(self, tenant: str, portion: Sequence[Candidate], matches: Matcher) -> list[Memory | Miss]:
        memories = self._ledger.read(tenant, [candidate.memory_id for candidate in portion])
        confirmed: list[Memory | Miss] = []
        for candidate in portion:
            refuse_costly(matches)
            memory = memories.get(candidate.memory_id)
            if memory is None:
                confirmed.append(Miss.GONE)
            else:
                confirmed.append(memory if is_shown(memory, candidate, matches) else Miss.REFUSED)
        return confirmed


def begin_search(request: SearchRequest) -> None:
    """Count a search; raises InvalidRequestError for an empty query."""
    if not request.query.strip():
        raise InvalidRequestError("query must not be empty: say what to look for")
    SEARCHES.count(tenant=request.tenant)


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
    """Raise CostlyFilterError if the filter has cost as much as one request may spend."""
    if matches.exhausted:
        raise CostlyFilterError(
            "filters: so many conditions are too much work for what this search finds; use fewer of them, "
            "or narrow the filter to fewer memories"
        )


def is_shown(memory: Memory | None, candidate: Candidate, matches: Matcher) -> bool:
    """Whether the ledger holds exactly the version that the index found, live, and it matches the filter."""
    return memory is not None and memory.live and memory.version == candidate.version and matches(memory)
