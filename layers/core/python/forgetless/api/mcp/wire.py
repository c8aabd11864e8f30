"""What the tools take; each field's description is what a model reads before it fills it in."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from forgetless.api.field_checks import Text
from forgetless.domain.limits import MAX_TOP_K

__all__ = [
    "AddMemory",
    "Arguments",
    "AtMoment",
    "GetMemories",
    "GetMemory",
    "MemoryId",
    "Message",
    "NoArguments",
    "ScopeIds",
    "SearchMemories",
    "UpdateMemory",
]


class Arguments(BaseModel):
    """Arguments of a tool: a name that it does not know is an error, so that nothing is silently ignored."""

    model_config = ConfigDict(extra="forbid")


class NoArguments(Arguments):
    """Nothing to say."""


class MemoryId(Arguments):
    """Which memory."""

    memory_id: Text = Field(description="The memory's id, as search_memories and get_memories show it.")


class AtMoment(Arguments):
    """A moment in the past; without one it is about the present."""

    as_of: Text | None = Field(
        None, description="What was true then: a day (YYYY-MM-DD) or an ISO-8601 time. Leave it out for the present."
    )
    known_at: Text | None = Field(None, description="What had been told by then: a day or a time, like as_of.")


class GetMemory(AtMoment, MemoryId):
    """Which memory, and as of when."""


class ScopeIds(Arguments):
    """Whose memories: what is left out is taken from the address of the connection, if it names one."""

    user_id: Text | None = Field(None, description="The person whose memories they are.")
    agent_id: Text | None = Field(None, description="The agent whose memories they are.")
    app_id: Text | None = Field(None, description="The application whose memories they are.")
    run_id: Text | None = Field(None, description="The conversation or session that they belong to.")

    def ids(self) -> dict[str, str]:
        """The ids that were given, by name."""
        names = ("user_id", "agent_id", "app_id", "run_id")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class Message(Arguments):
    """One message of a conversation."""

    role: Text = Field(description="user, assistant or system.")
    content: Text


class AddMemory(ScopeIds):
    """What to remember."""

    text: Text | None = Field(None, description="One statement to remember, in full: it is read without its context.")
    messages: list[Message] | None = Field(None, description="A conversation to remember, instead of text.")
    metadata: dict[str, Any] | None = Field(None, description="Facts about the memory that searches can filter by.")
    expiration_date: Text | None = Field(None, description="The last day it is true, as YYYY-MM-DD.")
    infer: bool = Field(True, description="Keep the facts in it; false keeps the words exactly as they are.")


class SearchMemories(AtMoment, ScopeIds):
    """What to look for."""

    query: Text = Field(description="What you want to know, as a question or a few words.")
    filters: dict[str, Any] | None = Field(
        None, description='Further conditions, such as {"topic": "food"} or {"created_at": {"gte": "2026-01-01"}}.'
    )
    limit: int = Field(10, ge=1, le=MAX_TOP_K, description="The most memories to return.")
    threshold: float = Field(0.1, ge=0, le=1, description="The least score to return.")


class GetMemories(AtMoment, ScopeIds):
    """Which memories to list."""

    filters: dict[str, Any] | None = Field(None, description='Conditions, such as {"topic": "food"}.')
    page: int = Field(1, ge=1, le=100, description="Which page, from 1.")
    page_size: int = Field(20, ge=1, le=100, description="Memories a page.")


class UpdateMemory(MemoryId):
    """What is to change: at least one of the others."""

    text: Text | None = Field(None, description="The whole new statement, in place of the old one.")
    metadata: dict[str, Any] | None = Field(None, description="Keys to set; the others stay.")
    expiration_date: Text | None = Field(None, description="The last day it is true, as YYYY-MM-DD.")
    version: int | None = Field(
        None, description="The version that you have read; the change is refused when the memory has changed since."
    )
