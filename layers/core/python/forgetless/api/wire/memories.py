"""Bodies that add and change memories."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from forgetless.api.wire.text import Text

__all__ = ["MemoryCreate", "MemoryUpdate", "MessageIn"]


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
