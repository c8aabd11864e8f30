"""The index port: finds ids by vector and by words. The ledger always confirms what it finds.

Every method may raise IndexUnavailableError, or IndexDamagedError when the index answers but cannot read its own data.
Rows are immutable: their key is the memory id and version. Repeating an insert may leave duplicate rows. Callers that
read hits ignore them (they deduplicate by memory id), and `drop` removes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from forgetless.domain.filters.ast import Filter
from forgetless.domain.memory import Memory
from forgetless.domain.recipe import Words

__all__ = ["Hit", "Index", "IndexRow", "RequestIndex"]


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One version of a memory in the index: its scope and metadata, and what the recipe made of it."""

    memory: Memory
    #: Empty if the embedder refuses the memory's text: no search finds the row by meaning, its cosine is always 0.
    vector: Sequence[float]
    words: Words
    #: What else counts in its score. Searches return it unread.
    signals: int = 0


@dataclass(frozen=True, slots=True)
class Hit:
    """A row that was found, with its cosine (search by vector), or how well its words match (search by words)."""

    memory_id: str
    version: int
    score: float
    signals: int = 0


class RequestIndex(Protocol):
    """What requests need from a collection. A collection is for one embedding model, dimension and recipe."""

    def insert(self, rows: Sequence[IndexRow]) -> None:
        """Add rows; the next search sees them. Raises IndexRefusedError if at least one of them cannot be stored."""

    def drop(self, tenant: str, keys: Sequence[tuple[str, int]]) -> None:
        """Remove the rows with these (memory id, version) keys, including duplicates; unknown keys are ignored."""

    def drop_older(self, tenant: str, memories: Sequence[Memory]) -> None:
        """Remove the rows of each memory with older versions than the given one (all its rows if it is not live)."""

    def search_vector(self, tenant: str, vector: Sequence[float], where: Filter, limit: int) -> list[Hit]:
        """Up to `limit` rows by cosine, the best first. Rows that `where` excludes may be among them: filter again."""

    def search_vectors(
        self, tenant: str, vectors: Sequence[Sequence[float]], where: Filter, limit: int
    ) -> list[list[Hit]]:
        """`search_vector` for each of several vectors, in one call."""

    def search_words(self, tenant: str, words: Words, where: Filter, limit: int) -> list[Hit]:
        """The same by words: by the inner product of term weights, or by BM25 for stems joined by spaces (recipe 2).

        Only rows with a common word are found; empty `words` find nothing.
        """

    def score_vector(self, tenant: str, vector: Sequence[float], keys: Sequence[tuple[str, int]]) -> list[Hit]:
        """The cosines of exactly these rows; rows that do not exist are left out."""

    def score_words(self, tenant: str, words: Words, keys: Sequence[tuple[str, int]]) -> list[Hit]:
        """The scores of `search_words` of exactly these rows; rows without a common word may be left out."""

    def vectors(self, tenant: str, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], list[float]]:
        """The vectors of those rows that exist, empty for a row without one. A change of metadata alone reuses them."""


class Index(RequestIndex, Protocol):
    """The whole port: also what concerns all rows of one or all tenants, for sweep, `check` and `reindex`."""

    def drop_all(self, tenant: str | None = None) -> None:
        """Remove every row of the tenant, or of all tenants."""

    def held(self, tenant: str, keys: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
        """Those of these rows that exist."""

    def unchanged(self, tenant: str, rows: Sequence[IndexRow]) -> set[tuple[str, int]]:
        """Those of these rows that exist exactly as given and only once, so that writing them would change nothing."""

    def exists(self) -> bool:
        """Whether it was ever written to or searched: its collection is there."""

    def count(self, tenant: str | None = None) -> int:
        """The number of rows of the tenant (or of all tenants), including duplicates."""

    def keys(self, tenant: str, *, limit: int, beyond: str = "") -> list[tuple[str, int]]:
        """Up to `limit` keys of the tenant's rows with memory ids from `beyond` on, in no order; for samples."""

    def ping(self) -> None:
        """Raise IndexUnavailableError unless it answers now."""

    def close(self) -> None:
        """Release the connection."""
