"""Related memories: finds the existing memories nearest to new messages, for the LLM to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from forgetless.domain.errors import EmbedderTextError
from forgetless.domain.filters.evaluate import evaluate
from forgetless.domain.filters.scope_ids import same_speaker
from forgetless.domain.memory import Memory, Message
from forgetless.domain.said import LONG_TEXT_CHARS
from forgetless.domain.scope import Scope
from forgetless.ports.embedder import Embedder, EmbeddingTask
from forgetless.ports.index import RequestIndex
from forgetless.ports.request_ledger import RequestLedger

__all__ = ["RelatedMemories"]

#: The most existing memories that an extraction is given, and the most new messages that are searched with.
RECALLED = 10


class RelatedMemories:
    """Finds memories of one user, agent and app by meaning."""

    def __init__(self, *, ledger: RequestLedger, index: RequestIndex, embedder: Embedder) -> None:
        self._ledger = ledger
        self._index = index
        self._embedder = embedder

    def nearest(self, scope: Scope, messages: Sequence[Message]) -> list[Memory]:
        """Up to RECALLED live memories of the same user, agent and app, nearest to the last messages first.

        Raises EmbedderError and IndexUnavailableError: without these memories, the LLM would not notice that a new
        message contradicts an old one.
        """
        said = [message.content for message in messages if message.role != "system" and message.content.strip()]
        texts = [text[-LONG_TEXT_CHARS:] for text in said[-RECALLED:]]
        where = same_speaker(scope)
        best: dict[tuple[str, int], float] = {}
        vectors = self._vectors(texts) if texts else []
        for hit in chain.from_iterable(self._index.search_vectors(scope.tenant, vectors, where, RECALLED)):
            key = (hit.memory_id, hit.version)
            best[key] = max(hit.score, best.get(key, hit.score))
        ranked = sorted(best, key=lambda key: -best[key])
        found = self._ledger.read(scope.tenant, [memory_id for memory_id, _ in ranked])
        current = [
            found[memory_id]
            for memory_id, version in ranked
            if memory_id in found and found[memory_id].version == version
        ]
        return [memory for memory in current if memory.live and evaluate(where, memory)][:RECALLED]

    def _vectors(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of the texts, without those that the embedder refuses."""
        try:
            return self._embedder.embed(texts, EmbeddingTask.QUERY)
        except EmbedderTextError as error:
            return [vector for vector in error.vectors if vector is not None]
