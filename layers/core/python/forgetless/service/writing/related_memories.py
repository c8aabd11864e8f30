"""Related memories: finds the existing memories that fit new messages best, for the LLM to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from forgetless.domain.errors import EmbedderTextError
from forgetless.domain.filters.ast import And, Filter
from forgetless.domain.filters.evaluate import evaluate
from forgetless.domain.filters.expiration import unexpired
from forgetless.domain.filters.scope_ids import same_speaker
from forgetless.domain.memory import Memory, Message
from forgetless.domain.names import NO_NAMES
from forgetless.domain.recipe import Recipe
from forgetless.domain.said import LONG_TEXT_CHARS
from forgetless.domain.scope import Scope
from forgetless.domain.times import date_of
from forgetless.ports.embedder import Embedder, EmbeddingTask
from forgetless.ports.index import RequestIndex
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.candidates import Candidates
from forgetless.service.known_names import KnownNames
from forgetless.service.writing.told import ToldMemories

__all__ = ["RelatedMemories"]

#: The most existing memories that an extraction is given, and the most new messages that are searched with.
RECALLED = 10
#: How many rows the index is asked for by meaning and by words. More than are wanted: most are then scored by both.
_CANDIDATES = 30


class RelatedMemories:
    """Finds memories of one user, agent and app, as a search with the messages would."""

    def __init__(
        self, *, ledger: RequestLedger, index: RequestIndex, embedder: Embedder, recipe: Recipe, names: KnownNames
    ) -> None:
        self._ledger = ledger
        self._index = index
        self._embedder = embedder
        self._recipe = recipe
        self._names = names
        self._told = ToldMemories(recipe=recipe, names=names)

    def nearest(self, scope: Scope, messages: Sequence[Message], now: str) -> list[Memory]:
        """Up to RECALLED live memories of the same user, agent and app that fit the last messages, the best first.

        What has expired at `now` is left out: a fact must not be dropped because of a memory that nobody is shown.

        A memory counts by the message that it is nearest to, and by the words of all. Raises EmbedderError and
        IndexUnavailableError: without these memories, the LLM would not notice that a new message contradicts an old
        one.
        """
        spoken = [message for message in messages if message.role != "system" and message.content.strip()][-RECALLED:]
        if not spoken:
            return []
        where = And((same_speaker(scope), unexpired(now)))
        ranked = self._ranked(scope, spoken, where)
        found = self._ledger.read(scope.tenant, [memory_id for memory_id, _ in ranked])
        current = [
            found[memory_id]
            for memory_id, version in ranked
            if memory_id in found and found[memory_id].version == version
        ]
        return [memory for memory in current if memory.live and evaluate(where, memory)][:RECALLED]

    def _ranked(self, scope: Scope, spoken: Sequence[Message], where: Filter) -> list[tuple[str, int]]:
        """The rows that fit, by id and version."""
        recipe = self._recipe
        said = [one.text[-LONG_TEXT_CHARS:] for one in self._told.said(spoken)]
        names = self._names.place(scope).names if recipe.knows_speakers else NO_NAMES
        vectors = self._vectors([recipe.query_text(text, names) for text in said])
        day = date.fromisoformat(date_of(spoken[-1].created_at))
        candidates = Candidates(recipe.scorer(said[-1], reference=day, agent_alone=False))
        for hits in self._index.search_vectors(scope.tenant, vectors, where, _CANDIDATES):
            candidates.add_near(hits)
        words = recipe.query_words("\n".join(said))
        candidates.add_worded(self._index.search_words(scope.tenant, words, where, _CANDIDATES))
        return [row.key for row in candidates.ranked()]

    def _vectors(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of the texts, without those that the embedder refuses."""
        try:
            return self._embedder.embed(texts, EmbeddingTask.QUERY)
        except EmbedderTextError as error:
            return [vector for vector in error.vectors if vector is not None]
