"""Candidates: the rows that the two retrievers found, each with one score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from forgetless.domain.memory import VersionKey
from forgetless.domain.scoring import Scorer
from forgetless.ports.index import Hit

__all__ = ["Candidate", "Candidates"]

_SCORE = attrgetter("score")


@dataclass(slots=True)
class Candidate:
    """One row, with what each retriever says of it (0 and no rank if it did not find the row), and its score so far."""

    #: The first hit of it, which says which row it is.
    hit: Hit
    cosine: float = 0.0
    words: float = 0.0
    dense_rank: int | None = None
    word_rank: int | None = None
    #: What its signals add to its score.
    added: float = 0.0
    score: float = 0.0

    @property
    def memory_id(self) -> str:
        return self.hit.memory_id

    @property
    def version(self) -> int:
        return self.hit.version

    @property
    def key(self) -> VersionKey:
        """The version that the row is of."""
        return self.hit.memory_id, self.hit.version

    @property
    def signals(self) -> int:
        return self.hit.signals


class Candidates:
    """Rows by (memory id, version). A repeated hit counts once, at its best rank.

    There are hundreds in each search, so they are scored together, when a score is asked for.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._rows: dict[tuple[str, int], Candidate] = {}
        #: The rows whose signals have not been read yet.
        self._new: list[Candidate] = []
        #: Whether a score may be out of date.
        self._changed = False
        #: The scores of all rows, the best first.
        self._scores: list[float] = []

    def add_near(self, hits: Sequence[Hit]) -> None:
        """Add hits of a search by vector, best first. If there are several such searches, the best hit counts."""
        for rank, (hit, row) in enumerate(zip(hits, self._rows_of(hits), strict=True), 1):
            if row.dense_rank is None or hit.score > row.cosine:
                row.cosine, row.dense_rank = hit.score, rank

    def add_worded(self, hits: Sequence[Hit]) -> None:
        """Add hits of the search by words, best first."""
        for rank, (hit, row) in enumerate(zip(hits, self._rows_of(hits), strict=True), 1):
            if row.word_rank is None:
                row.words, row.word_rank = hit.score, rank

    def add(self, hit: Hit, *, words: float) -> None:
        """Add a row of which both is known: its cosine (the hit's score), and how well its words match."""
        row = self._rows_of([hit])[0]
        row.cosine, row.words = hit.score, words

    def complete_near(self, hits: Iterable[Hit]) -> None:
        """Set the cosines of rows that only the search by words found."""
        for hit in hits:
            if (row := self._rows.get((hit.memory_id, hit.version))) and row.dense_rank is None:
                row.cosine, self._changed = hit.score, True

    def complete_worded(self, hits: Iterable[Hit]) -> None:
        """Set how well the words match of rows that only the search by vector found."""
        for hit in hits:
            if (row := self._rows.get((hit.memory_id, hit.version))) and row.word_rank is None:
                row.words, self._changed = hit.score, True

    def without_cosine(self, *, places: int, below: float) -> list[tuple[str, int]]:
        """Rows with unknown cosine that a cosine of at most `below` could still raise into the first `places`."""
        unknown = [row for row in self._scored() if row.dense_rank is None]
        highest = self._scorer.scores([(below, row.words, row.added) for row in unknown])
        return self._reaching(places, unknown, highest)

    def without_words(self, *, places: int, below: float) -> list[tuple[str, int]]:
        """Rows with unknown words that a match of at most `below` could still raise into the first `places`."""
        unknown = [row for row in self._scored() if row.word_rank is None]
        highest = self._scorer.scores([(row.cosine, below, row.added) for row in unknown])
        return self._reaching(places, unknown, highest)

    def ranked(self) -> list[Candidate]:
        """All rows, best first. Equal scores are ordered by time, the newest first, and then by id."""
        rows, time = self._scored(), self._scorer.time
        rows.sort(key=_SCORE, reverse=True)
        if len(set(self._scores)) == len(rows):
            return rows
        # Few scores are equal, so only the rows that have them are compared by more.
        equal = (list(run) for _, run in groupby(rows, key=_SCORE))
        return [
            row
            for run in equal
            for row in (sorted(run, key=lambda row: (-time(row.signals), row.memory_id)) if len(run) > 1 else run)
        ]

    def _rows_of(self, hits: Sequence[Hit]) -> list[Candidate]:
        """The rows of the hits; those that are new are added."""
        known, found = self._rows, []
        for hit in hits:
            key = (hit.memory_id, hit.version)
            row = known.get(key)
            if row is None:
                row = known[key] = Candidate(hit)
                self._new.append(row)
            found.append(row)
        self._changed = True
        return found

    def _scored(self) -> list[Candidate]:
        """All rows, with the scores that they have now."""
        rows = list(self._rows.values())
        if self._changed:
            for row, added in zip(self._new, self._scorer.added([row.hit.signals for row in self._new]), strict=True):
                row.added = added
            scores = self._scorer.scores([(row.cosine, row.words, row.added) for row in rows])
            for row, score in zip(rows, scores, strict=True):
                row.score = score
            self._new, self._changed, self._scores = [], False, sorted(scores, reverse=True)
        return rows

    def _reaching(self, places: int, rows: Iterable[Candidate], highest: Iterable[float]) -> list[tuple[str, int]]:
        """The keys of the rows whose highest possible score reaches that of the row at rank `places`.

        That row can only rise when scores that are still unknown become known.
        """
        floor = self._scores[places - 1] if len(self._scores) >= places else 0.0
        return [row.key for row, most in zip(rows, highest, strict=True) if most >= floor]
