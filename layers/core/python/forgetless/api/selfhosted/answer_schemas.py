"""Schemas of the self-hosted dialect's answers, for the OpenAPI document alone: no request loads this module."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["ANSWERS", "Problem"]


class _Answer(BaseModel):
    """No other keys than these."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """What every refusal has; more keys may follow."""

    detail: str | list[dict[str, Any]]


class Message(_Answer):
    """That it was done."""

    message: str


class Updated(Message):
    """That it was changed, and which version it has now."""

    version: int


class Added(_Answer):
    """One memory that an add has made; role and actor where messages were stored as they are."""

    id: str
    memory: str
    event: Literal["ADD", "UPDATE"]
    version: int
    actor_id: str | None = None
    role: str | None = None


class AddAnswer(_Answer):
    """The memories that were made; `indexed` and `extraction` when something is out of the ordinary."""

    results: list[Added]
    event_id: str
    indexed: Literal[False] | None = None
    extraction: Literal["none"] | None = None


class Memory(_Answer):
    """One memory; what it has no value for is left out, but for metadata."""

    id: str
    memory: str
    hash: str
    version: int
    metadata: dict[str, Any] | None
    created_at: str
    updated_at: str
    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None
    actor_id: str | None = None
    role: str | None = None
    attributed_to: str | None = None
    expiration_date: str | None = None
    superseded_by: str | None = None


class MemoryOne(Memory):
    """One memory by its id."""

    score: None


class MemoryFound(Memory):
    """A hit; `score_details` when the search was to explain."""

    score: float
    score_details: dict[str, float | None] | None = None


class Listed(_Answer):
    """Memories of a scope, newest first; without an id in the query every key is always there."""

    results: list[Memory]


class Found(_Answer):
    """Memories that matter for the query, best first."""

    results: list[MemoryFound]


class HistoryEvent(_Answer):
    """One event of a memory."""

    id: str
    memory_id: str
    version: int
    old_memory: str | None
    new_memory: str | None
    event: Literal["ADD", "UPDATE", "DELETE"]
    created_at: str
    updated_at: str | None
    is_deleted: bool
    actor_id: str | None
    role: str | None


class Entity(_Answer):
    """One user, agent or run."""

    id: str
    type: Literal["user", "agent", "run"]
    total_memories: int
    created_at: str | None
    updated_at: str | None


class Key(_Answer):
    """A key without its secret."""

    id: str
    label: str
    key_prefix: str
    created_at: str
    role: Literal["admin", "write", "read"]
    user_ids: list[str]


class KeyListed(Key):
    """A key and its last use, to ten minutes."""

    last_used_at: str | None


class KeyMade(Key):
    """A new key; `key` is shown here and never again."""

    key: str


class Instructions(_Answer):
    """What the LLM wrote."""

    custom_instructions: str
    test_message: str


class Health(BaseModel):
    """Each part and what it says; `detail` names those that do not answer."""

    status: Literal["ok", "unavailable"]
    parts: dict[str, str]
    detail: str | None = None


#: Status and type of the answer by method and path.
ANSWERS: dict[tuple[str, str], tuple[int, Any]] = {
    ("POST", "/memories"): (200, AddAnswer),
    ("GET", "/memories"): (200, Listed),
    ("DELETE", "/memories"): (200, Message),
    ("GET", "/memories/{memory_id}"): (200, MemoryOne | None),
    ("PUT", "/memories/{memory_id}"): (200, Updated),
    ("DELETE", "/memories/{memory_id}"): (200, Message),
    ("GET", "/memories/{memory_id}/history"): (200, list[HistoryEvent]),
    ("POST", "/reset"): (200, Message),
    ("POST", "/search"): (200, Found),
    ("GET", "/entities"): (200, list[Entity]),
    ("DELETE", "/entities/{entity_type}/{entity_id}"): (200, Message),
    ("GET", "/configure"): (200, dict[str, Any]),
    ("GET", "/configure/providers"): (200, dict[str, list[str]]),
    ("POST", "/configure"): (403, Problem),
    ("POST", "/generate-instructions"): (200, Instructions),
    ("GET", "/api-keys"): (200, list[KeyListed]),
    ("POST", "/api-keys"): (201, KeyMade),
    ("DELETE", "/api-keys/{key_id}"): (200, Message),
    ("GET", "/health"): (200, Health),
}
