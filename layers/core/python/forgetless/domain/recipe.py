"""The index recipe: which texts stand for a memory in the index. A new recipe is a new version and collection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul

__all__ = [
    "RECIPE_VERSION",
    "combine",
    "cosine",
    "embedding_texts",
    "is_same_vector",
    "is_short",
    "word_text",
]

#: Part of the collection's name: rows of two recipes never mix.
RECIPE_VERSION = 2

#: A shorter text takes its meaning from what was said just before.
SHORT_TEXT_CHARS = 350
#: What counts of a long text.
LONG_TEXT_CHARS = 1200
#: What counts of each previous message for the words.
CONTEXT_CHARS = 200
#: How often a short text stands in its own words, so that context does not drown it.
TEXT_WEIGHT = 3
#: What stands for a text without a word: embedding services refuse empty input.
EMPTY = "-"
#: How much each previous message counts for the vector, the nearest first; as many count for the words.
CONTEXT_WEIGHTS = (0.5, 0.25)
#: The cosine from which two vectors count as one: an int8 model rounds a text by what else is in its batch.
SAME_COSINE = 0.99


def is_short(text: str) -> bool:
    """Whether the text is indexed with its context."""
    return len(text) < SHORT_TEXT_CHARS


def embedding_texts(text: str, previous: Sequence[str]) -> list[str]:
    """The texts whose vectors `combine` makes one of: the text, then what was said before it, the nearest first.

    Each stands alone, so that a message is embedded in the same words as context and as a memory of its own: texts
    joined with their context were found no better (recall@10 on LoCoMo .801, these .800) and cost twice the tokens.
    """
    if not text.strip():
        return [EMPTY]
    if not is_short(text):
        return [text[:LONG_TEXT_CHARS]]
    said = [message[:LONG_TEXT_CHARS] for message in reversed(previous) if message.strip()]
    return [text, *said[: len(CONTEXT_WEIGHTS)]]


def word_text(text: str, previous: Sequence[str]) -> str:
    """The text whose words BM25 sees."""
    if not is_short(text):
        return text[:LONG_TEXT_CHARS]
    recent = [message[:CONTEXT_CHARS] for message in previous[-len(CONTEXT_WEIGHTS) :]]
    return "\n".join([*[text] * TEXT_WEIGHT, *recent])


def combine(vectors: Sequence[Sequence[float]]) -> list[float]:
    """The vector of a memory from those of its `embedding_texts`: their weighted sum at norm 1.

    A sum without direction gives the text's own vector.
    """
    if len(vectors) == 1:
        return list(vectors[0])
    total = vectors[0]
    for weight, vector in zip(CONTEXT_WEIGHTS, vectors[1:], strict=False):
        total = [mine + weight * theirs for mine, theirs in zip(total, vector, strict=True)]
    norm = math.hypot(*total)
    return [value / norm for value in total] if norm else list(vectors[0])


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine of two vectors of the same length; 0.0 when one of them is zero."""
    norms = math.hypot(*one) * math.hypot(*other)
    return sum(map(mul, one, other)) / norms if norms else 0.0


def is_same_vector(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether both are vectors of the same text by the same model."""
    return len(one) == len(other) and (list(one) == list(other) or cosine(one, other) >= SAME_COSINE)
