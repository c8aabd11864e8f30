"""Candidates: the rows that the two retrievers found, each with one score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from forgetless.domain.scoring import Scorer
from forgetless.ports.index import Hit

__all__ = ["Candidate", "Candidates"]


@dataclass(slots=True)
class Candidate:
    """One row, with what each retriever says of it (0 and no rank if it did not find the row), and its score so far."""

    memory_id: str
    version: int
    signals: int
    #: What its signals add to its score, and its time as a number.
    added: float
    time: int
    cosine: float = 0.0
    words: float = 0.0
    dense_rank: int | None = None
    word_rank: int | None = None
    score: float = 0.0


class Candidates:
    """Rows by (memory id, version). A repeated hit counts once, at its best rank."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._score = scorer.score
        self._rows: dict[tuple[str, int], Candidate] = {}

    def add_near(self, hits: Sequence[Hit]) -> None:
        """Add hits of a search by vector, best first. If there are several such searches, the best hit counts."""
        for rank, hit in enumerate(hits, 1):
            row = self._row(hit)
            if row.dense_rank is None or hit.score > row.cosine:
                row.cosine, row.dense_rank = hit.score, rank
                row.score = self._score(row.cosine, row.words, row.added)

    def add_worded(self, hits: Sequence[Hit]) -> None:
        """Add hits of the search by words, best first."""
        for rank, hit in enumerate(hits, 1):
            row = self._row(hit)
            if row.word_rank is None:
                row.words, row.word_rank = hit.score, rank
                row.score = self._score(row.cosine, row.words, row.added)

    def add(self, hit: Hit, *, words: float) -> None:
        """Add a row of which both is known: its cosine (the hit's score), and how well its words match."""
        row = self._row(hit)
        row.cosine, row.words = hit.score, words
        row.score = self._score(row.cosine, row.words, row.added)

    def complete_near(self, hits: Iterable[Hit]) -> None:
        """Set the cosines of rows that only the search by words found."""
        for hit in hits:
            if (row := self._rows.get((hit.memory_id, hit.version))) and row.dense_rank is None:
                row.cosine = hit.score
                row.score = self._score(row.cosine, row.words, row.added)

    def complete_worded(self, hits: Iterable[Hit]) -> None:
        """Set how well the words match of rows that only the search by vector found."""
        for hit in hits:
            if (row := self._rows.get((hit.memory_id, hit.version))) and row.word_rank is None:
                row.words = hit.score
                row.score = self._score(row.cosine, row.words, row.added)

    def without_cosine(self, *, places: int, below: float) -> list[tuple[str, int]]:
        """Rows with unknown cosine that a cosine of at most `below` could still raise into the first `places`."""
        floor, score = self._floor(places), self._score
        return [
            key
            for key, row in self._rows.items()
            if row.dense_rank is None and score(below, row.words, row.added) >= floor
        ]

    def without_words(self, *, places: int, below: float) -> list[tuple[str, int]]:
        """Rows with unknown words that a match of at most `below` could still raise into the first `places`."""
        floor, score = self._floor(places), self._score
        return [
            key
            for key, row in self._rows.items()
            if row.word_rank is None and score(row.cosine, below, row.added) >= floor
        ]

    def ranked(self) -> list[Candidate]:
        """All rows, best first. Equal scores are ordered by time, the newest first, and then by id."""
        rows = list(self._rows.values())
        # Sorting keeps the order of what is equal, and three sorts by one attribute cost less than one by a tuple.
        rows.sort(key=attrgetter("memory_id"))
        rows.sort(key=attrgetter("time"), reverse=True)
        rows.sort(key=attrgetter("score"), reverse=True)
        return rows

    def _floor(self, places: int) -> float:
        """The present score of the row at rank `places`; scores still unknown can only raise it."""
        scores = sorted((row.score for row in self._rows.values()), reverse=True)
        return scores[places - 1] if len(scores) >= places else 0.0

    def _row(self, hit: Hit) -> Candidate:
        key = (hit.memory_id, hit.version)
        row = self._rows.get(key)
        if row is None:
            added, time = self._scorer.added(hit.signals), self._scorer.time(hit.signals)
            row = self._rows[key] = Candidate(hit.memory_id, hit.version, hit.signals, added, time)
        return row
