"""Reads of the past: get, list and search as of a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from forgetless.domain.filters.ast import And, Filter
from forgetless.domain.filters.evaluate import Matcher
from forgetless.domain.filters.expiration import unexpired
from forgetless.domain.memory import Memory
from forgetless.domain.moments import Moment, true_at
from forgetless.domain.portions import until_heavy
from forgetless.domain.recipe import Recipe
from forgetless.ports.clock import Clock
from forgetless.ports.index import RequestIndex
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.pages import Pager, Source, chunk_of
from forgetless.service.reading.lists import Row, after_row, page_ask, row_cost, rows_of
from forgetless.service.reading.moment_reader import MomentReader, most_read
from forgetless.service.reading.past_search import PastSearch
from forgetless.service.reading.retrieval import Retrieval
from forgetless.service.reading.search import begin_search
from forgetless.service.reading.unfilled_past import UnfilledPast
from forgetless.service.requests import PageOf, PageRequest, ScoredMemory, SearchRequest
from forgetless.service.writing.indexer import Indexer

__all__ = ["MOST_LISTED", "AsOfService"]

#: A page of the past may cost this much: less than one of the present, because the ledger is asked more often.
MOST_LISTED = 2000
#: What it reads at once costs about this much.
_PORTION = 500


class AsOfService:
    """Reads what was true, and what was known, at a moment.

    `past_is_filled` says whether the index has the rows of the past, which after an upgrade takes a while.
    """

    def __init__(
        self,
        *,
        ledger: RequestLedger,
        index: RequestIndex,
        indexer: Indexer,
        recipe: Recipe,
        retrieval: Retrieval,
        clock: Clock,
        past_is_filled: Callable[[], bool],
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._reader = MomentReader(ledger)
        self._pager = Pager(ledger=ledger, clock=clock)
        self._past = PastSearch(ledger=ledger, index=index, retrieval=retrieval)
        self._unfilled = UnfilledPast(ledger=ledger, index=index, indexer=indexer, recipe=recipe, retrieval=retrieval)
        self._past_is_filled = past_is_filled

    def get(self, tenant: str, memory_id: str, moment: Moment) -> Memory | None:
        """The memory as it was known at the moment; None if it was unknown, or not true at `as_of`.

        Without `as_of`, a superseded memory is returned as well.
        """
        present = self._ledger.read(tenant, [memory_id]).values()
        memory = self._reader.then(present, moment).get(memory_id)
        if memory is None or moment.as_of is None:
            return memory
        return memory if true_at(memory, moment, self._reader.ends([memory]).get(memory.id)) else None

    def page(self, request: PageRequest, moment: Moment) -> PageOf[Memory]:
        """One page of the memories that matched at the moment, and how many matched in all.

        With `request.superseded`, those that were no longer true are included. Pages follow the present order.
        """
        matches = Matcher(request.where if request.show_expired else self._unexpired(request.where, moment))

        def cost(row: Row) -> int:
            return 1 if isinstance(row, str) else most_read(row, moment) * row_cost(row)

        def rows(cursor: str | None) -> Iterator[tuple[Row, Memory | None]]:
            present = rows_of(self._ledger, request, cursor)
            chunk = chunk_of(request.size)
            while portion := list(until_heavy(islice(present, chunk), cost, most=_PORTION)):
                then = self._reader.then([row for row in portion if not isinstance(row, str)], moment)
                true = self._reader.true(list(then.values()), moment, superseded=request.superseded)
                shown = {memory.id: memory for memory in true}
                for row in portion:
                    found = None if isinstance(row, str) else shown.get(row.id)
                    yield row, found if found is not None and matches(found) else None

        source = Source(
            rows,
            after_row,
            counts=request.counted,
            weigh=request.weigh,
            most=MOST_LISTED,
            cost=cost,
            exhausted=lambda: matches.exhausted,
        )
        return self._pager.page(page_ask(request, moment), source)

    def search(self, request: SearchRequest, moment: Moment) -> list[ScoredMemory]:
        """Up to `top_k` memories as of the moment, best first.

        Raises InvalidRequestError when the query is empty, and EmbedderError and IndexUnavailableError.
        """
        begin_search(request)
        if request.top_k == 0:
            return []
        reference = request.reference or moment.reference(self._clock.now())
        where = request.where if request.show_expired else And((request.where, unexpired(reference)))
        search = self._past.search if self._past_is_filled() else self._unfilled.search
        return search(request, moment, where, reference=reference)

    def _unexpired(self, where: Filter, moment: Moment) -> Filter:
        return And((where, unexpired(moment.reference(self._clock.now()))))
