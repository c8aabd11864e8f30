"""The body of a search on the Platform, and what other bodies share: the function for searches loads no other."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, BaseModel, Field

from forgetless.api.field_checks import Number, Text, Whole, no_truth
from forgetless.api.size_limits import Chars, Entries, FilterNodes, Filters, Id, Query, Word
from forgetless.domain.limits import MAX_TOP_K

__all__ = ["Categories", "Fields", "Ids", "Moment", "SearchBody"]

#: The most fields that a request may ask for.
MAX_FIELDS = 100

#: A time: Unix seconds or text.
Moment = Annotated[int | float | Word, no_truth("a time")]
Fields = Annotated[list[Word], Entries(MAX_FIELDS), Chars(255)]
Categories = Annotated[list[Text], FilterNodes()]


class Ids(BaseModel):
    """The scope: the ids at the top level of a body."""

    user_id: Id | None = None
    agent_id: Id | None = None
    app_id: Id | None = None
    run_id: Id | None = Field(default=None, validation_alias=AliasChoices("run_id", "session_id"))


class SearchBody(Ids):
    """A query, and the scope to search."""

    query: Query
    filters: Filters | None = None
    top_k: Whole | None = Field(default=None, ge=1, le=MAX_TOP_K)
    limit: Whole | None = Field(default=None, ge=1, le=MAX_TOP_K)
    threshold: Number | None = Field(default=None, ge=0, le=1)
    fields: Fields | None = None
    categories: Categories | None = None
    metadata: Filters | None = None
    show_expired: bool | None = None
    reference_date: Moment | None = None
    output_format: Word | None = None
    as_of: Word | None = None
    known_at: Word | None = None
