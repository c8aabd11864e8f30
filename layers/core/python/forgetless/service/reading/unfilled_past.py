"""UnfilledPast: a search as of a moment while the collection of the past is not filled yet, after an upgrade.

It reads every memory that matches its filter from the ledger, so it takes only so many. It takes vectors from the index
where that has them, and otherwise embeds texts again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import mul

from forgetless.domain.errors import IndexUnavailableError
from forgetless.domain.filters.ast import Filter
from forgetless.domain.filters.evaluate import Matcher
from forgetless.domain.limits import SCANNED_ROWS
from forgetless.domain.loaded_bytes import give_turn
from forgetless.domain.memory import Memory
from forgetless.domain.moments import Moment
from forgetless.domain.recipe import Recipe, Words
from forgetless.ports.index import Hit, Key, RequestIndex
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.candidates import Candidate
from forgetless.service.merged_lists import list_spelled
from forgetless.service.pages import MOST_READ
from forgetless.service.reading.moment_reader import MomentReader
from forgetless.service.reading.retrieval import Miss, Retrieval
from forgetless.service.reading.search import refuse_costly, with_own_ranks
from forgetless.service.requests import ScoredMemory, SearchRequest
from forgetless.service.writing.indexer import Indexer

__all__ = ["UnfilledPast"]

#: It ranks at most this many memories, because it reads them all.
MOST_SEARCHED = 2000
#: It embeds at most this many versions that the index does not have: the best match of words first, then the newest.
MOST_EMBEDDED = 100
#: When a client may try again what is more.
_AGAIN_S = 60


@dataclass(frozen=True, slots=True)
class _ReadPlace:
    """Memories that were read, with what the recipe makes of them, as a collection to look into."""

    recipe: Recipe
    memories: Sequence[Memory]
    words: Sequence[Words]
    signals: Sequence[int]
    vectors: Mapping[str, Sequence[float]]

    def near(self, vector: Sequence[float], limit: int) -> list[Hit]:
        # Both have norm 1.
        return self._best([sum(map(mul, vector, self.vectors.get(one.id, ()))) for one in self.memories], limit)

    def worded(self, words: Words, limit: int) -> list[Hit]:
        return [hit for hit in self._best(self.recipe.matches(words, list(self.words)), limit) if hit.score > 0]

    def score_near(self, vector: Sequence[float], keys: Sequence[Key]) -> list[Hit]:
        return self._among(keys, self.near(vector, len(self.memories)))

    def score_worded(self, words: Words, keys: Sequence[Key]) -> list[Hit]:
        return self._among(keys, self.worded(words, len(self.memories)))

    def _best(self, scores: Sequence[float], limit: int) -> list[Hit]:
        rows = zip(self.memories, scores, self.signals, strict=True)
        hits = [Hit(memory.id, memory.version, score, signals) for memory, score, signals in rows]
        return sorted(hits, key=lambda hit: -hit.score)[:limit]

    def _among(self, keys: Sequence[Key], hits: Sequence[Hit]) -> list[Hit]:
        wanted = set(keys)
        return [hit for hit in hits if (hit.memory_id, hit.version) in wanted]


class UnfilledPast:
    """See the module."""

    def __init__(
        self, *, ledger: RequestLedger, index: RequestIndex, indexer: Indexer, recipe: Recipe, retrieval: Retrieval
    ) -> None:
        self._ledger = ledger
        self._index = index
        self._indexer = indexer
        self._recipe = recipe
        self._retrieval = retrieval
        self._reader = MomentReader(ledger)

    def search(self, request: SearchRequest, moment: Moment, where: Filter, *, reference: str) -> list[ScoredMemory]:
        """As `PastSearch.search`; raises IndexUnavailableError if more than MOST_SEARCHED memories match."""
        memories: list[Memory] = []
        for memory in self._matching(request, moment, where):
            memories.append(memory)
            if len(memories) > MOST_SEARCHED:
                raise _too_many(MOST_SEARCHED)
        if not memories:
            return []
        by_id = {memory.id: memory for memory in memories}

        def confirm(portion: Sequence[Candidate]) -> list[Memory | Miss]:
            return [by_id[candidate.memory_id] for candidate in portion]

        found = self._retrieval.results(request, [self._place(request, memories)], reference=reference, confirm=confirm)
        return with_own_ranks(found)

    def _place(self, request: SearchRequest, memories: Sequence[Memory]) -> _ReadPlace:
        talk = self._indexer.context_messages(memories)
        told = self._indexer.told(memories, talk)
        words, signals = zip(*map(self._recipe.row, told), strict=True)
        keys = [(memory.id, memory.version) for memory in memories]
        give_turn()  # index and embedder are waited for
        held = self._index.vectors(request.tenant, keys)
        vectors: dict[str, Sequence[float]] = {id_: vector for (id_, _), vector in held.items()}
        matched = self._recipe.matches(self._recipe.query_words(request.query.strip()), words)
        lacking = [(score, one) for score, one in zip(matched, memories, strict=True) if one.id not in vectors]
        best = sorted(lacking, key=lambda scored: -scored[0])[:MOST_EMBEDDED]
        rows = self._indexer.rows([memory for _, memory in best], talk) if best else []
        vectors |= {row.memory.id: row.vector for row in rows}
        return _ReadPlace(self._recipe, memories, words, signals, vectors)

    def _matching(self, request: SearchRequest, moment: Moment, where: Filter) -> Iterator[Memory]:
        """The memories that matched at the moment, in the present order, newest first."""
        cursor: str | None = None
        matches, looked_at = Matcher(where), 0
        while looked_at <= SCANNED_ROWS:
            page = list_spelled(
                self._ledger, request.tenant, request.ids, limit=MOST_READ, cursor=cursor, superseded=True
            )
            then = list(self._reader.then(page.items, moment).values())
            for memory in self._reader.true(then, moment):
                refuse_costly(matches)
                if matches(memory):
                    yield memory
            looked_at, cursor = looked_at + MOST_READ, page.cursor
            if cursor is None:
                return
        raise _too_many(SCANNED_ROWS)


def _too_many(most: int) -> IndexUnavailableError:
    return IndexUnavailableError(
        "the index of past versions is still being filled after an upgrade, and until then as_of and known_at search "
        f"at most {most} memories: narrow the filter, or try again later (forgetless generations shows how far it is)",
        retry_after=_AGAIN_S,
    )
