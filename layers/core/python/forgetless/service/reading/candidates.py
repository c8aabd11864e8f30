"""Candidates: the rows that the two retrievers found, each with one combined score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from forgetless.domain.scoring import Candidate, fuse
from forgetless.ports.index import Hit

__all__ = ["Candidates"]


class Candidates:
    """Rows by (memory id, version). A repeated hit counts once, at its best rank."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, int], Candidate] = {}

    def add_near(self, hits: Sequence[Hit]) -> None:
        """Add hits of the dense retriever, best first."""
        for rank, hit in enumerate(hits, 1):
            row = self._row(hit)
            if row.dense_rank is None:
                row.cosine, row.dense_rank = hit.score, rank

    def add_worded(self, hits: Sequence[Hit]) -> None:
        """Add hits of BM25, best first."""
        for rank, hit in enumerate(hits, 1):
            row = self._row(hit)
            if row.bm25_rank is None:
                row.bm25, row.bm25_rank = hit.score, rank

    def complete_near(self, hits: Iterable[Hit]) -> None:
        """Set the cosines of rows that only BM25 found."""
        for hit in hits:
            if (row := self._rows.get((hit.memory_id, hit.version))) and row.dense_rank is None:
                row.cosine = hit.score

    def complete_worded(self, hits: Iterable[Hit]) -> None:
        """Set the BM25 scores of rows that only the dense retriever found."""
        for hit in hits:
            if (row := self._rows.get((hit.memory_id, hit.version))) and row.bm25_rank is None:
                row.bm25 = hit.score

    def without_cosine(self, *, places: int, below: float) -> list[tuple[str, int]]:
        """Rows with unknown cosine that a cosine of at most `below` could still raise into the first `places`."""
        floor = self._floor(places)
        return [key for key, row in self._rows.items() if row.dense_rank is None and fuse(below, row.bm25) >= floor]

    def without_bm25(self, *, places: int, below: float) -> list[tuple[str, int]]:
        """Rows with unknown BM25 score that a score of at most `below` could still raise into the first `places`."""
        floor = self._floor(places)
        return [key for key, row in self._rows.items() if row.bm25_rank is None and fuse(row.cosine, below) >= floor]

    def _floor(self, places: int) -> float:
        """The present score of the row at rank `places`; scores still unknown can only raise it."""
        scores = sorted((row.score for row in self._rows.values()), reverse=True)
        return scores[places - 1] if len(scores) >= places else 0.0

    def ranked(self) -> list[Candidate]:
        """All rows, best first; ties are ordered by id, so that the same search gives the same order."""
        return sorted(self._rows.values(), key=lambda row: (-row.score, row.memory_id))

    def _row(self, hit: Hit) -> Candidate:
        key = (hit.memory_id, hit.version)
        return self._rows.setdefault(key, Candidate(hit.memory_id, hit.version))
