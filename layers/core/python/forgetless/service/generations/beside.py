"""OtherGenerations: brings what is written to one generation of the index to the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from forgetless.domain.errors import ForgetlessError
from forgetless.domain.generations import Generation
from forgetless.domain.memory import Memory
from forgetless.ports.clock import Clock
from forgetless.ports.index import Index
from forgetless.ports.ledger import Ledger
from forgetless.service.generations.behind_ledger import BehindLedger
from forgetless.service.generations.opened import Openings
from forgetless.service.generations.record import GenerationRecord
from forgetless.service.jobs.reindex import Refreshed, Reindexer
from forgetless.service.known_names import KnownNames
from forgetless.service.writing.embedding_trials import EmbeddingTrials
from forgetless.service.writing.indexer import Indexer, by_tenant

__all__ = ["OtherGenerations"]

_logger = logging.getLogger(__name__)


class OtherGenerations:
    """See `forgetless.service.writing.indexer.Beside`. `mine` is the collection of the generation that is written to.

    A writer may be so slow that its generation no longer serves when it writes. It then brings its rows to the one that
    does, before it acknowledges them.
    """

    def __init__(
        self, mine: str, *, record: GenerationRecord, openings: Openings, ledger: Ledger, clock: Clock
    ) -> None:
        self._mine = mine
        self._record = record
        self._openings = openings
        self._ledger = ledger
        self._clock = clock
        self._names = KnownNames(ledger=ledger, clock=clock)
        self._trials = EmbeddingTrials(clock)

    def exist(self) -> bool:
        return bool(self._others())

    def indexes(self) -> list[Index]:
        """The indexes of the others, and of those that are being dropped: nothing erased may stay in any."""
        known = self._record.now()
        found = [*known.all, *(one.generation for one in known.dropped)]
        return [self._openings.of(one).index for one in found if one.collection != self._mine]

    def count(self, generation: Generation) -> tuple[int, int]:
        """The numbers of rows of a generation, of the present and of the past; raises IndexUnavailableError."""
        index = self._openings.of(generation).index
        return index.count(), index.past.count()

    def follow(self, memories: Sequence[Memory]) -> None:
        others = self._others()
        if not others or not memories:
            return
        known = self._record.known()
        late = known.serving.collection != self._mine
        for generation in others:
            try:
                serves = generation == known.serving
                if known.written_to or (late and serves):
                    self._reindexer(generation, serves=serves, trials=None).refresh(memories)
                else:
                    # The row of a superseded memory stays until the drain moves it to the past.
                    self._drop(generation, [memory for memory in memories if memory.deleted])
            except ForgetlessError as error:  # they stay behind, and are brought later
                more = {"collection": generation.collection, "reason": error.message}
                _logger.warning("another generation of the index is behind", extra=more)

    def bring(
        self,
        generation: Generation,
        memories: Sequence[Memory],
        *,
        serves: bool = False,
        in_time: Callable[[], bool] = lambda: True,
    ) -> Refreshed:
        """Make the generation hold exactly these versions; raises the errors of embedder, index and ledger.

        What the one that serves refuses is noted as for every write; what the other one lacks is behind. This is for
        work in the background: it tries texts one by one if the embedder fails on some.
        """
        return self._reindexer(generation, serves=serves, trials=self._trials).refresh(memories, in_time=in_time)

    def _reindexer(self, generation: Generation, *, serves: bool, trials: EmbeddingTrials | None) -> Reindexer:
        opened = self._openings.of(generation)
        ledger = self._ledger if serves else BehindLedger(self._ledger, self._clock)
        index, names = opened.index, self._names
        indexer = Indexer(
            ledger=ledger, index=index, embedder=opened.embedder, recipe=opened.recipe, names=names, trials=trials
        )
        return Reindexer(ledger=ledger, index=index, indexer=indexer, names=names, clock=self._clock)

    def _others(self) -> list[Generation]:
        return [one for one in self._record.known().all if one.collection != self._mine]

    def _drop(self, generation: Generation, dead: Sequence[Memory]) -> None:
        for tenant, portion in by_tenant(dead).items():
            self._openings.of(generation).index.drop_older(tenant, portion)
