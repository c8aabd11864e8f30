"""Bodies of the self-hosted dialect's requests; unknown fields are ignored, as mem0's server does."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from forgetless.api.field_checks import Text
from forgetless.domain.limits import MAX_TOP_K

__all__ = [
    "MAX_LABEL_CHARS",
    "MAX_USERS",
    "InstructionsBody",
    "KeyCreate",
    "MemoryCreate",
    "MemoryUpdate",
    "MessageIn",
    "SearchBody",
]

MAX_LABEL_CHARS = 200
MAX_USERS = 100


class MessageIn(BaseModel):
    """One message; anything beside role and content is dropped."""

    role: Text
    content: Text


class MemoryCreate(BaseModel):
    """Messages to remember, for at least one of user_id, agent_id and run_id."""

    messages: list[MessageIn]
    user_id: Text | None = None
    agent_id: Text | None = None
    run_id: Text | None = None
    metadata: dict[str, Any] | None = None
    expiration_date: Text | None = None
    infer: bool = True
    memory_type: Text | None = None
    prompt: Text | None = None


class MemoryUpdate(BaseModel):
    """What is to change; presence matters: `"expiration_date": null` clears it."""

    text: Text | None = None
    metadata: dict[str, Any] | None = None
    expiration_date: Text | None = None


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


class InstructionsBody(BaseModel):
    """What the memories are for."""

    use_case: Text


class KeyCreate(BaseModel):
    """A key to be made; `role` and `user_ids` are ours."""

    label: str = Field(min_length=1, max_length=MAX_LABEL_CHARS)
    role: Literal["admin", "write", "read"] = "write"
    user_ids: list[str] = Field(default=[], max_length=MAX_USERS)
