"""Memory, event and message: what the ledger keeps of what agents say."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from forgetless.domain.memory_fields import STORED
from forgetless.domain.scope import Scope
from forgetless.domain.times import just_after

__all__ = [
    "MEMORY_ID",
    "Event",
    "EventKind",
    "GivenFields",
    "Memory",
    "Message",
    "MessageRef",
    "is_repeat",
    "job_event_id",
    "line_event_id",
    "memory_id",
    "text_hash",
]

#: Memory ids are UUIDs; this finds them in a stored answer, which goes when a memory that it names is deleted.
MEMORY_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def text_hash(text: str) -> str:
    """The md5 hex of a text: mem0's `hash` field, and the key of deduplication (not security)."""
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def memory_id(job_id: str, position: int) -> str:
    """The deterministic id of the memory at `position` of a job, so that doing a job twice stores it once."""
    return str(uuid.uuid5(uuid.UUID(job_id), str(position)))


#: How an event id begins that is a digest of an imported line; it would confirm a guess at erased words.
LINE_EVENT = "line:"


def line_event_id(line: bytes) -> str:
    """The id of an event that was imported without one: the same line gives the same id."""
    return LINE_EVENT + hashlib.sha256(line).hexdigest()


def job_event_id(job_id: str, name: str | int) -> str:
    """The id of an event that a job causes; `name` tells it from the job's others (a position, or a memory's id)."""
    return f"{job_id}:{name}"


@dataclass(frozen=True, slots=True, order=True)
class MessageRef:
    """Where a raw message stands: the job that brought it and its place there."""

    job_id: str
    position: int


@dataclass(frozen=True, slots=True)
class Message:
    """One raw message of a conversation, kept for context and for repeating an extraction."""

    ref: MessageRef
    scope: Scope
    role: str
    content: str
    created_at: str
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenFields:
    """What an add may say of each memory that comes of it, beside the words: the fields that are `given`."""

    metadata: Mapping[str, Any] = field(default_factory=dict)
    expiration_date: str | None = None
    immutable: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """One remembered statement as of one version; every change makes the next version.

    What storing, the index, filters and answers make of each field stands in domain/memory_fields.py.
    """

    id: str
    version: int
    scope: Scope
    text: str
    created_at: str
    updated_at: str
    job_id: str
    position: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    role: str | None = None
    actor_id: str | None = None
    attributed_to: str | None = None
    categories: tuple[str, ...] = ()
    expiration_date: str | None = None
    #: True for a fact that an LLM extracted: unique by text within its exact scope while it lives.
    extracted: bool = False
    #: Raw messages whose words the index row carries beside the text (what was said before, or its sources).
    context: tuple[MessageRef, ...] = ()
    #: Raw messages that say what it says; they go with it when it is deleted.
    sources: tuple[MessageRef, ...] = ()
    superseded_by: str | None = None
    deleted: bool = False
    #: Nobody may change it; it can only be deleted.
    immutable: bool = False
    #: When the service heard of it, where `created_at` is an earlier time that the client gave; None: the same.
    recorded_at: str | None = None
    #: The event that made this version. It tells a repeat from another writer's change; "" in older data.
    event_id: str = ""

    @property
    def hash(self) -> str:
        """md5 hex of the text."""
        return text_hash(self.text)

    @property
    def live(self) -> bool:
        """Whether searches, lists and totals show it."""
        return not self.deleted and self.superseded_by is None

    def next_version(self, at: str, *, event_id: str, **changes: Any) -> Memory:
        """The following version with `changes`, made by the event `event_id`.

        It is updated at `at`, or just after the last update where the clock has run backwards since.
        """
        updated_at = max(at, just_after(self.updated_at))
        return replace(self, version=self.version + 1, updated_at=updated_at, event_id=event_id, **changes)

    def pending_since(self, *, contested: bool) -> str:
        """Since when the index misses this version.

        A microsecond late where the version before was pending still (`contested`): then its writer may write a row of
        it yet, and die before taking it out, so that only sweep, who comes later, may call this memory indexed.
        """
        return just_after(self.updated_at) if contested else self.updated_at

    def tombstone(self, at: str, *, event_id: str) -> Memory:
        """The following version, deleted: text, metadata and context gone, ids and times kept."""
        return self.next_version(at, event_id=event_id).blanked(deleted=True)

    def blanked(self, *, deleted: bool) -> Memory:
        """This version without its words, and without an event id that is a digest of them."""
        event_id = "" if self.event_id.startswith(LINE_EVENT) else self.event_id
        erased = {one.name: one.empty() for one in STORED if one.erased}
        return replace(self, **erased, deleted=deleted, event_id=event_id)


class EventKind(StrEnum):
    """What happened to a memory; mem0's own words."""

    ADD = "ADD"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the ledger: what happened, and the memory after it (its version orders the events)."""

    kind: EventKind
    memory: Memory


def is_repeat(held: Event, asked: Event, *, erased: bool) -> bool:
    """Whether `asked` is the event `held`, which stands at its version already, sent once more.

    Events are told apart by id; the same id with another content is no repeat either. Where one has no id (older
    data), kind, job and content must agree. Once the words are `erased`, an event with the same id is a repeat, and
    of those without an id an ADD of the same job.
    """
    mine, theirs = asked.memory, held.memory
    identified = bool(mine.event_id and theirs.event_id)
    if identified and mine.event_id != theirs.event_id:
        return False
    if (asked.kind, mine.job_id) != (held.kind, theirs.job_id):
        return False
    if erased and (identified or asked.kind is EventKind.ADD):
        return True
    return _content(mine) == _content(theirs)


def _content(memory: Memory) -> Memory:
    """The memory without its times, and without what the index adds or the id says: a repeat may differ in these."""
    return replace(memory, created_at="", updated_at="", recorded_at=None, context=(), event_id="")
