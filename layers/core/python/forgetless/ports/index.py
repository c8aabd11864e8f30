"""The index port: finds ids by vector and by words; it never has the last word.

Every method may raise IndexUnavailableError, or IndexDamagedError when it answers but cannot read its own data. Rows
are immutable: their key is memory id and version. Repeating an insert may leave doubles, which `IndexHits` readers
ignore (deduplicate by memory id) and `drop` removes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from forgetless.domain.filters.ast import Filter
from forgetless.domain.memory import Memory

__all__ = ["Hit", "Index", "IndexRow", "RequestIndex"]


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One version of a memory as the index holds it: its scope and metadata, its vector and its BM25 words."""

    memory: Memory
    vector: Sequence[float]
    words: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A found row: cosine (dense) or the positive BM25 score (words)."""

    memory_id: str
    version: int
    score: float


class RequestIndex(Protocol):
    """What serving a request needs of a collection, which is for one embedding model, dimension and recipe."""

    def insert(self, rows: Sequence[IndexRow]) -> None:
        """Add rows; visible to the next search."""

    def drop(self, tenant: str, keys: Sequence[tuple[str, int]]) -> None:
        """Remove these (memory id, version) rows, doubles too; unknown ones are ignored."""

    def drop_older(self, tenant: str, memories: Sequence[Memory]) -> None:
        """Remove each memory's rows of versions below the one given (of all versions when it is not live)."""

    def search_vector(self, tenant: str, vector: Sequence[float], where: Filter, limit: int) -> list[Hit]:
        """Up to `limit` rows by cosine, best first, of a superset of what `where` matches: the caller filters again."""

    def search_words(self, tenant: str, words: str, where: Filter, limit: int) -> list[Hit]:
        """The same by BM25 over prepared words (joined by spaces); empty words find nothing."""

    def score_vector(self, tenant: str, vector: Sequence[float], keys: Sequence[tuple[str, int]]) -> list[Hit]:
        """The cosines of just these rows; those that do not exist are left out."""

    def score_words(self, tenant: str, words: str, keys: Sequence[tuple[str, int]]) -> list[Hit]:
        """The BM25 scores of just these rows; those without a common word may be left out."""

    def vectors(self, tenant: str, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], list[float]]:
        """The vectors of those rows that exist (a change of metadata alone reuses them)."""


class Index(RequestIndex, Protocol):
    """All of it: also what concerns every row of a tenant or of all, for sweep, `check` and `reindex`."""

    def drop_all(self, tenant: str | None = None) -> None:
        """Remove every row of the tenant, or everything."""

    def held(self, tenant: str, keys: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
        """Those of these rows that exist."""

    def unchanged(self, tenant: str, rows: Sequence[IndexRow]) -> set[tuple[str, int]]:
        """Those of these rows that it holds just as given, and once: writing them again would change nothing."""

    def count(self, tenant: str | None = None) -> int:
        """How many rows the tenant has (or all tenants), doubles counted as often as they are there."""

    def keys(self, tenant: str, *, limit: int, beyond: str = "") -> list[tuple[str, int]]:
        """Up to `limit` rows of the tenant whose memory id sorts at or behind `beyond`, in no order; for samples."""

    def ping(self) -> None:
        """Raise IndexUnavailableError unless it answers now."""

    def close(self) -> None:
        """Release the connection."""
