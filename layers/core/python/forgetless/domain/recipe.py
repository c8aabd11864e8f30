"""The index recipe: which texts stand for a memory in the index. A new recipe is a new version and collection."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["RECIPE_VERSION", "combine", "embedding_texts", "is_short", "word_text"]

#: Part of the collection's name: rows of two recipes never mix.
RECIPE_VERSION = 1

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
#: How many previous messages count.
PREVIOUS_MESSAGES = 2


def is_short(text: str) -> bool:
    """Whether the text is indexed with its context."""
    return len(text) < SHORT_TEXT_CHARS


def embedding_texts(text: str, previous: Sequence[str]) -> list[str]:
    """The texts whose vectors are averaged: the text, then with one and with two previous messages (oldest first)."""
    if not text.strip():
        return [EMPTY]
    if not is_short(text):
        return [text[:LONG_TEXT_CHARS]]
    recent = [message[-LONG_TEXT_CHARS:] for message in previous[-PREVIOUS_MESSAGES:]]
    return [text, *("\n".join([*recent[-count:], text]) for count in range(1, len(recent) + 1))]


def word_text(text: str, previous: Sequence[str]) -> str:
    """The text whose words BM25 sees."""
    if not is_short(text):
        return text[:LONG_TEXT_CHARS]
    recent = [message[:CONTEXT_CHARS] for message in previous[-PREVIOUS_MESSAGES:]]
    return "\n".join([*[text] * TEXT_WEIGHT, *recent])


def combine(vectors: Sequence[Sequence[float]]) -> list[float]:
    """The normalised mean of vectors of norm 1 (a zero mean stays as the first vector)."""
    if len(vectors) == 1:
        return list(vectors[0])
    total = [math.fsum(column) for column in zip(*vectors, strict=True)]
    norm = math.sqrt(math.fsum(value * value for value in total))
    return [value / norm for value in total] if norm else list(vectors[0])
