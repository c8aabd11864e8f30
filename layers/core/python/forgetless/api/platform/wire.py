"""Bodies of the Platform's requests. Unknown fields are ignored, because clients send more than Forgetless knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, Field

from forgetless.api.field_checks import Text, Whole
from forgetless.api.messages import MessageText, PlatformMessages
from forgetless.api.platform.search_wire import Categories, Fields, Ids, Moment, SearchBody
from forgetless.api.size_limits import (
    Chars,
    CheckedBy,
    CountedBy,
    CustomCategories,
    Entries,
    Filters,
    Instructions,
    JsonBytes,
    MemoryText,
    Metadata,
    Note,
    Query,
    Word,
)
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.limits import MAX_TOP_K, RequestLimits

__all__ = [
    "AddBody",
    "BatchDelete",
    "BatchUpdate",
    "ExplainBody",
    "ExportCreate",
    "ExportGet",
    "FeedbackBody",
    "Filters",
    "ListBody",
    "SummaryBody",
    "UpdateBody",
    "most_of_batch",
]

MAX_PAGE_SIZE = 200

MemoryId = Annotated[Text, CheckedBy("check_memory_id")]


def most_of_batch(done: str) -> Callable[[int, RequestLimits], None]:
    """The check of how many memories a batch may name; the memories of a batch are `done`."""

    def check(number: int, limits: RequestLimits) -> None:
        if number > limits.batch:
            raise InvalidRequestError(f"Maximum of {limits.batch} memories can be {done} in a single request")

    return check


class AddBody(Ids):
    """The messages to store. `filters` may name the ids; OpenClaw's plugin sends facts of its own."""

    messages: PlatformMessages
    filters: Filters | None = None
    deduced_memories: Annotated[list[MessageText], Entries("messages"), Chars("message_chars")] | None = None
    metadata: Metadata | None = None
    infer: bool | None = None
    async_mode: bool | None = None
    output_format: Word | None = None
    expiration_date: Word | None = None
    custom_instructions: Instructions | None = None
    agent_custom_instructions: Instructions | None = None
    custom_categories: CustomCategories | None = None
    includes: Instructions | None = None
    excludes: Instructions | None = None
    immutable: bool | None = None
    timestamp: Moment | None = None
    observation_date: Moment | None = None
    observation_datetime: Moment | None = None


class ExplainBody(SearchBody):
    """A search, and the memory to follow through it."""

    memory_id: MemoryId


class ListBody(Ids):
    """The memories to list."""

    filters: Filters | None = None
    start_date: Moment | None = None
    end_date: Moment | None = None
    categories: Categories | None = None
    fields: Fields | None = None
    keywords: Query | None = None
    show_expired: bool | None = None
    latest_only: bool | None = None
    page: Whole | None = Field(default=None, ge=1)
    page_size: Whole | None = Field(default=None, ge=1, le=MAX_PAGE_SIZE)
    limit: Whole | None = Field(default=None, ge=1, le=MAX_TOP_K)
    cursor: str | None = Field(default=None, max_length=4096)
    as_of: Word | None = None
    known_at: Word | None = None


class UpdateBody(BaseModel):
    """The changes of a memory. A missing field stays as it is; `"expiration_date": null` clears the date."""

    text: MemoryText | None = None
    metadata: Metadata | None = None
    timestamp: Moment | None = None
    expiration_date: Word | None = None


class BatchUpdateItem(BaseModel):
    """One change of a batch."""

    memory_id: MemoryId
    text: MemoryText | None = None
    metadata: Metadata | None = None


class BatchUpdate(BaseModel):
    """Changes of several memories."""

    memories: Annotated[list[BatchUpdateItem], CountedBy("_check", most_of_batch("updated"))]


class BatchDeleteItem(BaseModel):
    """One deletion of a batch."""

    memory_id: MemoryId


class BatchDelete(BaseModel):
    """Memories to delete."""

    memories: Annotated[list[BatchDeleteItem], CountedBy("_check", most_of_batch("deleted"))]


class ExportCreate(BaseModel):
    """The memories to export and the schema of the result; version 2 of the npm client sends `exportInstructions`."""

    schema_: Annotated[Any, JsonBytes()] = Field(default=None, alias="schema")
    filters: Filters | None = None
    export_instructions: Instructions | None = Field(
        default=None, validation_alias=AliasChoices("export_instructions", "exportInstructions")
    )


class ExportGet(BaseModel):
    """The export to read; version 2 of the npm client sends `memoryExportId`."""

    memory_export_id: Word | None = Field(
        default=None, validation_alias=AliasChoices("memory_export_id", "memoryExportId")
    )
    filters: Filters | None = None


class SummaryBody(BaseModel):
    """The memories to summarise."""

    filters: Filters


class FeedbackBody(BaseModel):
    """Feedback on a memory."""

    memory_id: MemoryId
    feedback: Literal["POSITIVE", "NEGATIVE", "VERY_NEGATIVE"] | None = None
    feedback_reason: Note | None = None
