"""BM25 over prepared words, for an index in memory and for past texts that the index no longer holds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

__all__ = ["Bm25"]

_K1 = 1.2
_B = 0.75


class Bm25:
    """Computes the statistics of some documents (words joined by spaces) and scores documents with them."""

    def __init__(self, documents: Iterable[str]) -> None:
        counts = [Counter(document.split()) for document in documents]
        self._documents = len(counts)
        self._mean_length = sum(one.total() for one in counts) / len(counts) if counts else 0.0
        self._holding = Counter(word for one in counts for word in one)

    def score(self, words: Mapping[str, int], document: str) -> float:
        """How well a document matches the words, each with its number; 0 when they have no word in common."""
        counts = Counter(document.split())
        length = _K1 * (1 - _B + _B * counts.total() / self._mean_length) if self._mean_length else _K1
        return sum(
            wanted * self._idf(word) * counts[word] * (_K1 + 1) / (counts[word] + length)
            for word, wanted in words.items()
            if counts[word]
        )

    def _idf(self, word: str) -> float:
        holding = self._holding[word]
        return math.log(1 + (self._documents - holding + 0.5) / (holding + 0.5))
