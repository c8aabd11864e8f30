"""Reindex: writes the rows that are missing from the index or differ from the ledger."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from forgetless.domain.errors import LedgerError
from forgetless.domain.limits import MOST_REFUSALS
from forgetless.domain.memory import Memory
from forgetless.domain.moments import has_past
from forgetless.ports.clock import Clock
from forgetless.ports.index import Index, IndexRow
from forgetless.ports.ledger import Refusal
from forgetless.service.history_portions import light_portions
from forgetless.service.jobs.refused_rows import halved, reason_of_refusal, try_control
from forgetless.service.known_names import KnownNames
from forgetless.service.writing.indexer import Indexer, by_tenant
from forgetless.service.writing.past_rows import first_or

__all__ = ["Refreshed", "RefusalLedger", "Reindexer", "refreshed_in_portions"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refreshed:
    """How many live memories the index now holds, how many it refused, and how many of these were set aside.

    For `left` memories there was no time.
    """

    indexed: int = 0
    refused: int = 0
    set_aside: int = 0
    left: int = 0

    def __add__(self, other: Refreshed) -> Refreshed:
        return Refreshed(
            self.indexed + other.indexed,
            self.refused + other.refused,
            self.set_aside + other.set_aside,
            self.left + other.left,
        )


def refreshed_in_portions(
    memories: Sequence[Memory], refresh: Callable[[Sequence[Memory]], Refreshed], in_time: Callable[[], bool]
) -> Refreshed:
    """What `refresh` makes of light portions: of the first one in any case, and of others as long as there is time."""
    done, looked_at = Refreshed(), 0
    for portion in light_portions(memories):
        if looked_at and not in_time():
            return replace(done, left=done.left + len(memories) - looked_at)
        done += refresh(portion)
        looked_at += len(portion)
    return done


class RefusalLedger(Protocol):
    """Where refusals are noted; see `forgetless.ports.ledger.Maintenance`."""

    def note_refusals(self, refusals: Sequence[Refusal], *, at: str, most: int) -> int: ...


class Reindexer:
    """Compares rows with the index before it writes, which requests never do."""

    def __init__(
        self, *, ledger: RefusalLedger, index: Index, indexer: Indexer, names: KnownNames, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._index = index
        self._indexer = indexer
        self._names = names
        self._clock = clock

    def holds_rows(self) -> bool:
        """Whether the index has any row; raises IndexUnavailableError."""
        return self._index.count() > 0

    def refresh(self, memories: Sequence[Memory], *, in_time: Callable[[], bool] = lambda: True) -> Refreshed:
        """Make the index hold exactly the current versions of these memories, as long as there is time.

        A row that is already right stays in place, so searches find it in the meantime. A repeat is harmless. A memory
        with a long history may need several calls; each goes on with what the index lacks.

        A memory that embedder or index refuse keeps no other from being indexed, not even one that has it as context:
        that one is then indexed without it. What the embedder refuses has a row with its words alone. The refusal is
        counted, and after MOST_REFUSALS the memory is set aside. An Indexer with `trials` finds out which texts the
        embedder fails on for other reasons, too. Raises the errors of embedder and index that do not blame a memory.
        """
        return refreshed_in_portions(memories, lambda portion: self._refresh_portion(portion, in_time), in_time)

    def _refresh_portion(self, memories: Sequence[Memory], in_time: Callable[[], bool]) -> Refreshed:
        # Names that an earlier version or an import did not note.
        self._names.note_memories(memories)
        refused: dict[str, str] = {}
        late: set[str] = set()
        refresh = partial(self._refresh, refused=refused, late=late, in_time=in_time)
        try:
            refresh(memories)
        except Exception as error:
            if reason_of_refusal(error) is None:
                raise
            try_control(self._indexer, self._index)
            for one in halved(memories, refresh):
                if not self._taken_without_context(one.memory, refresh):
                    refused[one.memory.id] = one.reason
        refusals = [Refusal(memory, refused[memory.id]) for memory in memories if memory.id in refused]
        live = sum(memory.live and memory.id not in late for memory in memories)
        aside = self._noted(refusals) if refusals else 0
        return Refreshed(live - len(refusals), len(refusals), aside, len(late))

    def _taken_without_context(self, memory: Memory, refresh: Callable[..., None]) -> bool:
        """Whether the index takes the memory without what was said before it, which may be what was refused."""
        if not memory.context:
            return False
        return not halved([memory], partial(refresh, with_context=False))

    def _noted(self, refusals: Sequence[Refusal]) -> int:
        aside = self._ledger.note_refusals(refusals, at=self._clock.now(), most=MOST_REFUSALS)
        for refusal in refusals:
            _logger.warning(
                "a memory cannot be indexed", extra={"memory_id": refusal.memory.id, "reason": refusal.reason}
            )
        return aside

    def _refresh(
        self,
        memories: Sequence[Memory],
        *,
        refused: dict[str, str],
        late: set[str],
        in_time: Callable[[], bool],
        with_context: bool = True,
    ) -> None:
        # Nothing of a deleted memory waits for an embedder.
        for tenant, gone in by_tenant(memory for memory in memories if memory.deleted).items():
            self._index.drop_older(tenant, gone)
        live = [memory for memory in memories if memory.live]
        talk = self._indexer.context_messages(live) if with_context else {}
        rows = self._indexer.rows(live, talk, in_time=first_or(in_time), refused=refused)
        late |= {memory.id for memory in live} - {row.memory.id for row in rows}
        embedded = [memory for memory in memories if memory.id not in late]
        late |= self._indexer.past.refresh(embedded, in_time=in_time)
        # An older row stays until it stands among those of the past.
        through = [memory for memory in memories if memory.id not in late]
        for tenant, portion in by_tenant(memory for memory in through if not memory.deleted).items():
            self._index.drop_older(tenant, portion)
        if wrong := self._without_the_unchanged(rows):
            for tenant, portion in by_tenant(row.memory for row in wrong).items():
                self._index.drop(tenant, [(memory.id, memory.version) for memory in portion])
            self._index.insert(wrong)
        try:
            self._indexer.withdraw_outdated([row.memory for row in wrong if not row.vector])
            self._indexer.mark_indexed([memory for memory in through if memory.id not in refused])
        except LedgerError:
            # Nobody knows whether these are still so. Of a memory that was deleted meanwhile, nobody else would remove
            # the rows, and the next try, which writes those of the others again, does not see it.
            written = {row.memory.id for row in wrong}
            doubtful = [one for one in embedded if one.id in written or has_past(one)]
            for tenant, portion in by_tenant(doubtful).items():
                self._index.drop_older(tenant, [replace(memory, deleted=True) for memory in portion])
            raise

    def _without_the_unchanged(self, rows: Sequence[IndexRow]) -> list[IndexRow]:
        wrong: list[IndexRow] = []
        for tenant in {row.memory.scope.tenant for row in rows}:
            portion = [row for row in rows if row.memory.scope.tenant == tenant]
            right = self._index.unchanged(tenant, portion)
            wrong += [row for row in portion if (row.memory.id, row.memory.version) not in right]
        return wrong
