"""The body of a search."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from forgetless.api.wire.text import Text

__all__ = ["MAX_TOP_K", "SearchBody"]

MAX_TOP_K = 1000


class SearchBody(BaseModel):
    """A query and whose memories it is about: `filters` with user_id, agent_id or run_id at its top level."""

    query: Text
    filters: dict[str, Any] | None = None
    user_id: Text | None = None
    agent_id: Text | None = None
    run_id: Text | None = None
    top_k: int | None = Field(default=None, le=MAX_TOP_K)
    threshold: float | None = None
    explain: bool = False
    show_expired: bool = False
    as_of: Text | None = None
    known_at: Text | None = None
