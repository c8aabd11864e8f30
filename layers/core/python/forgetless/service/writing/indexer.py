"""Indexing: from memories to rows of the index, at write time and whenever the index misses something."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from forgetless.domain.errors import IndexUnavailableError
from forgetless.domain.memory import Memory, Message, MessageRef
from forgetless.domain.recipe import combine, embedding_texts, word_text
from forgetless.domain.words import index_words
from forgetless.ports.embedder import Embedder, EmbeddingTask
from forgetless.ports.index import IndexRow, RequestIndex
from forgetless.ports.request_ledger import RequestLedger

__all__ = ["Indexer", "by_tenant"]

_logger = logging.getLogger(__name__)


class Indexer:
    """Writes rows of the index and tells the ledger so; the ledger knows what is still missing."""

    def __init__(self, *, ledger: RequestLedger, index: RequestIndex, embedder: Embedder) -> None:
        self._ledger = ledger
        self._index = index
        self._embedder = embedder

    def rows(self, memories: Sequence[Memory], words: Mapping[MessageRef, str]) -> list[IndexRow]:
        """Embed memories in one go; `words` are the contents of their context messages.

        Raises EmbedderError.
        """
        contexts = [[words[ref] for ref in memory.context if ref in words] for memory in memories]
        portions = [embedding_texts(memory.text, context) for memory, context in zip(memories, contexts, strict=True)]
        # A message is context to its neighbours too: each text is asked for once.
        texts = list(dict.fromkeys(text for portion in portions for text in portion))
        tenants = {memory.scope.tenant for memory in memories}
        whose = tenants.pop() if len(tenants) == 1 else ""
        passages = self._embedder.embed(texts, EmbeddingTask.PASSAGE, tenant=whose) if texts else ()
        vectors = dict(zip(texts, passages, strict=True))
        return [
            IndexRow(memory, combine([vectors[text] for text in portion]), _words(memory, context))
            for memory, context, portion in zip(memories, contexts, portions, strict=True)
        ]

    def write(self, rows: Sequence[IndexRow], *, outdated: Sequence[Memory] = ()) -> bool:
        """Insert rows, drop what `outdated` memories had before, and mark all indexed.

        False when the index does not answer, or when what a row carries was erased meanwhile, so that it had to go
        again: the ledger keeps such memories pending and sweep comes back to them.
        """
        try:
            if rows:
                self._index.insert(rows)
            for tenant, memories in by_tenant(outdated).items():
                self._index.drop_older(tenant, memories)
            current, without = self.still_current([row.memory for row in rows])
        except IndexUnavailableError as error:
            _logger.warning("index is behind", extra={"memories": len(rows) + len(outdated), "reason": error.message})
            return False
        written = [*current, *(memory for memory in outdated if not memory.live)]
        self._ledger.mark_indexed(written, by_writer=True)
        return not without

    def replace_row(self, memory: Memory, *, reuse_version: int | None) -> bool:
        """Index the next version of a memory, with the vector of `reuse_version` where the text is the same.

        Raises EmbedderError when a new vector is needed and cannot be had.
        """
        words = self.context_words([memory])
        row = self._reused(memory, reuse_version, words) if reuse_version is not None else None
        return self.write([row or self.rows([memory], words)[0]], outdated=[memory])

    def words(self, memories: Sequence[Memory]) -> dict[str, str]:
        """The BM25 words of memories, by their ids."""
        said = self.context_words(memories)
        return {memory.id: _words(memory, [said[ref] for ref in memory.context if ref in said]) for memory in memories}

    def rows_of_versions(self, memories: Sequence[Memory], *, embedded: int) -> list[IndexRow]:
        """Rows of these very versions of one tenant: as the index has them, of others the first `embedded` anew.

        Raises EmbedderError and IndexUnavailableError.
        """
        keys = [(memory.id, memory.version) for memory in memories]
        held = self._index.vectors(memories[0].scope.tenant, keys) if memories else {}
        rows = [IndexRow(memory, held[key], "") for memory, key in zip(memories, keys, strict=True) if key in held]
        missing = [memory for memory, key in zip(memories, keys, strict=True) if key not in held][:embedded]
        return rows + self.rows(missing, self.context_words(missing))

    def context_words(self, memories: Iterable[Memory]) -> dict[MessageRef, str]:
        """The contents of the messages that these memories carry as context."""
        wanted: defaultdict[str, set[MessageRef]] = defaultdict(set)
        for memory in memories:
            wanted[memory.scope.tenant].update(memory.context)
        found: dict[MessageRef, Message] = {}
        for tenant, refs in wanted.items():
            if refs:
                found |= self._ledger.read_messages(tenant, sorted(refs))
        return {ref: message.content for ref, message in found.items()}

    def forget_erased(self, memories: Sequence[Memory], words: Mapping[MessageRef, str], *, at: str) -> None:
        """Take out of new memories' context what was erased while they were made; sweep indexes them without it."""
        for tenant, portion in by_tenant(memories).items():
            carried = {ref for memory in portion for ref in memory.context if ref in words}
            gone = carried - self._ledger.read_messages(tenant, sorted(carried)).keys() if carried else set()
            self._ledger.erase_messages(tenant, sorted(gone), at=at)

    def still_current(self, memories: Sequence[Memory]) -> tuple[list[Memory], list[Memory]]:
        """Those that the ledger still holds as they were indexed; the rows of the others go again.

        And of these others those that nobody else indexes now, as only what was said before them was erased meanwhile.

        Whoever changes or deletes a memory drops its rows after the append. When that happened before our insert,
        nobody else would drop ours; when it happens after this look, they will.
        """
        kept: list[Memory] = []
        without: list[Memory] = []
        for tenant, portion in by_tenant(memories).items():
            found = self._ledger.read(tenant, [memory.id for memory in portion])
            same = [memory for memory in portion if _same_row(found.get(memory.id), memory)]
            moved = {(memory.id, memory.version) for memory in portion} - {
                (memory.id, memory.version) for memory in same
            }
            if moved:
                self._index.drop(tenant, sorted(moved))
            kept += same
            without += [
                memory for memory in portion if memory not in same and _same_event(found.get(memory.id), memory)
            ]
        return kept, without

    def _reused(self, memory: Memory, version: int, words: Mapping[MessageRef, str]) -> IndexRow | None:
        key = (memory.id, version)
        try:
            vector = self._index.vectors(memory.scope.tenant, [key]).get(key)
        except IndexUnavailableError:
            return None
        context = [words[ref] for ref in memory.context if ref in words]
        return IndexRow(memory, vector, _words(memory, context)) if vector is not None else None


def _same_event(current: Memory | None, indexed: Memory) -> bool:
    return current is not None and (current.version, current.event_id) == (indexed.version, indexed.event_id)


def _same_row(current: Memory | None, indexed: Memory) -> bool:
    return current is not None and _same_event(current, indexed) and current.context == indexed.context


def _words(memory: Memory, context: Sequence[str]) -> str:
    return " ".join(index_words(word_text(memory.text, context)))


def by_tenant(memories: Iterable[Memory]) -> dict[str, list[Memory]]:
    """The memories of each tenant."""
    tenants: defaultdict[str, list[Memory]] = defaultdict(list)
    for memory in memories:
        tenants[memory.scope.tenant].append(memory)
    return dict(tenants)
