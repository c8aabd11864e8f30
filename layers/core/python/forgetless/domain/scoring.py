"""Scores from 0 to 1. A score does not depend on the other results, so a threshold has a fixed meaning."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BM25_MIDPOINT", "DEFAULT_THRESHOLD", "Candidate", "fuse", "saturate"]

#: The BM25 score that is mapped to one half; about the score of two rare words.
BM25_MIDPOINT = 10.0
#: The weight of the words in the score, so that exact identifiers rank above merely similar texts.
WORD_WEIGHT = 0.5
#: The threshold of a search that names none. mem0's 0.1 acts on the cosine alone, and this is the score of a cosine of
#: 0.1 without a common word. Short memories that share no word with a fitting question often lie below 0.1.
DEFAULT_THRESHOLD = (1 - WORD_WEIGHT) * 0.1


@dataclass(slots=True)
class Candidate:
    """One row that a retriever found, with the score of each retriever (0 or None when it did not find the row)."""

    memory_id: str
    version: int
    cosine: float = 0.0
    bm25: float = 0.0
    dense_rank: int | None = None
    bm25_rank: int | None = None

    @property
    def score(self) -> float:
        """The fused score, from 0 to 1."""
        return fuse(self.cosine, self.bm25)


def saturate(bm25: float) -> float:
    """A BM25 score mapped to 0..1, which reduces the influence of other tenants' rows on BM25's statistics."""
    return bm25 / (bm25 + BM25_MIDPOINT) if bm25 > 0 else 0.0


def fuse(cosine: float, bm25: float) -> float:
    """(1 - w) · max(0, cosine) + w · b / (b + c)."""
    # Written inline: each search scores hundreds of rows, and function calls would cost more than the arithmetic.
    score = (1 - WORD_WEIGHT) * cosine if cosine > 0.0 else 0.0
    if bm25 > 0.0:
        score += WORD_WEIGHT * bm25 / (bm25 + BM25_MIDPOINT)
    return score if score < 1.0 else 1.0
