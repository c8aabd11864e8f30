"""The arguments of the MCP tools; a model reads the description of each field before it fills the field in."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from forgetless.api.field_checks import Number, Text, Whole
from forgetless.api.messages import Messages, MessageText
from forgetless.api.size_limits import Chars, Filters, Id, MemoryText, Metadata, Query, Word
from forgetless.domain.limits import MAX_TOP_K
from forgetless.domain.scoring import DEFAULT_THRESHOLD

__all__ = [
    "AddMemory",
    "Arguments",
    "AtMoment",
    "DeletedEntity",
    "DeletedScope",
    "GetMemories",
    "GetMemory",
    "ListEntities",
    "MemoryId",
    "ScopeIds",
    "SearchMemories",
    "UpdateMemory",
]


Cursor = Annotated[Text, Field(max_length=4096)]


class Arguments(BaseModel):
    """The arguments of a tool. What it does not have never comes here: `arguments.py` ignores or refuses it."""

    model_config = ConfigDict(extra="forbid")


class ListEntities(Arguments):
    """Which page of the entities to list."""

    limit: Whole = Field(1000, ge=1, le=1000, description="The most entities to return.")
    cursor: Cursor | None = Field(None, description="next_cursor of the answer before, to continue it.")


class MemoryId(Arguments):
    """Which memory."""

    memory_id: Word = Field(description="The memory's id, as search_memories and get_memories show it.")


class AtMoment(Arguments):
    """A moment in the past; without it, the present is meant."""

    as_of: Word | None = Field(
        None, description="What was true then: a day (YYYY-MM-DD) or an ISO-8601 time. Leave it out for the present."
    )
    known_at: Word | None = Field(None, description="What had been stored by then: a day or a time, like as_of.")


class GetMemory(AtMoment, MemoryId):
    """Which memory, and as of when."""


class ScopeIds(Arguments):
    """Whose memories they are. Each id that is left out is taken from the connection's address, if that has it."""

    user_id: Id | None = Field(None, description="The person whose memories they are.")
    agent_id: Id | None = Field(None, description="The agent whose memories they are.")
    app_id: Id | None = Field(None, description="The application whose memories they are.")
    run_id: Id | None = Field(None, description="The conversation or session that they belong to.")

    def ids(self) -> dict[str, str]:
        """The ids that were given, by name."""
        names = ("user_id", "agent_id", "app_id", "run_id")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class DeletedScope(ScopeIds):
    """Whose memories to delete: at least one id, and those with all ids are deleted."""


class DeletedEntity(ScopeIds):
    """Who is deleted: exactly one id."""


class AddMemory(ScopeIds):
    """The statement or conversation to remember."""

    text: Annotated[MessageText, Chars("message_chars")] | None = Field(
        None, description="One statement to remember, in full: it is read without its context."
    )
    messages: Messages | None = Field(None, description="A conversation to remember, instead of text.")
    metadata: Metadata | None = Field(None, description="Facts about the memory that searches can filter by.")
    expiration_date: Word | None = Field(None, description="The last day it is true, as YYYY-MM-DD.")
    infer: bool = Field(True, description="true stores the facts in it; false stores the words exactly as they are.")


class SearchMemories(AtMoment, ScopeIds):
    """What to look for."""

    query: Query = Field(description="What you want to know, as a question or a few words.")
    filters: Filters | None = Field(
        None,
        description='Further conditions, such as {"topic": "food"}, {"created_at": {"gte": "2026-01-01"}} or '
        '{"OR": [{"user_id": "john"}, {"agent_id": "coach"}]}.',
    )
    limit: Whole = Field(10, ge=1, le=MAX_TOP_K, description="The most memories to return.")
    threshold: Number = Field(
        DEFAULT_THRESHOLD,
        ge=0,
        le=1,
        description="The lowest score to return: a memory is found if and only if its score is at least this.",
    )
    explain: bool = Field(False, description="true adds to each memory what its score is made of.")


class GetMemories(AtMoment, ScopeIds):
    """Which memories to list."""

    filters: Filters | None = Field(
        None, description='Conditions, such as {"topic": "food"} or {"AND": [{"user_id": "john"}]}.'
    )
    page: Whole = Field(1, ge=1, le=100, description="Which page, from 1.")
    page_size: Whole = Field(20, ge=1, le=100, description="The number of memories on a page.")
    cursor: Cursor | None = Field(None, description="next_cursor of the page before, instead of a page.")


class UpdateMemory(MemoryId):
    """The memory to change, and at least one change."""

    text: MemoryText | None = Field(None, description="The whole new statement, in place of the old one.")
    metadata: Metadata | None = Field(None, description="Keys to set; the others stay.")
    expiration_date: Word | None = Field(None, description="The last day it is true, as YYYY-MM-DD.")
    version: Whole | None = Field(
        None, description="The version that you have read; the change is refused when the memory has changed since."
    )
