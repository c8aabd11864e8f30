"""Supersession: decides which of the memories that an LLM names as superseded by a fact are superseded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from forgetless.domain.errors import EmbedderTextError
from forgetless.domain.jobs import Job
from forgetless.domain.memory import Memory, Message
from forgetless.domain.recipe import cosine, embedded
from forgetless.domain.scope import Scope
from forgetless.domain.supersession import MOST_SUPERSEDED, SupersessionRules, is_vouched_by_user, may_be_users
from forgetless.ports.embedder import Embedder, EmbeddingTask
from forgetless.service.writing.extraction import Fact

__all__ = ["REFERENCE_TEXTS", "Supersession", "is_newer", "may_supersede"]

#: Statements that have nothing to do with anybody. A fact is near a memory only if it is nearer to it than to each of
#: them. This works with every model, however its cosines are spread, and in every language that is listed.
REFERENCE_TEXTS = (
    "The museum opens at nine on weekdays",
    "Copper conducts heat better than iron",
    "Bảo tàng mở cửa lúc chín giờ",
    "Đồng dẫn nhiệt tốt hơn sắt",
    "Das Museum öffnet werktags um neun",
    "Kupfer leitet Wärme besser als Eisen",
    "El museo abre a las nueve",
    "El cobre conduce el calor mejor que el hierro",
    "Le musée ouvre à neuf heures",
    "Le cuivre conduit mieux la chaleur que le fer",
    "博物馆工作日九点开门",
    "铜的导热性比铁好",
)

Vector = Sequence[float]


class Supersession:
    """Applies the rules to the facts of an extraction."""

    def __init__(self, *, embedder: Embedder, rules: SupersessionRules) -> None:
        self._embedder = embedder
        self._rules = rules
        self._references: Sequence[Vector] = ()

    def restrict(
        self, scope: Scope, facts: Sequence[Fact], existing: Sequence[Memory], messages: Sequence[Message]
    ) -> list[Fact]:
        """The facts, each with the memories that it may supersede, nearest first and at most MOST_SUPERSEDED.

        Raises EmbedderError. Nothing is embedded if no fact may supersede anything.
        """
        known = {memory.id: memory for memory in existing}
        restricted = [replace(fact, supersedes=self._permitted(scope, fact, known, messages)) for fact in facts]
        if not any(fact.supersedes for fact in restricted) or self._rules.nearness < 0:
            return [replace(fact, supersedes=fact.supersedes[:MOST_SUPERSEDED]) for fact in restricted]
        vectors = self._vectors(scope, restricted, known)
        return [replace(fact, supersedes=self._near(fact, known, vectors)) for fact in restricted]

    def _permitted(
        self, scope: Scope, fact: Fact, known: Mapping[str, Memory], messages: Sequence[Message]
    ) -> tuple[str, ...]:
        """The ids of the memories that it may supersede, whether near or not."""
        vouched = self._rules.any_role or is_vouched_by_user(fact.sources, messages)
        return tuple(
            id_
            for id_ in fact.supersedes
            if (memory := known.get(id_)) is not None
            and may_supersede(scope, memory)
            and (vouched or not may_be_users(memory))
        )

    def _near(self, fact: Fact, known: Mapping[str, Memory], vectors: Mapping[str, Vector]) -> tuple[str, ...]:
        vector = vectors.get(embedded(fact.text))
        if not fact.supersedes or vector is None:
            return ()
        unrelated = max(cosine(vector, reference) for reference in self._references)
        texts = {id_: embedded(known[id_].text) for id_ in fact.supersedes}
        nearness = {id_: cosine(vector, vectors[text]) for id_, text in texts.items() if text in vectors}
        near = [id_ for id_ in nearness if nearness[id_] >= self._rules.nearness and nearness[id_] > unrelated]
        return tuple(sorted(near, key=lambda id_: -nearness[id_])[:MOST_SUPERSEDED])

    def _vectors(self, scope: Scope, facts: Sequence[Fact], known: Mapping[str, Memory]) -> dict[str, Vector]:
        """The vectors of the texts to compare, by text."""
        asked = [fact for fact in facts if fact.supersedes]
        texts = [fact.text for fact in asked] + [known[id_].text for fact in asked for id_ in fact.supersedes]
        distinct = list(dict.fromkeys(map(embedded, texts)))
        if not self._references:
            self._references = self._embedder.embed(REFERENCE_TEXTS, EmbeddingTask.PASSAGE)
        owner = scope.writer_key()
        try:
            return dict(zip(distinct, self._embedder.embed(distinct, EmbeddingTask.PASSAGE, owner=owner), strict=True))
        except EmbedderTextError as error:
            # A text without a vector is near nothing: it supersedes nothing, and nothing supersedes it.
            found = zip(distinct, error.vectors, strict=True)
            return {text: vector for text, vector in found if vector is not None}


def may_supersede(scope: Scope, memory: Memory) -> bool:
    """Whether an add to this scope may supersede the memory, as it is now."""
    return memory.live and not memory.immutable and memory.scope.speaker() == scope.speaker()


def is_newer(memory: Memory, job: Job) -> bool:
    """Whether the memory was recorded after the add was accepted and before its job was claimed.

    A job that was held or started again may run hours after its add; what was said meanwhile is newer than its facts.
    A later change of a memory, such as new metadata, makes what it says no newer.
    """
    return job.created_at < memory.accepted_at <= job.updated_at
