"""The kinds of anomalies that a history can have."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Anomaly", "AnomalyKind"]


class AnomalyKind(StrEnum):
    """The kind of an anomaly, in a few words."""

    LOST_ADD = "an acknowledged add is lost"
    DOUBLED_ADD = "one add is stored twice"
    ONE_FOR_TWO = "one memory answers two adds"
    FAILED_TOOK_EFFECT = "what was answered as failed took effect"
    LOST_UPDATE = "an acknowledged update is lost"
    LOST_METADATA = "a metadata key is lost"
    LOST_SUPERSESSION = "a supersession is lost"
    LOST_DELETE = "an acknowledged delete is lost"
    SURVIVED_ERASE = "a memory outlived the delete of its scope"
    RESURRECTED = "a deleted memory is there again"
    DELETED_TWICE = "two deletes of one memory were acknowledged"
    CHANGED_AFTER_DELETE = "a change of a deleted memory was acknowledged"
    MISSING = "a memory that is there was called missing"
    NEVER_WRITTEN = "a value that nobody wrote"
    STALE_READ = "an old state was shown after a newer one was acknowledged"
    VERSION_BACKWARDS = "a version goes backwards"
    VERSION_JUMPS = "a version that no change has made"
    FALSE_PRECONDITION = "412 on the matching version"
    IGNORED_PRECONDITION = "an update passed in spite of another version in If-Match"
    HISTORY_DISAGREES = "a history does not tell what happened"
    ERASED_LEGIBLE = "words of a deleted memory are legible"
    LISTED_TWICE = "an id stands twice in one answer"
    FOREIGN_SCOPE = "an answer shows a memory of another scope"
    LIST_SHOWS_SUPERSEDED = "a list shows a superseded memory"
    LIST_SHOWS_EXPIRED = "a list or search shows an expired memory"
    LIST_MISSES = "a list misses a memory"
    SEARCH_SHOWS_DELETED = "a search shows a deleted memory"
    SEARCH_SHOWS_SUPERSEDED = "a search shows a superseded memory"
    SEARCH_SHOWS_OLD = "a search shows an old text"
    SEARCH_MISSES = "a search misses a memory that was called indexed"
    NOT_LINEARIZABLE = "no order of the operations explains the answers"
    # at rest
    READERS_DISAGREE = "at rest two readers disagree"
    TOTAL_WRONG = "at rest a total is wrong"
    INDEX_WRONG = "at rest the index does not hold what the ledger holds"
    FACT_TWICE = "at rest one extracted fact stands twice in a scope"
    VERSIONS_NOT_CONTIGUOUS = "versions are not contiguous"


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One anomaly: its kind, a message for a person, and the memories and operations that it concerns."""

    kind: AnomalyKind
    message: str
    memories: tuple[str, ...] = ()
    operations: tuple[int, ...] = ()
