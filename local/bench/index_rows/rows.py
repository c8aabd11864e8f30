"""Rows for an index of any size: random directions as vectors, and words as frequent as those of a language."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from forgetless.domain.memory import Memory
from forgetless.domain.recipe import Words
from forgetless.domain.scope import Scope
from forgetless.domain.sparse_words import RESERVED_ID, term_id
from forgetless.domain.word_weights import UNKNOWN_WEIGHT
from forgetless.ports.index import IndexRow

__all__ = ["PORTION", "USERS", "Rows"]

#: Rows that are made and inserted at once.
PORTION = 200
#: Users of one tenant, in equal parts.
USERS = 1_000
#: Words of a row and of a question, and the words that there are: the nth of them is 1/n as frequent as the first.
_OF_A_ROW, _OF_A_QUESTION, _WORDS = 12, 5, 30_000
_AT = "2026-01-01T00:00:00.000000+00:00"


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of an index with so many tenants. Each number is always the same row."""

    tenants: int
    dimensions: int

    def __str__(self) -> str:
        return "one tenant" if self.tenants == 1 else f"{self.tenants:,} tenants"

    def tenant(self, number: int) -> str:
        """Return whose row it is."""
        return f"tenant-{number % self.tenants}"

    def user(self, number: int) -> str:
        """Return the user within the tenant."""
        return f"user-{number // self.tenants % USERS}"

    def numbered(self, numbers: range) -> Iterator[IndexRow]:
        """Return these rows, which are of one portion."""
        for number, vector in zip(numbers, self._vectors(numbers).tolist(), strict=True):
            scope = Scope(self.tenant(number), user_id=self.user(number))
            name = _name(number)
            memory = Memory(name, 1, scope, "", created_at=_AT, updated_at=_AT, job_id=name)
            yield IndexRow(memory, vector, {RESERVED_ID: 1.0, **_words(random.Random(number), _OF_A_ROW)})

    def questions(self, count: int) -> Iterator[tuple[Sequence[float], Words]]:
        """Return vectors and words to search by."""
        chance = random.Random(-1)
        for vector in self._vectors(range(-count, 0)).tolist():
            yield vector, dict.fromkeys(_words(chance, _OF_A_QUESTION), UNKNOWN_WEIGHT / 2)

    def nearest(self, vectors: Sequence[Sequence[float]], count: int, best: int) -> list[set[str]]:
        """Return the ids of the first tenant's rows nearest to each vector, among so many rows, by comparing all."""
        asked = np.array(vectors, np.float32)
        scores, numbers = np.empty((len(asked), 0), np.float32), np.empty(0, np.int64)
        for start in range(0, count, PORTION):
            portion = np.arange(start, min(count, start + PORTION))
            mine = portion % self.tenants == 0
            scores = np.hstack([scores, asked @ self._vectors(range(start, portion[-1] + 1))[mine].T])
            numbers = np.concatenate([numbers, portion[mine]])
            if len(numbers) > _KEPT:
                kept = np.unique(np.argsort(-scores, axis=1)[:, :best])
                scores, numbers = scores[:, kept], numbers[kept]
        return [{_name(numbers[place]) for place in np.argsort(-row)[:best]} for row in scores]

    def _vectors(self, numbers: range) -> NDArray[np.float32]:
        """Return the vectors of numbers of one portion, which is drawn as a whole."""
        first = numbers.start // PORTION * PORTION
        draw = np.random.default_rng(first % 2**32).standard_normal((PORTION, self.dimensions), np.float32)
        draw = draw[numbers.start - first : numbers.stop - first]
        vectors: NDArray[np.float32] = draw / np.linalg.norm(draw, axis=1, keepdims=True)
        return vectors


def _name(number: int) -> str:
    return str(uuid.UUID(int=int(number)))


#: Rows that `nearest` holds before it drops those that are no longer among the best.
_KEPT = 4 * PORTION
_CUMULATED = list(accumulate(1 / place for place in range(1, _WORDS + 1)))
_TERMS = [term_id(f"word{place}") for place in range(_WORDS)]


def _words(chance: random.Random, count: int) -> dict[int, float]:
    return dict.fromkeys(chance.choices(_TERMS, cum_weights=_CUMULATED, k=count), 1.0)
