"""Indexing: makes rows of the index from memories, at each write and whenever a row is missing or out of date."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from forgetless.domain.errors import DependencyError, IndexUnavailableError
from forgetless.domain.limits import EMBEDDED_AT_ONCE
from forgetless.domain.memory import Event, Memory, Message, MessageRef
from forgetless.domain.recipe import Recipe, Told, combine
from forgetless.domain.said import MOST_CONTEXT_CHARS
from forgetless.ports.embedder import Embedder
from forgetless.ports.index import Content, IndexRow, Key, RequestIndex
from forgetless.service.known_names import KnownNames
from forgetless.service.writing.embedding_trials import EmbeddingTrials, Tried, embedded
from forgetless.service.writing.past_rows import Change, PastRows, by_tenant
from forgetless.service.writing.told import ToldMemories

__all__ = ["Beside", "Change", "IndexedLedger", "Indexer", "by_tenant"]

_logger = logging.getLogger(__name__)


class IndexedLedger(Protocol):
    """What indexing needs of a ledger; see `forgetless.ports.request_ledger`."""

    def read(self, tenant: str, ids: Sequence[str]) -> dict[str, Memory]: ...

    def history(self, tenant: str, memory_id: str) -> list[Event]: ...

    def superseded_ids(self, tenant: str, memory_id: str, *, limit: int) -> list[str]: ...

    def read_messages(
        self, tenant: str, refs: Sequence[MessageRef], *, most_chars: int | None = None
    ) -> dict[MessageRef, Message]: ...

    def erase_messages(self, tenant: str, refs: Sequence[MessageRef], *, at: str) -> int: ...

    def mark_indexed(
        self, memories: Sequence[Memory], *, by_writer: bool = False, behind: bool = False
    ) -> list[Memory]: ...


class Beside(Protocol):
    """The other generations of the index, which a writer to one of them must not forget."""

    def exist(self) -> bool:
        """Whether there are any: then the ledger notes what is written here as lacking there, too."""

    def follow(self, memories: Sequence[Memory]) -> None:
        """Drop the rows of those that are deleted, and bring the others at once where a write must be everywhere.

        Whatever fails there is logged, and done later: it never fails the write.
        """


class Indexer:
    """Writes rows to the index and marks them as indexed in the ledger, which knows what is still missing."""

    def __init__(
        self,
        *,
        ledger: IndexedLedger,
        index: RequestIndex,
        embedder: Embedder,
        recipe: Recipe,
        names: KnownNames,
        beside: Beside | None = None,
        trials: EmbeddingTrials | None = None,
    ) -> None:
        """With `trials`, which need time, a text on which the embedder fails keeps no other from being embedded."""
        self._ledger = ledger
        self._index = index
        self._embedder = embedder
        self._recipe = recipe
        self._told = ToldMemories(recipe=recipe, names=names)
        self._names = names
        self._beside = beside
        self._trials = trials
        #: The rows of earlier versions and of superseded memories.
        self.past = PastRows(ledger=ledger, index=index, maker=self)

    def in_background(self, trials: EmbeddingTrials) -> Indexer:
        """The same one for work that has time."""
        return Indexer(
            ledger=self._ledger,
            index=self._index,
            embedder=self._embedder,
            recipe=self._recipe,
            names=self._names,
            beside=self._beside,
            trials=trials,
        )

    def rows(
        self,
        memories: Sequence[Memory],
        talk: Mapping[MessageRef, Message],
        *,
        in_time: Callable[[], bool] = lambda: True,
        refused: dict[str, str] | None = None,
    ) -> list[IndexRow]:
        """The rows of memories; `talk` holds the messages of their context.

        The texts are embedded EMBEDDED_AT_ONCE at a time, as long as there is time (`in_time`). The memories for whose
        texts there was none are left out. One whose text the embedder refuses has a row without a vector, and the
        reason is noted by its id in `refused`; context that it refuses does not count. Raises EmbedderError.
        """
        told = self._told.told(memories, talk)
        portions = [self._recipe.texts(one) for one in told]
        # A message can be the context of several memories, so each distinct text is embedded only once.
        texts = list(dict.fromkeys(text for portion in portions for text in portion))
        vectors: dict[str, Sequence[float]] = {}
        reasons: dict[str, str] = {}
        for start in range(0, len(texts), EMBEDDED_AT_ONCE):
            if not in_time():
                break
            some = texts[start : start + EMBEDDED_AT_ONCE]
            tried = self._embedded(memories, some, least=len(portions[0]), in_time=in_time)
            vectors |= tried.vectors
            reasons |= tried.reasons
        if refused is not None:
            texts_of = zip(memories, portions, strict=True)
            refused |= {memory.id: reasons[portion[0]] for memory, portion in texts_of if portion[0] in reasons}
        return [
            self._row(memory, one, _vector(portion, vectors))
            for memory, one, portion in zip(memories, told, portions, strict=True)
            if portion[0] in reasons or all(text in vectors or text in reasons for text in portion)
        ]

    def _embedded(
        self, memories: Sequence[Memory], texts: Sequence[str], *, least: int, in_time: Callable[[], bool]
    ) -> Tried:
        # Nobody may learn from a fast answer that a text of somebody else was embedded before.
        writers = {memory.scope.writer_key() for memory in memories}
        owner = writers.pop() if len(writers) == 1 else ""
        if self._trials is None:
            return embedded(self._embedder, texts, owner=owner)
        tenant = memories[0].scope.tenant
        return self._trials.embed(self._embedder, texts, tenant=tenant, owner=owner, least=least, in_time=in_time)

    def told(self, memories: Sequence[Memory], talk: Mapping[MessageRef, Message]) -> list[Told]:
        """The memories as the recipe reads them; `talk` holds the messages of their context."""
        return self._told.told(memories, talk)

    def write(
        self, rows: Sequence[IndexRow], *, changes: Sequence[Change] = (), known: Mapping[Key, Content] | None = None
    ) -> bool:
        """Insert rows, move the rows of replaced versions to the past, and mark all of them as indexed.

        `changes` are the versions that were replaced; nothing is left of deleted memories. `known` is what was read of
        their rows already.

        False if the index does not answer, if context of a memory was erased meanwhile, so that its row was removed
        again, or if a row has no vector. Such memories stay pending in the ledger, and sweep indexes them later. So
        does one whose replaced version had no row that could be moved.
        """
        try:
            if current := [row for row in rows if row.memory.live]:
                self._index.insert(current)
            by_words = [row.memory for row in rows if not row.vector]
            waiting = self._replace(rows, changes, known or {}) | {memory.id for memory in by_words}
            self.withdraw_outdated(by_words)
            written = [*(row.memory for row in current), *(one.after for one in changes if not one.after.live)]
            done = [memory for memory in written if memory.id not in waiting]
            return not self.mark_indexed(done, by_writer=True) and not by_words
        except IndexUnavailableError as error:
            _logger.warning("index is behind", extra={"memories": len(rows) + len(changes), "reason": error.message})
            return False

    def _replace(self, rows: Sequence[IndexRow], changes: Sequence[Change], known: Mapping[Key, Content]) -> set[str]:
        """Move the rows of the versions before; returns the ids of memories of which there was none."""
        unmoved: set[str] = set()
        for tenant in {memory.scope.tenant for memory in (*(row.memory for row in rows), *(c.after for c in changes))}:
            mine = [change for change in changes if change.after.scope.tenant == tenant]
            unmoved |= self.past.move(tenant, mine, rows, known)
            if mine:
                self._index.drop_older(tenant, [change.after for change in mine])
        return unmoved

    def replace_rows(self, changes: Sequence[Change]) -> bool:
        """Index the next versions of memories of one tenant, with the vectors of those before where the text stays.

        False as in `write`. Raises EmbedderError when a new vector is needed and the embedder fails.
        """
        after = [change.after for change in changes]
        talk, known = self.context_messages(after), self._held_contents([change.before for change in changes])
        # A row without a vector is made anew: the embedder may take the text by now.
        reused = {
            change.after.id: content.vector
            for change in changes
            if (content := known.get((change.before.id, change.before.version))) is not None
            and content.vector
            and change.after.text == change.before.text
        }
        same = [memory for memory in after if memory.id in reused]
        told = zip(same, self.told(same, talk), strict=True)
        rows = [self._row(memory, one, reused[memory.id]) for memory, one in told]
        if others := [memory for memory in after if memory.id not in reused]:
            rows += self.rows(others, talk)
        return self.write(rows, changes=changes, known=known)

    def _held_contents(self, memories: Sequence[Memory]) -> dict[Key, Content]:
        """What the rows of these versions of one tenant's memories hold; nothing if the index does not answer."""
        try:
            return self.past.contents(memories[0].scope.tenant, memories) if memories else {}
        except IndexUnavailableError:
            return {}

    def context_messages(self, memories: Iterable[Memory]) -> dict[MessageRef, Message]:
        """The beginnings of the messages that are context of these memories, without erased ones."""
        wanted: defaultdict[str, set[MessageRef]] = defaultdict(set)
        for memory in memories:
            wanted[memory.scope.tenant].update(memory.context)
        found: dict[MessageRef, Message] = {}
        for tenant, refs in wanted.items():
            if refs:
                found |= self._ledger.read_messages(tenant, sorted(refs), most_chars=MOST_CONTEXT_CHARS)
        return found

    def forget_erased(self, memories: Sequence[Memory], talk: Mapping[MessageRef, Message], *, at: str) -> None:
        """Remove from the context of new memories what was erased while they were made.

        `talk` holds the messages that their rows were made with. Sweep then indexes the memories without the erased
        messages.
        """
        for tenant, portion in by_tenant(memories).items():
            carried = {ref for memory in portion for ref in memory.context if ref in talk}
            gone = (
                carried - self._ledger.read_messages(tenant, sorted(carried), most_chars=0).keys() if carried else set()
            )
            if gone:
                self._ledger.erase_messages(tenant, sorted(gone), at=at)

    def mark_indexed(self, memories: Sequence[Memory], *, by_writer: bool = False) -> list[Memory]:
        """Mark what the index now holds as indexed, and remove the rows of what is no longer so in the ledger.

        Returns those of the latter whose version is still current: only messages of their context were erased
        meanwhile, so nobody else indexes them now.

        Whoever changes or deletes a memory moves or removes its rows after the append. If that happened before our
        insert, nobody else would remove our row. If it happens after the mark, they will. Should we die in between, the
        memory is still pending, because its change found it pending, and sweep removes the row.
        """
        behind = self._beside is not None and self._beside.exist()
        refused = self._ledger.mark_indexed(memories, by_writer=by_writer, behind=behind)
        if behind and self._beside is not None:
            gone = {memory.id for memory in refused}
            self._beside.follow([memory for memory in memories if memory.id not in gone])
        without: list[Memory] = []
        for tenant, portion in by_tenant(refused).items():
            self._index.drop(tenant, sorted({(memory.id, memory.version) for memory in portion}))
            found = self._ledger.read(tenant, [memory.id for memory in portion])
            self._redo_past(portion, found)
            without += [memory for memory in portion if _same_event(found.get(memory.id), memory)]
        return without

    def withdraw_outdated(self, memories: Sequence[Memory]) -> None:
        """Remove the rows without a vector of those memories that the ledger no longer has so.

        They are not marked as indexed, so `mark_indexed` does not find out that they changed meanwhile.
        """
        for tenant, portion in by_tenant(memories).items():
            found = self._ledger.read(tenant, [memory.id for memory in portion])
            if gone := [one for one in portion if not _same_row(found.get(one.id), one)]:
                self._index.drop(tenant, sorted({(memory.id, memory.version) for memory in gone}))
                self._redo_past(gone, found)

    def _row(self, memory: Memory, told: Told, vector: Sequence[float]) -> IndexRow:
        words, signals = self._recipe.row(told)
        return IndexRow(memory, vector, words, signals)

    def _redo_past(self, refused: Sequence[Memory], found: Mapping[str, Memory]) -> None:
        try:
            self.past.redo(refused, found)
        except IndexUnavailableError:
            raise
        except DependencyError as error:  # searches of the past find less until the next reindex
            _logger.warning("rows of the past are missing", extra={"reason": error.message})


def _same_row(current: Memory | None, indexed: Memory) -> bool:
    return current is not None and _same_event(current, indexed) and current.context == indexed.context


def _vector(portion: Sequence[str], vectors: Mapping[str, Sequence[float]]) -> Sequence[float]:
    """The vector of a memory with these texts; empty if its own has none, because that of its context says nothing."""
    return combine([vectors[text] for text in portion if text in vectors]) if portion[0] in vectors else ()


def _same_event(current: Memory | None, indexed: Memory) -> bool:
    return current is not None and (current.version, current.event_id) == (indexed.version, indexed.event_id)
