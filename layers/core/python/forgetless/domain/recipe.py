"""Recipes: what of a memory stands in the index, and how a question is compared with it.

Each recipe has a version, which is part of the collection's name: rows of two recipes never mix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from operator import mul
from typing import Protocol

from forgetless.domain.names import NO_NAMES, NameSet
from forgetless.domain.said import LONG_TEXT_CHARS, SHORT_TEXT_CHARS, Said
from forgetless.domain.scoring import Scorer
from forgetless.domain.sparse_words import SparseVector

__all__ = [
    "CONTROL_TEXT",
    "RECIPE_VERSION",
    "Recipe",
    "Told",
    "Words",
    "combine",
    "cosine",
    "embedded",
    "embedding_texts",
    "is_same_vector",
    "is_short",
]

#: The version that new collections are filled by.
RECIPE_VERSION = 3

#: Replaces a text that is empty, because embedding services refuse empty input.
EMPTY = "-"
#: An ordinary text that belongs to nobody. What refuses it is at fault, and no other text is blamed. It is of ordinary
#: length, so that an embedder that takes only short texts refuses it too.
CONTROL_TEXT = "Every text of ordinary length should be accepted as this one is. " * 12
#: The weight of each previous message in the vector, the nearest first.
CONTEXT_WEIGHTS = (0.5, 0.25)
#: From this cosine on, two vectors count as equal: an int8 model rounds a text differently in different batches.
SAME_COSINE = 0.99

#: The words of a row or of a question: term weights (recipe 3), or stems joined by spaces for Milvus' BM25 (recipe 2).
Words = SparseVector | str


@dataclass(frozen=True, slots=True)
class Told:
    """A memory as a recipe reads it."""

    own: Said
    #: When it was said (a timestamp).
    created_at: str
    #: The messages before it that stand in its row, the oldest first. For an extracted fact, its sources.
    previous: tuple[Said, ...] = ()
    #: The message after it in the same add.
    following: Said | None = None
    #: Names known in its scope, which its vector leaves out. None for a message: those of its speakers are enough.
    known: NameSet = NO_NAMES


class Recipe(Protocol):
    """Makes rows of memories, and compares questions with rows."""

    @property
    def version(self) -> int:
        """Its number in the name of a collection."""

    @property
    def knows_speakers(self) -> bool:
        """Whether it takes the names of speakers out of texts and questions."""

    def texts(self, told: Told) -> list[str]:
        """The texts of which `combine` makes the vector: the memory's own, then those of its context, nearest first."""

    def row(self, told: Told) -> tuple[Words, int]:
        """The words of the memory's row, and what else of it counts in its score, as one number."""

    def query_words(self, question: str) -> Words:
        """The words to search by; empty if the question has none."""

    def probe(self, text: str) -> Words:
        """Words by which a search must find a row with this text, to see whether it finds anything."""

    def query_text(self, question: str, names: NameSet) -> str:
        """The text whose vector stands for the question, if these names are known in its scope."""

    def scorer(self, question: str, *, reference: date, agent_alone: bool) -> Scorer:
        """Scores rows for the question, asked on the day `reference`; `agent_alone`: of an agent's memories only."""

    def matches(self, asked: Words, rows: Sequence[Words]) -> list[float]:
        """How well the words of each row match, as the index scores them."""


def is_short(text: str) -> bool:
    """Whether the text is indexed with its context."""
    return len(text) < SHORT_TEXT_CHARS


def embedded(text: str) -> str:
    """As much of a text as its vector is made of."""
    return text[:LONG_TEXT_CHARS] if text.strip() else EMPTY


def embedding_texts(text: str, previous: Sequence[str]) -> list[str]:
    """The texts that represent a memory: the text itself, then the messages before it, the nearest first.

    Each is embedded separately, so that a message has the same vector as context and as a memory of its own. Texts
    joined with their context were not found better (recall@10 on LoCoMo: 0.801 joined, 0.800 separate) and cost twice
    the tokens.
    """
    if not text.strip() or not is_short(text):
        return [embedded(text)]
    said = [embedded(message) for message in reversed(previous) if message.strip()]
    return [text, *said[: len(CONTEXT_WEIGHTS)]]


def combine(vectors: Sequence[Sequence[float]]) -> list[float]:
    """The vector of a memory: the weighted sum of the vectors of its texts, scaled to norm 1.

    If the sum is zero, the result is the text's own vector.
    """
    if len(vectors) == 1:
        return list(vectors[0])
    total = vectors[0]
    for weight, vector in zip(CONTEXT_WEIGHTS, vectors[1:], strict=False):
        total = [mine + weight * theirs for mine, theirs in zip(total, vector, strict=True)]
    norm = math.hypot(*total)
    return [value / norm for value in total] if norm else list(vectors[0])


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine of two vectors of the same dimension; 0.0 when one of them is zero."""
    norms = math.hypot(*one) * math.hypot(*other)
    return sum(map(mul, one, other)) / norms if norms else 0.0


def is_same_vector(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether both are vectors of the same text by the same model."""
    return len(one) == len(other) and (list(one) == list(other) or cosine(one, other) >= SAME_COSINE)
