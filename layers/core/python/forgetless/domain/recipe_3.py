"""Recipe 3: vectors without names, words with weights of our own, and what else of a memory counts in its score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from forgetless.domain.names import NameSet, question_without_names, without_names
from forgetless.domain.recipe import Told, Words, embedding_texts
from forgetless.domain.said import Said
from forgetless.domain.scoring import AddedScore
from forgetless.domain.signals import question_signals, row_signals
from forgetless.domain.sparse_words import (
    RESERVED_ID,
    SparseVector,
    inner_product,
    query_vector,
    row_vector_and_mass,
)

__all__ = ["Recipe3"]

#: The names of the speakers of a text and of so many messages before it are left out of its words and its vector.
_NAMED_BEFORE = 2
#: How many messages before a text count for its words.
_WORDS_BEFORE = 3


class Recipe3:
    """See `Recipe`. Words are term weights, compared by their inner product."""

    version = 3
    knows_speakers = True

    def texts(self, told: Told) -> list[str]:
        """Each text without the names of its own speaker and of the two before it, as by itself."""
        talk = [*told.previous, told.own]
        nameless = [
            without_names(said.text, _speakers(talk[: place + 1]) | set(told.known.found_in(said.text)))
            for place, said in enumerate(talk)
        ]
        return embedding_texts(nameless[-1], nameless[:-1])

    def row(self, told: Told) -> tuple[SparseVector, int]:
        own, names = _named(told)
        words, says = row_vector_and_mass(own, told.previous[-_WORDS_BEFORE:], told.following, names=names)
        return words, row_signals(own, mass=says, created_at=told.created_at).pack()

    def query_words(self, question: str) -> SparseVector:
        return query_vector(question)

    def probe(self, text: str) -> SparseVector:
        # Each row has the reserved term, whatever names its words leave out.
        return {RESERVED_ID: 1.0}

    def query_text(self, question: str, names: NameSet) -> str:
        return question_without_names(question, names)

    def scorer(self, question: str, *, reference: date, agent_alone: bool) -> AddedScore:
        return AddedScore(question_signals(question, reference=reference, agent_alone=agent_alone))

    def matches(self, asked: Words, rows: Sequence[Words]) -> list[float]:
        if isinstance(asked, str):
            raise TypeError("recipe 3 compares term weights")
        return [inner_product(asked, row) for row in rows if not isinstance(row, str)]


def _named(told: Told) -> tuple[Said, frozenset[str]]:
    """The memory's text, and the names that its words leave out.

    The names of a message are those of its speakers. An extracted fact says whom it is about: "Anna likes tea" counts
    as if Anna had said it.
    """
    speakers = _speakers([*told.previous, told.own])
    about = told.known.found_in(told.own.text)
    return (replace(told.own, speaker=" ".join(about)), speakers | set(about)) if about else (told.own, speakers)


def _speakers(talk: Sequence[Said]) -> frozenset[str]:
    """The speakers of the last message and of the two before it."""
    return frozenset(said.speaker for said in talk[-_NAMED_BEFORE - 1 :] if said.speaker)
