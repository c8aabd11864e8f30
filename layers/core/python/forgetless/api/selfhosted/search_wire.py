"""The body of a search in the self-hosted dialect, which the function for searches loads without the others."""

from __future__ import annotations

from pydantic import BaseModel, Field

from forgetless.api.field_checks import Number, Whole
from forgetless.api.size_limits import Filters, Id, Query, Word
from forgetless.domain.limits import MAX_TOP_K

__all__ = ["SearchBody"]


class SearchBody(BaseModel):
    """A query and the scope to search: `filters` with user_id, agent_id or run_id at its top level."""

    query: Query
    filters: Filters | None = None
    user_id: Id | None = None
    agent_id: Id | None = None
    run_id: Id | None = None
    top_k: Whole | None = Field(default=None, le=MAX_TOP_K)
    threshold: Number | None = None
    explain: bool = False
    show_expired: bool = False
    as_of: Word | None = None
    known_at: Word | None = None
