"""The results of the MCP tools; these models are the tools' output schemas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, Field

from forgetless.api.answer_size import fitting
from forgetless.api.json_response import json_bytes, sent_bytes
from forgetless.domain.limits import ANSWER_BYTES
from forgetless.domain.memory import Memory
from forgetless.domain.memory_fields import Dialect, labels
from forgetless.ports.request_ledger import Entity
from forgetless.service.requests import ScoredMemory

__all__ = [
    "BESIDE_BYTES",
    "Added",
    "AddedMemory",
    "Answer",
    "Deleted",
    "Entities",
    "FoundMemory",
    "OneMemory",
    "SomeMemories",
    "answer_bytes",
    "shown_added",
    "shown_entities",
    "shown_hit",
    "shown_memories",
    "shown_memory",
]

#: The most bytes that stand beside the results of an answer: a cursor, and the names of what was ignored.
BESIDE_BYTES = 100_000
#: How much of a text is shown if the answer cannot hold it, or cannot hold all the results of an add.
_LEFT_CHARS, _BRIEF_CHARS = 1000, 300
#: The fields that are shown unchanged; `FoundMemory` describes each of them.
_LABELS = labels(Dialect.MCP)


class Answer(BaseModel):
    """What every answer may say beside its result."""

    ignored: list[str] | None = Field(default=None, description="Arguments of the call that had no effect.")


class AddedMemory(BaseModel):
    """One memory that was stored or changed."""

    id: str
    memory: str
    version: int = Field(description="1 for a new memory; each change adds one.")
    event: str = Field(description="ADD, UPDATE or DELETE.")


class Added(Answer):
    """The result of an add."""

    results: list[AddedMemory]
    event_id: str = Field(description="The add's id.")
    indexed: bool = Field(description="Whether a search finds it already; if not, it will within a minute.")
    extraction: str = Field(description="llm, verbatim, or none: no LLM is configured, so the words were stored as is.")


class FoundMemory(BaseModel):
    """One memory; fields without a value are left out."""

    id: str
    memory: str
    version: int = Field(description="Each change adds one; update_memory can ask for it.")
    score: float | None = Field(None, description="How well it fits the query, 0 to 1.")
    score_details: dict[str, bool | float | None] | None = Field(None, description="What the score is made of.")
    metadata: dict[str, Any] | None = None
    user_id: str | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None
    role: str | None = None
    categories: list[str] | None = None
    expiration_date: str | None = None
    superseded_by: str | None = Field(None, description="The id of the memory that contradicts it and holds now.")
    truncated: bool | None = Field(None, description="true: only the beginning of the text is shown; it is very long.")
    created_at: str
    updated_at: str


class SomeMemories(Answer):
    """Memories, best or newest first."""

    results: list[FoundMemory]
    truncated: bool | None = Field(
        None,
        description="true: not all of them fit into one answer, or they are so large that a search did not read all. "
        "Ask for fewer, or for smaller pages.",
    )
    next_cursor: str | None = Field(None, description="The cursor of the next page of a list, if more follow.")
    ranked_by: str | None = Field(
        default=None, description="words: the embedding server refused the query, so its meaning did not count."
    )


class OneMemory(Answer):
    """A memory."""

    memory: FoundMemory


class Deleted(Answer):
    """What was deleted permanently."""

    message: str
    deleted: int = Field(description="How many memories were deleted at once; all others of the scope are hidden.")
    event_id: str | None = Field(default=None, description="The event that removes the rest in the background.")


class OneEntity(BaseModel):
    """A user, agent, app or run with memories."""

    type: str
    id: str
    total_memories: int
    created_at: str
    updated_at: str
    totals_pending: bool | None = Field(None, description="Set while erased memories may still count in the total.")


class Entities(Answer):
    """The users, agents, apps and runs that have memories."""

    results: list[OneEntity]
    next_cursor: str | None = Field(None, description="The cursor of the next page, if more follow.")


def shown_memory(memory: Memory) -> FoundMemory:
    """A memory in the form of the tools."""
    return _shown(memory)


def shown_hit(found: ScoredMemory) -> FoundMemory:
    """A memory that a search found, with its score."""
    details = found.details.figures() if found.details is not None else None
    return _shown(found.memory, score=found.score, score_details=details)


def _shown(memory: Memory, **found: Any) -> FoundMemory:
    scope = memory.scope
    shown = FoundMemory(
        id=memory.id,
        memory=memory.text,
        version=memory.version,
        **found,
        metadata=dict(memory.metadata) or None,
        user_id=scope.user_id or None,
        agent_id=scope.agent_id or None,
        app_id=scope.app_id or None,
        run_id=scope.run_id or None,
        categories=list(memory.categories) or None,
        created_at=memory.created_at,
        updated_at=memory.updated_at,
        **{name: getattr(memory, name) for name in _LABELS},
    )
    if answer_bytes(shown) <= ANSWER_BYTES:
        return shown
    return shown.model_copy(update={"memory": memory.text[:_LEFT_CHARS], "truncated": True})


def shown_memories(found: Sequence[FoundMemory], next_cursor: str | None = None) -> SomeMemories:
    """As many of the memories as fit into one answer; it says if they are not all."""
    fit = fitting(found, size=answer_bytes)
    return SomeMemories(results=fit, truncated=True if len(fit) < len(found) else None, next_cursor=next_cursor)


def shown_added(added: Sequence[AddedMemory]) -> list[AddedMemory]:
    """The results of an add, with the beginnings of their texts if they do not fit into one answer."""
    if len(fitting(added, size=answer_bytes)) == len(added):
        return list(added)
    return [one.model_copy(update={"memory": one.memory[:_BRIEF_CHARS]}) for one in added]


def answer_bytes(result: BaseModel) -> int:
    """The size of a result, or of one item of it, as Lambda counts it: every answer has it as text and as an object."""
    text = result.model_dump_json(exclude_none=True)
    return sent_bytes(text.encode()) + sent_bytes(json_bytes(text)) + 2


def shown_entities(entities: Iterable[Entity], next_cursor: str | None) -> Entities:
    """Entities in the form of the tools."""
    return Entities(
        results=[
            OneEntity(
                type=one.kind,
                id=one.id,
                total_memories=one.total_memories,
                created_at=one.created_at,
                updated_at=one.updated_at,
                totals_pending=one.totals_pending or None,
            )
            for one in entities
        ],
        next_cursor=next_cursor,
    )
