"""Agreement: whether another generation of the index holds and finds what the serving one does."""

from __future__ import annotations

import re
from concurrent.futures import Executor
from dataclasses import dataclass

from forgetless.domain.errors import DependencyError
from forgetless.domain.filters.scope_ids import all_ids
from forgetless.domain.generations import Generation, Generations
from forgetless.domain.memory import Memory
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.generations.opened import Openings
from forgetless.service.known_names import KnownNames
from forgetless.service.reading.search import SearchService
from forgetless.service.requests import ScoredMemory, SearchRequest

__all__ = ["LEAST_FOUND", "Agreement", "AgreementCheck", "Rows"]

#: How many memories are sampled, of at most so many tenants, and which share of them must be found.
SAMPLED, _TENANTS = 200, 50
LEAST_FOUND = 0.95
#: A memory counts as found among so many texts. More are asked for, because several memories may have the same text.
_PLACES, _ASKED = 10, 40
#: Memories are counted up to this number.
_COUNTED = 1_000_000
_LOOKS, _PAUSE_S = 3, 0.5
_SENTENCE = re.compile(r".+?(?:[.!?](?=\s|$)|[。！？\n]|$)", re.DOTALL)
_LONGEST_QUESTION = 500


@dataclass(frozen=True, slots=True)
class Rows:
    """The numbers of rows, and how many the other generation must hold at least and may hold at most."""

    serving: int
    other: int
    least: int
    most: int

    @property
    def agree(self) -> bool:
        """Whether nothing is missing and nothing is there that should not be."""
        return self.least <= self.other <= self.most


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many sampled memories the other generation finds by their own first sentence.

    `overlap` is the share of the first ten results that both generations have; None if the serving one has no embedder.
    """

    sampled: int
    found: int
    overlap: float | None

    @property
    def enough(self) -> bool:
        """Whether so many are found that a switch loses nothing."""
        return self.found >= LEAST_FOUND * self.sampled

    @property
    def shown(self) -> str:
        """The agreement for people."""
        common = "" if self.overlap is None else f"; {self.overlap:.0%} of the results are those of the serving one"
        return f"{self.found} of {self.sampled} sampled memories are found by their first sentence{common}"


class AgreementCheck:
    """Compares the two generations. It searches as a client does, and stores no question."""

    def __init__(self, *, ledger: Ledger, openings: Openings, clock: Clock, pool: Executor) -> None:
        self._ledger = ledger
        self._openings = openings
        self._clock = clock
        self._pool = pool
        self._names = KnownNames(ledger=ledger, clock=clock)

    def rows(self, known: Generations) -> Rows:
        """Compare the numbers of rows; a difference that a write in progress explains is looked at again."""
        assert known.other is not None
        other, serving = self._openings.of(known.other).index, self._openings.of(known.serving).index
        look = 0
        while True:
            before, held, after = self._tally(), other.count(), self._tally()
            rows = serving.count()
            live = (before[0], after[0]) if before[2] and after[2] else (rows, rows)
            waiting = max(before[1], after[1])
            found = Rows(rows, held, min(live) - waiting, max(live) + waiting)
            look += 1
            if found.agree or look == _LOOKS:
                return found
            self._clock.sleep(_PAUSE_S)

    def measure(self, known: Generations) -> Agreement:
        """Search for sampled memories in both generations."""
        assert known.other is not None
        asked, before = self._search(known.other), self._search(known.serving)
        tenants = self._ledger.list_tenants(limit=_TENANTS)[0]
        each = max(1, SAMPLED // max(1, len(tenants)))
        sampled = found = 0
        shares: list[float] | None = []
        for tenant in tenants:
            sample = self._ledger.sample(tenant, limit=each)
            # What the serving generation does not hold yet, the other one need not find.
            waiting = self._ledger.pending(tenant, [memory.id for memory in sample])
            for memory in sample:
                if memory.id in waiting or not first_sentence(memory.text):
                    continue
                request = _question(memory)
                texts = _first_texts(asked.search(request))
                sampled, found = sampled + 1, found + (memory.text in texts)
                if shares is not None:
                    try:
                        shares.append(_share(texts, _first_texts(before.search(request))))
                    except DependencyError:  # its embedder may be gone already
                        shares = None
        overlap = sum(shares) / len(shares) if shares else None
        return Agreement(sampled, found, overlap)

    def _search(self, generation: Generation) -> SearchService:
        opened = self._openings.of(generation)
        return SearchService(
            ledger=self._ledger,
            index=opened.index,
            embedder=opened.embedder,
            recipe=opened.recipe,
            names=self._names,
            clock=self._clock,
            pool=self._pool,
        )

    def _tally(self) -> tuple[int, int, bool]:
        """Live memories, those of them that a row may lack or have too much, and whether all were counted."""
        tally = self._ledger.tally(limit=_COUNTED)
        return tally.live, tally.pending + tally.set_aside + tally.behind, tally.exact


def first_sentence(text: str) -> str:
    """The first sentence of a memory, not longer than a question."""
    found = _SENTENCE.match(text.strip())
    return found[0].strip()[:_LONGEST_QUESTION] if found else ""


def _question(memory: Memory) -> SearchRequest:
    ids = memory.scope.ids()
    return SearchRequest(
        memory.scope.tenant, first_sentence(memory.text), all_ids(ids), ids, _ASKED, threshold=0.0, show_expired=True
    )


def _first_texts(found: list[ScoredMemory]) -> list[str]:
    """The first ten different texts."""
    return list(dict.fromkeys(one.memory.text for one in found))[:_PLACES]


def _share(ours: list[str], theirs: list[str]) -> float:
    return len(set(ours) & set(theirs)) / max(1, len(set(ours) | set(theirs)))
