"""Reads of the past: get, list and search as of a moment, from the ledger's events, because the index holds only now.

A search ranks every memory that matches its filter. It takes a vector from the index if that version is still there,
and otherwise embeds the text again. Scores are those of a search of the present.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from operator import mul

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.filters.ast import And, Filter
from forgetless.domain.filters.evaluate import Matcher
from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.domain.moments import Moment, begun, known, true_at
from forgetless.domain.recipe import Recipe, Told
from forgetless.ports.clock import Clock
from forgetless.ports.embedder import Embedder
from forgetless.ports.index import Hit
from forgetless.ports.metrics import SEARCHES
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.candidates import Candidates
from forgetless.service.known_names import KnownNames
from forgetless.service.merged_lists import list_spelled
from forgetless.service.pages import MOST_READ, Pager, Source, chunk_of
from forgetless.service.reading.lists import Row, after_row, page_ask, rows_of
from forgetless.service.reading.search import (
    asked_text,
    query_vector,
    refuse_costly,
    score_details,
    scorer_for,
    unexpired,
)
from forgetless.service.requests import PageOf, PageRequest, ScoredMemory, SearchRequest
from forgetless.service.writing.indexer import Indexer

__all__ = ["MOST_SEARCHED", "AsOfService"]

#: A search in the past ranks at most this many memories, because it reads them all. A list looks at as many for a page,
#: because each may have a history.
MOST_SEARCHED = 2000
#: A search embeds at most this many versions that the index no longer has: best match of words first, then newest.
MOST_EMBEDDED = 100


class AsOfService:
    """Reads what was true, and what was known, at a moment."""

    def __init__(
        self,
        *,
        ledger: RequestLedger,
        indexer: Indexer,
        embedder: Embedder,
        recipe: Recipe,
        names: KnownNames,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._indexer = indexer
        self._embedder = embedder
        self._recipe = recipe
        self._names = names
        self._clock = clock
        self._pager = Pager(ledger=ledger, clock=clock)

    def get(self, tenant: str, memory_id: str, moment: Moment) -> Memory | None:
        """The memory as it was known at the moment; None if it was unknown, or not true at `as_of`.

        Without `as_of`, a superseded memory is returned as well.
        """
        memory = known(self._ledger.history(tenant, memory_id), moment)
        if memory is None or moment.as_of is None:
            return memory
        return memory if true_at(memory, moment, self._ends(tenant, [memory]).get(memory.id)) else None

    def page(self, request: PageRequest, moment: Moment) -> PageOf[Memory]:
        """One page of the memories that matched at the moment, and how many matched in all.

        With `request.superseded`, those that were no longer true are included. Pages follow the present order.
        """
        matches = Matcher(request.where if request.show_expired else self._unexpired(request.where, moment))

        def rows(cursor: str | None) -> Iterator[tuple[Row, Memory | None]]:
            present = rows_of(self._ledger, request, cursor)
            while portion := list(islice(present, chunk_of(request.size))):
                memories = [row for row in portion if not isinstance(row, str)]
                then = dict(self._then(memories, moment, superseded=request.superseded))
                for row in portion:
                    found = None if isinstance(row, str) else then.get(row.id)
                    yield row, found if found is not None and matches(found) else None

        source = Source(
            rows,
            after_row,
            counts=request.counted,
            weigh=request.weigh,
            most=MOST_SEARCHED,
            exhausted=lambda: matches.exhausted,
        )
        return self._pager.page(page_ask(request, moment), source)

    def search(self, request: SearchRequest, moment: Moment) -> list[ScoredMemory]:
        """Up to `top_k` memories as of the moment, best first.

        Raises InvalidRequestError when the query is empty or more than MOST_SEARCHED memories match the filter, and
        EmbedderError and IndexUnavailableError.
        """
        query = request.query.strip()
        if not query:
            raise InvalidRequestError("query must not be empty: say what to look for")
        SEARCHES.count(tenant=request.tenant)
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
        return self._ranked(request, query, memories, moment)

    def _ranked(
        self, request: SearchRequest, query: str, memories: Sequence[Memory], moment: Moment
    ) -> list[ScoredMemory]:
        talk = self._indexer.context_messages(memories)
        told = self._indexer.told(memories, talk)
        by_words = dict(zip((memory.id for memory in memories), self._matched(query, told), strict=True))
        wanted = sorted(memories, key=lambda memory: -by_words[memory.id])
        vectors = self._indexer.vectors_of_versions(wanted, talk, embedded=MOST_EMBEDDED)
        text = asked_text(self._recipe, self._names, request)
        asked = query_vector(self._embedder, text)
        reference = request.reference or moment.reference(self._clock.now())
        scorer = scorer_for(self._recipe, request, reference)
        candidates = Candidates(scorer)
        for memory, one in zip(memories, told, strict=True):
            cosine = _dot(asked, vectors.get(memory.id))
            hit = Hit(memory.id, memory.version, cosine, self._recipe.signals(one))
            candidates.add(hit, words=by_words[memory.id])
        by_id = {memory.id: memory for memory in memories}
        return [
            ScoredMemory(
                by_id[one.memory_id],
                one.score,
                score_details(one, scorer, request.threshold, by_words_alone=not asked) if request.explain else None,
            )
            for one in candidates.ranked()
            if one.score >= request.threshold
        ][: request.top_k]

    def _matched(self, query: str, told: Sequence[Told]) -> list[float]:
        """How well the words of each memory match."""
        return self._recipe.matches(self._recipe.query_words(query), [self._recipe.words(one) for one in told])

    def _unexpired(self, where: Filter, moment: Moment, reference: str | None = None) -> Filter:
        return And((where, unexpired(reference or moment.reference(self._clock.now()))))

    def _matching(self, tenant: str, ids: Mapping[str, str], moment: Moment, where: Filter) -> Iterator[Memory]:
        """The memories that matched at the moment, in the present order, newest first."""
        cursor: str | None = None
        matches = Matcher(where)
        while True:
            page = list_spelled(self._ledger, tenant, ids, limit=MOST_READ, cursor=cursor, superseded=True)
            then = self._then(page.items, moment)
            for _, memory in then:
                refuse_costly(matches)
                if matches(memory):
                    yield memory
            cursor = page.cursor
            if cursor is None:
                return

    def _then(
        self, present: Sequence[Memory], moment: Moment, *, superseded: bool = False
    ) -> Iterator[tuple[str, Memory]]:
        """By id, those of these memories that were known and true at the moment, as they were.

        With `superseded`, all whose time had begun by then.
        """
        then = [memory for one in present if (memory := known(self._history(one), moment)) is not None]
        ends = self._ends(present[0].scope.tenant, then) if then and moment.as_of and not superseded else {}
        for memory in then:
            shown = begun(memory, moment) if superseded else true_at(memory, moment, ends.get(memory.id))
            if shown:
                yield memory.id, memory

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


def _dot(one: Sequence[float], other: Sequence[float] | None) -> float:
    # Both have norm 1.
    return sum(map(mul, one, other)) if other is not None else 0.0
