"""Memory, event and message: what the ledger stores of the conversations of agents."""

from __future__ import annotations

import hashlib
import random
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from forgetless.domain.limits import VERSION_BYTES
from forgetless.domain.memory_fields import STORED
from forgetless.domain.metadata import metadata_bytes
from forgetless.domain.scope import Scope
from forgetless.domain.spoken import known_role
from forgetless.domain.times import date_of, just_after

__all__ = [
    "MEMORY_ID",
    "Event",
    "EventKind",
    "GivenFields",
    "Memory",
    "Message",
    "MessageRef",
    "VersionKey",
    "is_repeat",
    "job_event_id",
    "line_event_id",
    "memory_id",
    "random_place",
    "text_hash",
]

#: Finds memory ids (UUIDs) in a stored answer. The answer is erased when a memory named in it is deleted.
MEMORY_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

#: Names a version of a memory: the memory's id and the version.
VersionKey = tuple[str, int]


def text_hash(text: str) -> str:
    """The MD5 of a text in hex: mem0's `hash` field, and the key for deduplication. It is not used for security."""
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def memory_id(job_id: str, position: int) -> str:
    """The deterministic id of the memory at `position` of a job, so that a job that is done twice stores it once."""
    return str(uuid.uuid5(uuid.UUID(job_id), str(position)))


def random_place() -> str:
    """A random place among the ids of memories, from which a sample is read. `random.seed` repeats it."""
    return str(uuid.UUID(int=random.getrandbits(128)))


#: The prefix of event ids that are digests of an imported line. Such an id would confirm a guess at erased text.
LINE_EVENT = "line:"


def line_event_id(line: bytes) -> str:
    """The id for an imported event that has none; the same line gives the same id."""
    return LINE_EVENT + hashlib.sha256(line).hexdigest()


def job_event_id(job_id: str, name: str | int) -> str:
    """The id of an event caused by a job; `name` (a position or a memory's id) distinguishes the events of the job."""
    return f"{job_id}:{name}"


@dataclass(frozen=True, slots=True, order=True)
class MessageRef:
    """Identifies a raw message by its job and its position in that job."""

    job_id: str
    position: int


@dataclass(frozen=True, slots=True)
class Message:
    """One raw message of a conversation, stored as context and so that an extraction can be repeated."""

    ref: MessageRef
    scope: Scope
    role: str
    content: str
    created_at: str
    name: str | None = None
    #: As in `Memory`.
    erasures_before: int = 0

    def beginning(self, most_chars: int | None) -> Message:
        """The message with no more than so many characters of what it says; None: all."""
        if most_chars is None or len(self.content) <= most_chars:
            return self
        return replace(self, content=self.content[:most_chars])


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenFields:
    """The fields besides the text that an add may set on each memory it creates: those marked `given` in the table."""

    metadata: Mapping[str, Any] = field(default_factory=dict)
    expiration_date: str | None = None
    immutable: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """One version of a remembered statement; every change makes the next version.

    domain/memory_fields.py says how each field is stored, indexed, filtered and shown in answers.
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
    #: The role of the message, or of the least trusted of the messages that it was extracted from.
    role: str | None = None
    actor_id: str | None = None
    attributed_to: str | None = None
    #: The id of the API key that wrote its text.
    source_key: str | None = None
    categories: tuple[str, ...] = ()
    expiration_date: str | None = None
    #: True for a fact that an LLM extracted: its text is unique among the live memories of its exact scope.
    extracted: bool = False
    #: Raw messages whose text the index row contains besides the memory's own: up to three messages before it and the
    #: next one of the same add, or the sources of a fact.
    context: tuple[MessageRef, ...] = ()
    #: Raw messages with the same statement; they are deleted together with the memory.
    sources: tuple[MessageRef, ...] = ()
    superseded_by: str | None = None
    deleted: bool = False
    #: It cannot be changed, only deleted.
    immutable: bool = False
    #: When the service received it, if the client gave an earlier `created_at`; None means at `created_at`.
    recorded_at: str | None = None
    #: The event that made this version. It distinguishes a repeat from another writer's change; "" in older data.
    event_id: str = ""
    #: The number of the tenant's last erasure when the request that added it was accepted. A later erasure covers it
    #: (domain/erasures.py); every change keeps it.
    erasures_before: int = 0
    #: How many bytes its earlier versions store. Memories of an earlier Forgetless begin at 0.
    history_bytes: int = 0

    @property
    def hash(self) -> str:
        """The MD5 of the text in hex."""
        return text_hash(self.text)

    @property
    def source_job(self) -> str:
        """The add that stored it, which mem0's clients know as an event."""
        return self.job_id

    @property
    def live(self) -> bool:
        """Whether searches, lists and totals show it."""
        return not self.deleted and self.superseded_by is None

    @property
    def accepted_at(self) -> str:
        """When its add was accepted, whatever time its client has stated."""
        return self.recorded_at or self.created_at

    def expired(self, now: str) -> bool:
        """Whether its last day has ended at `now`, so that only who asks for expired memories is shown it."""
        return self.expiration_date is not None and self.expiration_date < date_of(now)

    def next_version(self, at: str, *, event_id: str, **changes: Any) -> Memory:
        """The next version, with `changes`, made by the event `event_id`.

        Its `updated_at` is `at`, or just after the last update if the clock has gone back since then.
        """
        # Earlier versions of Forgetless took the time that a client stated, which may lie in the future.
        last = min(self.updated_at, self.accepted_at) if self.version == 1 else self.updated_at
        updated_at = max(at, just_after(last))
        history_bytes = self.history_bytes + self.stored_bytes
        return replace(
            self,
            version=self.version + 1,
            updated_at=updated_at,
            event_id=event_id,
            history_bytes=history_bytes,
            **changes,
        )

    @property
    def stored_bytes(self) -> int:
        """About how many bytes this version stores. Every version stores all of its text and metadata."""
        return VERSION_BYTES + len(self.text.encode("utf-8", "surrogatepass")) + metadata_bytes(self.metadata)

    @property
    def all_bytes(self) -> int:
        """About how many bytes all its versions store. Of older data, the texts of earlier versions do not count."""
        return max(self.history_bytes, (self.version - 1) * VERSION_BYTES) + self.stored_bytes

    def pending_since(self, *, contested: bool) -> str:
        """Since when the index lacks this version.

        If the version before was still pending (`contested`), the time is one microsecond later. In that case the
        writer of that version may still write its row and die before it removes the row, so only sweep, which runs
        later, may mark this memory as indexed.
        """
        return just_after(self.updated_at) if contested else self.updated_at

    def tombstone(self, at: str, *, event_id: str) -> Memory:
        """The next version, as a deleted memory: without text, metadata and context, but with ids and times."""
        return self.next_version(at, event_id=event_id).blanked(deleted=True)

    def blanked(self, *, deleted: bool) -> Memory:
        """This version without its text, and without whatever else may be a text or a digest of it.

        A role may be any words of a client, and an import names any key. Those that we know stay.
        """
        event_id = "" if self.event_id.startswith(LINE_EVENT) else self.event_id
        erased = {one.name: one.empty() for one in STORED if one.erased}
        bare = replace(self, **erased, deleted=deleted, event_id=event_id)
        return replace(
            bare,
            role=known_role(self.role or ""),
            attributed_to=known_role(self.attributed_to or ""),
            source_key=self.source_key if MEMORY_ID.fullmatch(self.source_key or "") else None,
        )

    def nobodys(self) -> Memory:
        """This version without the ids of its scope: what a ledger keeps of a deleted memory says not whose it was."""
        return replace(self, scope=Scope(self.scope.tenant))


class EventKind(StrEnum):
    """What happened to a memory, in mem0's own words."""

    ADD = "ADD"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True)
class Event:
    """One event in the ledger: what happened, and the memory after it. The memory's version orders its events."""

    kind: EventKind
    memory: Memory


def is_repeat(held: Event, asked: Event, *, erased: bool) -> bool:
    """Whether `asked` repeats `held`, the event that the ledger already has at the same version.

    Two events are the same when their ids and their contents are equal. If one of them has no id (older data), kind,
    job and content must be equal. Once the text is `erased`, contents cannot be compared: then an event with the
    same id is a repeat, and among events without an id an ADD of the same job is one.
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
    """The memory without its times, key, index data, event id and number, in all of which a repeat may differ."""
    return replace(
        memory,
        created_at="",
        updated_at="",
        recorded_at=None,
        context=(),
        event_id="",
        erasures_before=0,
        history_bytes=0,
        source_key=None,
    )
