"""Bodies of the self-hosted dialect's requests. Unknown fields are ignored, as in mem0's server, but not of keys."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from forgetless.api.field_checks import Text, Whole
from forgetless.api.messages import Messages
from forgetless.api.size_limits import Filters, Id, Instructions, MemoryText, Metadata, Word

__all__ = [
    "DEFAULT_OVERLAP_S",
    "MAX_LABEL_CHARS",
    "MAX_OVERLAP_S",
    "MAX_USERS",
    "ExportBegin",
    "ExportFetch",
    "ImportBegin",
    "InstructionsBody",
    "KeyCreate",
    "KeyRotate",
    "MemoryCreate",
    "MemoryUpdate",
]

MAX_LABEL_CHARS = 200
MAX_USERS = 100
#: How long a key lives on beside its successor: a day, or at most 30.
DEFAULT_OVERLAP_S, MAX_OVERLAP_S = 86_400, 30 * 86_400
_MAX_FILE_CHARS = 255


class MemoryCreate(BaseModel):
    """The messages to store, with at least one of user_id, agent_id and run_id, here or in `filters`."""

    messages: Messages
    filters: Filters | None = None
    user_id: Id | None = None
    agent_id: Id | None = None
    run_id: Id | None = None
    metadata: Metadata | None = None
    expiration_date: Word | None = None
    infer: bool = True
    memory_type: Word | None = None
    prompt: Instructions | None = None


class MemoryUpdate(BaseModel):
    """The changes of a memory. A missing field stays as it is; `"expiration_date": null` clears the date."""

    text: MemoryText | None = None
    metadata: Metadata | None = None
    expiration_date: Word | None = None


class InstructionsBody(BaseModel):
    """What the application uses memories for."""

    use_case: Instructions


class KeyCreate(BaseModel):
    """The key to create; all but `label` are additions of Forgetless.

    Unknown fields are refused: a misspelt limit or expiry would make a key that may do more than it should.
    """

    model_config = ConfigDict(extra="forbid")

    label: str = Field(min_length=1, max_length=MAX_LABEL_CHARS)
    role: Literal["admin", "write", "read"] = "write"
    #: The users that it is limited to; without them, it may reach all users.
    user_ids: list[Id] | None = Field(default=None, max_length=MAX_USERS)
    #: The agents and apps that it may use for its users; `*` stands for all.
    agent_ids: list[Id] = Field(default=[], max_length=MAX_USERS)
    app_ids: list[Id] = Field(default=[], max_length=MAX_USERS)
    #: From this time on the key is refused.
    expires_at: Word | None = None


class KeyRotate(BaseModel):
    """For how many seconds the old key stays valid beside its successor, which has the same role and limits."""

    model_config = ConfigDict(extra="forbid")

    overlap_seconds: Whole = Field(default=DEFAULT_OVERLAP_S, ge=0, le=MAX_OVERLAP_S)


class ImportBegin(BaseModel):
    """The import to begin or to go on with. `file` is its name for people, `lines` their number, if it is known."""

    id: UUID
    file: Text = Field(default="", max_length=_MAX_FILE_CHARS)
    lines: Whole | None = Field(default=None, ge=0)
    #: Begin at the first line, wherever the import is.
    afresh: bool = False


class ExportBegin(BaseModel):
    """The export to begin or to go on with."""

    id: UUID


class ExportFetch(BaseModel):
    """Which portion of an export to fetch; null is the first one."""

    cursor: str | None = Field(default=None, max_length=4096)
