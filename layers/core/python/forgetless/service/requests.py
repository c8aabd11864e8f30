"""The requests and results of the use cases: plain frozen records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from forgetless.domain.filters.ast import EVERYTHING, Filter
from forgetless.domain.jobs import Job
from forgetless.domain.memory import EventKind, GivenFields, Memory, MessageRef
from forgetless.domain.scope import Scope
from forgetless.domain.scoring import DEFAULT_THRESHOLD, ScoreParts

__all__ = [
    "AddOutcome",
    "AddRequest",
    "AddedMemory",
    "Count",
    "ErasedScope",
    "HistoryItem",
    "IncomingMessage",
    "PageOf",
    "PageRequest",
    "ScoreDetails",
    "ScoredMemory",
    "SearchRequest",
    "UpdateRequest",
]

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """One message of a client's add."""

    role: str
    content: str
    name: str | None = None
    #: Notes on its images, audio and files, which are not kept themselves.
    attachments: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class AddRequest(GivenFields):
    """One add. `timestamp` dates its messages in the past; `queued` leaves the work to the queue."""

    scope: Scope
    messages: tuple[IncomingMessage, ...]
    infer: bool = True
    memory_type: str | None = None
    prompt: str | None = None
    agent_prompt: str | None = None
    includes: str | None = None
    excludes: str | None = None
    #: The categories that the LLM may choose from, name to description. None: those of the project.
    categories: Mapping[str, str] | None = None
    #: Whether to use the general categories if neither the add nor the project names any.
    categorised: bool = False
    idempotency_key: str | None = None
    timestamp: str | None = None
    queued: bool = False
    #: The id of the API key that makes the add.
    source_key: str | None = None


@dataclass(frozen=True, slots=True)
class AddedMemory:
    """One memory in the results of an add."""

    id: str
    memory: str
    event: str
    version: int
    role: str | None = None
    actor_id: str | None = None


@dataclass(frozen=True, slots=True)
class AddOutcome:
    """The result of an add: `extraction` is llm, verbatim (infer=false) or none (no LLM is configured)."""

    job: Job
    results: tuple[AddedMemory, ...]
    indexed: bool
    extraction: str


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search. `ids` are the scope ids that a memory must have; `where` holds all conditions, these included."""

    tenant: str
    query: str
    where: Filter = EVERYTHING
    ids: Mapping[str, str] = field(default_factory=dict)
    top_k: int = 20
    #: A memory is found if and only if its score is at least this.
    threshold: float = DEFAULT_THRESHOLD
    show_expired: bool = False
    explain: bool = False
    #: The moment for which it is decided whether a memory has expired (a timestamp). None: now.
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Page `number` (from 1) of the memories that match, with `size` a page; `superseded` includes superseded ones.

    With `cursor`, it is the page after it. `asker` identifies the key: who asks for page after page goes on where its
    own last page ended. `weigh` gives the share of an answer that a memory takes; a page ends before it exceeds 1.
    """

    tenant: str
    where: Filter
    size: int
    number: int | None = 1
    cursor: str | None = None
    asker: str = ""
    show_expired: bool = False
    superseded: bool = False
    #: Whether `count` is wanted.
    counted: bool = True
    weigh: Callable[[Memory], float] | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """The number of all items of a list; unless `exact`, there are at least about so many."""

    number: int
    exact: bool = True


@dataclass(frozen=True, slots=True)
class PageOf(Generic[Item]):
    """One page: its items, how many there are in all, and the cursor of the next page (None at the end).

    A page may be shorter than asked for, even empty, although another one follows.
    """

    items: tuple[Item, ...]
    count: Count
    cursor: str | None


@dataclass(frozen=True, slots=True)
class ScoreDetails:
    """Every component of a score: first the seven that mem0 names, then Forgetless' own.

    `bm25_score` and `bm25_raw` say how well the words match; they keep mem0's name.
    """

    semantic_score: float
    bm25_score: float
    entity_boost: float
    raw_score: float
    max_possible_score: float
    final_score: float
    threshold: float
    bm25_raw: float
    dense_rank: int | None
    bm25_rank: int | None
    #: What each part adds to the score.
    parts: ScoreParts
    #: How probable it is that the memory answers the query; None if this is not known of the index's recipe.
    probability: float | None
    #: Whether the embedder refused the query's text, so that its meaning counts 0 for every memory.
    by_words_alone: bool = False

    def figures(self) -> dict[str, bool | float | None]:
        """All of it by name, mem0's names first."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "parts"}
        return {**own, **self.shares()}

    def shares(self) -> dict[str, float]:
        """What each part adds to the score, by name."""
        return {name: getattr(self.parts, name) for name in self.parts.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class ScoredMemory:
    """A memory that a search found, with its score between 0 and 1."""

    memory: Memory
    score: float
    details: ScoreDetails | None = None


@dataclass(frozen=True, slots=True)
class UpdateRequest:
    """A change of one memory. A field that is None stays as it is; metadata is merged."""

    tenant: str
    memory_id: str
    text: str | None = None
    metadata: Mapping[str, Any] | None = None
    expiration_date: str | None = None
    clear_expiration: bool = False
    #: When it happened (a timestamp). It becomes `created_at`.
    timestamp: str | None = None
    #: The id of the API key that makes the change.
    source_key: str | None = None
    #: The memory must be at one of these versions (If-Match). None: any version.
    expected_versions: frozenset[int] | None = None

    @property
    def changes_nothing(self) -> bool:
        """Whether the request names no change."""
        given = (self.text, self.metadata, self.expiration_date, self.timestamp)
        return not self.clear_expiration and all(value is None for value in given)


@dataclass(frozen=True, slots=True)
class ErasedScope:
    """The result of an erasure or of a delete by filter: how many memories, and the job that removes the rest.

    `deleted` is the kept total of the scope. Where there is none, it is what the request itself has removed.
    """

    deleted: int
    event_id: str


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One event of a memory as mem0 shows it."""

    id: str
    memory_id: str
    event: EventKind
    old_memory: str | None
    new_memory: str | None
    created_at: str
    updated_at: str | None
    is_deleted: bool
    actor_id: str | None
    role: str | None
    #: The memory as it was after the event.
    memory: Memory
    #: The messages because of which another memory supersedes it, if one does and they have not been erased.
    superseding: tuple[MessageRef, ...] = ()
