"""Memory, event and message: what the ledger keeps of what agents say."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from forgetless.domain.scope import Scope

__all__ = ["Event", "EventKind", "Memory", "Message", "MessageRef", "memory_id", "text_hash"]


def text_hash(text: str) -> str:
    """The md5 hex of a text: mem0's `hash` field, and the key of deduplication (not security)."""
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def memory_id(job_id: str, position: int) -> str:
    """The deterministic id of the memory at `position` of a job, so that doing a job twice stores it once."""
    return str(uuid.uuid5(uuid.UUID(job_id), str(position)))


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


@dataclass(frozen=True, slots=True)
class Memory:
    """One remembered statement as of one version; every change makes the next version."""

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

    @property
    def hash(self) -> str:
        """md5 hex of the text."""
        return text_hash(self.text)

    @property
    def live(self) -> bool:
        """Whether searches, lists and totals show it."""
        return not self.deleted and self.superseded_by is None

    def next_version(self, at: str, **changes: Any) -> Memory:
        """The following version with `changes`, updated at `at`."""
        return replace(self, version=self.version + 1, updated_at=at, **changes)

    def tombstone(self, at: str) -> Memory:
        """The following version, deleted: text, metadata and context gone, ids and times kept."""
        return self.next_version(at, deleted=True, text="", metadata={}, categories=(), context=(), sources=())


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
