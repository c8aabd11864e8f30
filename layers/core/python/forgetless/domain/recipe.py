"""The index recipe: which texts represent a memory in the index. A change needs a new version and collection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul

from forgetless.domain.said import LONG_TEXT_CHARS, SHORT_TEXT_CHARS

__all__ = [
    "CONTROL_TEXT",
    "RECIPES",
    "RECIPE_VERSION",
    "combine",
    "cosine",
    "embedding_texts",
    "is_same_vector",
    "is_short",
    "word_text",
]

#: Part of the collection's name, so that rows of two recipes never mix.
RECIPE_VERSION = 2
#: The recipes that can still be served, the oldest first.
RECIPES = (RECIPE_VERSION,)

#: How much of each previous message counts for the words.
CONTEXT_CHARS = 200
#: How often a short text is repeated among its words, so that its context does not outweigh it.
TEXT_WEIGHT = 3
#: Replaces a text that is empty, because embedding services refuse empty input.
EMPTY = "-"
#: An ordinary text that belongs to nobody. What refuses it is at fault, and no other text is blamed. It is of ordinary
#: length, so that an embedder that takes only short texts refuses it too.
CONTROL_TEXT = "Every text of ordinary length should be accepted as this one is. " * 12
#: The weight of each previous message in the vector, the nearest first. As many messages count for the words.
CONTEXT_WEIGHTS = (0.5, 0.25)
#: From this cosine on, two vectors count as equal: an int8 model rounds a text differently in different batches.
SAME_COSINE = 0.99


def is_short(text: str) -> bool:
    """Whether the text is indexed with its context."""
    return len(text) < SHORT_TEXT_CHARS


def embedding_texts(text: str, previous: Sequence[str]) -> list[str]:
    """The texts whose vectors `combine` combines: the text itself, then the messages before it, the nearest first.

    Each is embedded separately, so that a message has the same vector as context and as a memory of its own. Texts
    joined with their context were not found better (recall@10 on LoCoMo: 0.801 joined, 0.800 separate) and cost twice
    the tokens.
    """
    if not text.strip():
        return [EMPTY]
    if not is_short(text):
        return [text[:LONG_TEXT_CHARS]]
    said = [message[:LONG_TEXT_CHARS] for message in reversed(previous) if message.strip()]
    return [text, *said[: len(CONTEXT_WEIGHTS)]]


def word_text(text: str, previous: Sequence[str]) -> str:
    """The text whose words BM25 indexes."""
    if not is_short(text):
        return text[:LONG_TEXT_CHARS]
    recent = [message[:CONTEXT_CHARS] for message in previous[-len(CONTEXT_WEIGHTS) :]]
    return "\n".join([*[text] * TEXT_WEIGHT, *recent])


def combine(vectors: Sequence[Sequence[float]]) -> list[float]:
    """The vector of a memory: the weighted sum of the vectors of its `embedding_texts`, scaled to norm 1.

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
