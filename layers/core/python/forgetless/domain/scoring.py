"""Scores: absolute and in 0..1, so that a threshold means something whatever else was found."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BM25_MIDPOINT", "Candidate", "fuse", "saturate"]

#: The BM25 score that counts one half; about what two rare words give.
BM25_MIDPOINT = 10.0
#: The share of the words in the score: exact identifiers must win against similar texts.
WORD_WEIGHT = 0.5


@dataclass(slots=True)
class Candidate:
    """One row that a retriever found, with what each retriever says of it (0 and None: not found)."""

    memory_id: str
    version: int
    cosine: float = 0.0
    bm25: float = 0.0
    dense_rank: int | None = None
    bm25_rank: int | None = None

    @property
    def score(self) -> float:
        """The fused score in 0..1."""
        return fuse(self.cosine, self.bm25)


def saturate(bm25: float) -> float:
    """A BM25 score in 0..1; it softens what other tenants' rows do to BM25's statistics."""
    return bm25 / (bm25 + BM25_MIDPOINT) if bm25 > 0 else 0.0


def fuse(cosine: float, bm25: float) -> float:
    """(1 - w) · max(0, cosine) + w · b / (b + c)."""
    # Written out: hundreds of rows are scored for each search, and calls cost more than the sum.
    score = (1 - WORD_WEIGHT) * cosine if cosine > 0.0 else 0.0
    if bm25 > 0.0:
        score += WORD_WEIGHT * bm25 / (bm25 + BM25_MIDPOINT)
    return score if score < 1.0 else 1.0
