"""Bodies of the Platform's requests. Unknown fields are ignored, because clients send more than Forgetless knows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field

from forgetless.api.field_checks import Text
from forgetless.domain.limits import MAX_TOP_K

__all__ = [
    "AddBody",
    "BatchDelete",
    "BatchUpdate",
    "ExportCreate",
    "ExportGet",
    "FeedbackBody",
    "Filters",
    "ListBody",
    "SearchBody",
    "SummaryBody",
    "UpdateBody",
]

#: The most memories that one request may change or delete.
MAX_BATCH = 1000
MAX_PAGE_SIZE = 200

Moment = int | float | Text
Filters = dict[str, Any]


def _no_numbers(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


#: An id; clients in JavaScript may also send numbers.
Id = Annotated[Text | None, BeforeValidator(_no_numbers)]


class Ids(BaseModel):
    """The scope: the ids at the top level of a body."""

    user_id: Id = None
    agent_id: Id = None
    app_id: Id = None
    run_id: Id = Field(default=None, validation_alias=AliasChoices("run_id", "session_id"))


class AddBody(Ids):
    """The messages to store."""

    messages: Any
    metadata: dict[str, Any] | None = None
    infer: bool | None = None
    async_mode: bool | None = None
    output_format: Text | None = None
    expiration_date: Text | None = None
    custom_instructions: Text | None = None
    agent_custom_instructions: Text | None = None
    custom_categories: list[dict[str, Text]] | None = None
    includes: Text | None = None
    excludes: Text | None = None
    immutable: bool | None = None
    timestamp: Moment | None = None
    observation_date: Moment | None = None
    observation_datetime: Moment | None = None


class SearchBody(Ids):
    """A query, and the scope to search."""

    query: Text
    filters: Filters | None = None
    top_k: int | None = Field(default=None, ge=1, le=MAX_TOP_K)
    limit: int | None = Field(default=None, ge=1, le=MAX_TOP_K)
    threshold: float | None = Field(default=None, ge=0, le=1)
    fields: list[Text] | None = None
    categories: list[Text] | None = None
    metadata: dict[str, Any] | None = None
    show_expired: bool | None = None
    reference_date: Moment | None = None
    output_format: Text | None = None
    as_of: Text | None = None
    known_at: Text | None = None


class ListBody(Ids):
    """The memories to list."""

    filters: Filters | None = None
    start_date: Moment | None = None
    end_date: Moment | None = None
    categories: list[Text] | None = None
    fields: list[Text] | None = None
    keywords: Text | None = None
    show_expired: bool | None = None
    latest_only: bool | None = None
    page: int | None = Field(default=None, ge=1)
    page_size: int | None = Field(default=None, ge=1, le=MAX_PAGE_SIZE)
    limit: int | None = Field(default=None, ge=1, le=MAX_TOP_K)
    cursor: str | None = Field(default=None, max_length=4096)
    as_of: Text | None = None
    known_at: Text | None = None


class UpdateBody(BaseModel):
    """The changes of a memory. A missing field stays as it is; `"expiration_date": null` clears the date."""

    text: Text | None = None
    metadata: dict[str, Any] | None = None
    timestamp: Moment | None = None
    expiration_date: Text | None = None


class BatchUpdateItem(BaseModel):
    """One change of a batch."""

    memory_id: Text
    text: Text | None = None
    metadata: dict[str, Any] | None = None


class BatchUpdate(BaseModel):
    """Changes of several memories."""

    memories: list[BatchUpdateItem]


class BatchDeleteItem(BaseModel):
    """One deletion of a batch."""

    memory_id: Text


class BatchDelete(BaseModel):
    """Memories to delete."""

    memories: list[BatchDeleteItem]


class ExportCreate(BaseModel):
    """The memories to export and the schema of the result; version 2 of the npm client sends `exportInstructions`."""

    schema_: Any = Field(default=None, alias="schema")
    filters: Filters | None = None
    export_instructions: Text | None = Field(
        default=None, validation_alias=AliasChoices("export_instructions", "exportInstructions")
    )


class ExportGet(BaseModel):
    """The export to read; version 2 of the npm client sends `memoryExportId`."""

    memory_export_id: Text | None = Field(
        default=None, validation_alias=AliasChoices("memory_export_id", "memoryExportId")
    )
    filters: Filters | None = None


class SummaryBody(BaseModel):
    """The memories to summarise."""

    filters: Filters


class FeedbackBody(BaseModel):
    """Feedback on a memory."""

    memory_id: Text
    feedback: Literal["POSITIVE", "NEGATIVE", "VERY_NEGATIVE"] | None = None
    feedback_reason: Text | None = None
