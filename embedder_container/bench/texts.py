"""Generates random texts of known length: short ones, and a mix as in conversations."""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["MIXES", "Text", "words"]

Text = Callable[[random.Random], str]

#: Words of one token each for the models that are measured here.
WORDS = (
    *("the", "of", "and", "to", "in", "is", "you", "that", "it", "he", "was", "for", "on", "are", "as", "with"),
    *("they", "at", "be", "this", "have", "from", "or", "one", "had", "by", "word", "but", "not", "what", "all"),
    *("were", "we", "when", "your", "can", "said", "there", "use", "each", "which", "she", "do", "how", "their"),
    *("will", "other", "about", "many", "then", "them", "so", "some", "her", "would", "make", "like", "time"),
)


def words(source: random.Random, number: int) -> str:
    """Return a text of ``count`` words of one token each."""
    return " ".join(source.choices(WORDS, k=number))


def _short(source: random.Random) -> str:
    return words(source, source.randint(14, 24))


def _mixed(source: random.Random) -> str:
    # Median about 35 tokens, mean about 60, a long tail up to the model's limit.
    return words(source, max(2, min(250, int(source.lognormvariate(3.5, 1.05)))))


MIXES: dict[str, Text] = {"short": _short, "mixed": _mixed}
