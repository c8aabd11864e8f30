"""The body of `POST /api-keys`; unknown fields are ignored."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

__all__ = ["MAX_LABEL_CHARS", "MAX_USERS", "KeyCreate"]

MAX_LABEL_CHARS = 200
MAX_USERS = 100


class KeyCreate(BaseModel):
    """A key to be made; `role` and `user_ids` are ours."""

    label: str = Field(min_length=1, max_length=MAX_LABEL_CHARS)
    role: Literal["admin", "write", "read"] = "write"
    user_ids: list[str] = Field(default=[], max_length=MAX_USERS)
