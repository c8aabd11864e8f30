"""The index port: finds ids by vector and by words. The ledger always confirms what it finds.

Every method may raise IndexUnavailableError, or IndexDamagedError when the index answers but cannot read its own data.
Rows are immutable: their key is the memory id and version. Repeating an insert may leave duplicate rows. Callers that
read hits ignore them (they deduplicate by memory id), and `drop` removes them.

An index has two collections. The first holds the current versions of live memories. The second, `past`, holds the
versions of memories that are not deleted which searches of the present must not meet: earlier ones, and all of a
superseded memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from forgetless.domain.filters.ast import Filter
from forgetless.domain.memory import Memory, VersionKey
from forgetless.domain.moments import Moment, PastTimes
from forgetless.domain.recipe import Words

__all__ = ["Content", "Hit", "Index", "IndexRow", "Key", "Past", "PastMark", "PastRow", "RequestIndex", "RequestPast"]

#: The key of a row.
Key = VersionKey


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One version of a memory in the index: its scope and metadata, and what the recipe made of it."""

    memory: Memory
    #: Empty if the embedder refuses the memory's text: no search finds the row by meaning, its cosine is always 0.
    vector: Sequence[float]
    words: Words
    #: What else counts in its score. Searches return it unread.
    signals: int = 0

    @property
    def content(self) -> Content:
        """All of it that the memory itself does not say."""
        return Content(self.vector, self.words, self.signals)


@dataclass(frozen=True, slots=True)
class Hit:
    """A row that was found, with its cosine (search by vector), or how well its words match (search by words)."""

    memory_id: str
    version: int
    score: float
    signals: int = 0


@dataclass(frozen=True, slots=True)
class Content:
    """What the recipe made of a version: all of its row that the memory itself does not say."""

    vector: Sequence[float]
    words: Words
    signals: int = 0

    def of(self, memory: Memory) -> IndexRow:
        """The row of a version that has this content."""
        return IndexRow(memory, self.vector, self.words, self.signals)


@dataclass(frozen=True, slots=True)
class PastMark:
    """Of a row of the past: its times, and from how many messages of context it was made.

    `made_with` is None if a writer moved it from the first collection, where rows do not say that. Within a version the
    context only shrinks, so another number means that a message was erased whose words are still in the row.
    """

    times: PastTimes
    made_with: int | None


@dataclass(frozen=True, slots=True)
class PastRow:
    """A row of the past."""

    row: IndexRow
    mark: PastMark


class RequestPast(Protocol):
    """What requests need from the collection of the past."""

    def insert(self, rows: Sequence[PastRow]) -> None:
        """As for the first collection."""

    def drop(self, tenant: str, keys: Sequence[Key]) -> None:
        """As for the first collection."""

    def search_vector(
        self, tenant: str, vector: Sequence[float], where: Filter, moment: Moment | None, limit: int
    ) -> list[Hit]:
        """As for the first collection, among the rows that may have held then (None: at any time)."""

    def search_words(self, tenant: str, words: Words, where: Filter, moment: Moment | None, limit: int) -> list[Hit]:
        """As for the first collection, among the rows that may have held then (None: at any time)."""

    def score_vector(self, tenant: str, vector: Sequence[float], keys: Sequence[Key]) -> list[Hit]:
        """As for the first collection."""

    def score_words(self, tenant: str, words: Words, keys: Sequence[Key]) -> list[Hit]:
        """As for the first collection."""

    def contents(self, tenant: str, keys: Sequence[Key]) -> dict[Key, Content]:
        """The contents of those rows that exist."""

    def held(self, tenant: str, keys: Sequence[Key]) -> dict[Key, PastMark]:
        """Those of these rows that exist, with their marks."""


class RequestIndex(Protocol):
    """What requests need from an index. An index is for one embedding model, dimension and recipe."""

    @property
    def past(self) -> RequestPast:
        """The collection of the past."""

    def insert(self, rows: Sequence[IndexRow]) -> None:
        """Add rows; the next search sees them. Raises IndexRefusedError if at least one of them cannot be stored."""

    def drop(self, tenant: str, keys: Sequence[Key]) -> None:
        """Remove the rows with these (memory id, version) keys, including duplicates; unknown keys are ignored."""

    def drop_older(self, tenant: str, memories: Sequence[Memory]) -> None:
        """Remove the rows of each memory with older versions than the given one (all its rows if it is not live).

        Of a deleted memory, remove those of the past as well.
        """

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

    def score_vector(self, tenant: str, vector: Sequence[float], keys: Sequence[Key]) -> list[Hit]:
        """The cosines of exactly these rows; rows that do not exist are left out."""

    def score_words(self, tenant: str, words: Words, keys: Sequence[Key]) -> list[Hit]:
        """The scores of `search_words` of exactly these rows; rows without a common word may be left out."""

    def vectors(self, tenant: str, keys: Sequence[Key]) -> dict[Key, list[float]]:
        """The vectors of those rows that exist, empty for a row without one."""

    def contents(self, tenant: str, keys: Sequence[Key]) -> dict[Key, Content]:
        """The contents of those rows that exist. A change of metadata alone reuses them."""


class Past(RequestPast, Protocol):
    """The whole port of the collection of the past."""

    def count(self, tenant: str | None = None) -> int:
        """As for the first collection."""

    def keys(self, tenant: str, *, limit: int, beyond: str = "") -> list[Key]:
        """As for the first collection."""


class Index(RequestIndex, Protocol):
    """The whole port: also what concerns all rows of one or all tenants, for sweep, `check` and `reindex`."""

    @property
    def past(self) -> Past:
        """The collection of the past."""

    def drop_all(self, tenant: str | None = None) -> None:
        """Remove every row of the tenant, or of all tenants, also those of the past."""

    def held(self, tenant: str, keys: Sequence[Key]) -> set[Key]:
        """Those of these rows that exist."""

    def unchanged(self, tenant: str, rows: Sequence[IndexRow]) -> set[Key]:
        """Those of these rows that exist exactly as given and only once, so that writing them would change nothing."""

    def exists(self) -> bool:
        """Whether it was ever written to or searched: its collection is there."""

    def count(self, tenant: str | None = None) -> int:
        """The number of rows of the tenant (or of all tenants), including duplicates."""

    def keys(self, tenant: str, *, limit: int, beyond: str = "") -> list[Key]:
        """Up to `limit` keys of the tenant's rows with memory ids from `beyond` on, in no order; for samples."""

    def ping(self) -> None:
        """Raise IndexUnavailableError unless it answers now."""

    def close(self) -> None:
        """Release the connection."""
