"""Schemas of the self-hosted dialect's answers, only for the OpenAPI document: no other request loads this module."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["ANSWERS", "Problem"]


class _Answer(BaseModel):
    """An answer with exactly the keys of its schema."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """An error; there may be more keys than `detail`."""

    detail: str | list[dict[str, Any]]


class Message(_Answer):
    """The confirmation that the request was done."""

    message: str


class Erased(Message):
    """The confirmation of an erasure, which is in effect, with the event that removes the rows."""

    event_id: str


class Updated(Message):
    """The confirmation of a change, with the memory's new version."""

    version: int


class Added(_Answer):
    """One memory that an add stored; with role and actor if messages were stored verbatim."""

    id: str
    memory: str
    event: Literal["ADD", "UPDATE"]
    version: int
    actor_id: str | None = None
    role: str | None = None


class AddAnswer(_Answer):
    """The memories that were stored; `indexed` and `extraction` are present only if they are not as usual."""

    results: list[Added]
    event_id: str
    indexed: Literal[False] | None = None
    extraction: Literal["none"] | None = None


class Memory(_Answer):
    """One memory. Fields without a value are left out, except metadata."""

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
    source_key: str | None = None
    source_job: str | None = None


class MemoryOne(Memory):
    """One memory by its id."""

    score: None


class MemoryFound(Memory):
    """A hit, with `score_details` if the request asked for an explanation."""

    score: float
    score_details: dict[str, bool | float | None] | None = None


class Listed(_Answer):
    """Memories of a scope, newest first. If the query names no id, every key is always present."""

    results: list[Memory]
    next_cursor: str | None = None


class Found(_Answer):
    """The memories that match the query, best first."""

    results: list[MemoryFound]


class MessagePlace(_Answer):
    """A message: the event id of its add, and its place in it, from 0."""

    event_id: str
    position: int


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
    superseded_by: str | None = None
    superseded_by_messages: list[MessagePlace] | None = None


class Entity(_Answer):
    """One user, agent or run."""

    id: str
    type: Literal["user", "agent", "run"]
    total_memories: int
    created_at: str | None
    updated_at: str | None
    totals_pending: Literal[True] | None = None


class UsageOfDay(_Answer):
    """What one key, or (`key_id: null`) the tenant, used on one day."""

    day: str
    key_id: str | None
    requests: int
    adds: int
    updates: int
    searches: int
    llm_tokens: int


class Quota(_Answer):
    """One quota that the key meets, and what is used of it."""

    of: Literal["key", "tenant"]
    quota: str
    limit: int
    used: int | None
    resets_at: str | None


class Usage(_Answer):
    """The days on which anything was used, and the quotas."""

    usage: list[UsageOfDay]
    quotas: list[Quota]
    next_cursor: str | None = None


class Key(_Answer):
    """A key without its secret."""

    id: str
    label: str
    key_prefix: str
    created_at: str
    role: Literal["admin", "write", "read"]
    user_ids: list[str]
    agent_ids: list[str]
    app_ids: list[str]
    expires_at: str | None


class KeyListed(Key):
    """A key and when it was last used, exact to ten minutes."""

    last_used_at: str | None


class KeyMade(Key):
    """A new key; `key` is its secret, which is shown only once."""

    key: str


class KeyReplaced(BaseModel):
    """A key that was rotated, and from when on it is refused."""

    id: str
    expires_at: str


class KeyRotated(KeyMade):
    """The successor of a key."""

    replaces: KeyReplaced


class AuditEntry(BaseModel):
    """One request; `scope` has a keyed digest of each id that it named, by the name of the id."""

    at: str
    kind: Literal["change", "refusal", "administrator's read"]
    key_id: str
    route: str
    tool: str | None
    status: int
    times: int
    scope: dict[str, list[str]]
    request_id: str


class Audit(_Answer):
    """A page of the audit list, newest first."""

    entries: list[AuditEntry]
    next_cursor: str | None


class Instructions(_Answer):
    """The instructions and the test message that the LLM wrote."""

    custom_instructions: str
    test_message: str


class Health(BaseModel):
    """Whether everything answers; administrators of the deployment also get the state of each part and the reasons."""

    status: Literal["ok", "degraded", "down"]
    parts: dict[str, str] | None = None
    detail: str | None = None


class ImportPlace(_Answer):
    """How far an import has come: the number of the next line, and the digest of all lines before it."""

    line: int
    digest: str
    memories: int
    events: int
    jobs: int
    refused: int
    ended: bool
    problems: list[str]
    left_out: int


class ImportCounts(_Answer):
    """The memories of some lines, and how many of them are there; `by_id` has both numbers for each id of a field."""

    memories: int
    found: int
    by_id: dict[str, dict[str, list[int]]]
    #: How many lines were counted, if the time was over before all were: send the rest.
    lines: int | None = None


class ExportPlace(_Answer):
    """How far an export has come: the cursor of the next portion (null: the first), and how much lies before it."""

    cursor: str | None
    bytes: int
    events: int
    ended: bool


#: The status and the type of the answer, by method and path.
ANSWERS: dict[tuple[str, str], tuple[int, Any]] = {
    ("POST", "/memories"): (200, AddAnswer),
    ("GET", "/memories"): (200, Listed),
    ("DELETE", "/memories"): (200, Erased),
    ("GET", "/memories/{memory_id}"): (200, MemoryOne | None),
    ("PUT", "/memories/{memory_id}"): (200, Updated),
    ("DELETE", "/memories/{memory_id}"): (200, Message),
    ("GET", "/memories/{memory_id}/history"): (200, list[HistoryEvent]),
    ("POST", "/reset"): (200, Erased),
    ("POST", "/search"): (200, Found),
    ("GET", "/entities"): (200, list[Entity]),
    ("DELETE", "/entities/{entity_type}/{entity_id}"): (200, Erased),
    ("GET", "/configure"): (200, dict[str, Any]),
    ("GET", "/configure/providers"): (200, dict[str, list[str]]),
    ("POST", "/configure"): (403, Problem),
    ("POST", "/generate-instructions"): (200, Instructions),
    ("GET", "/audit"): (200, Audit),
    ("GET", "/usage"): (200, Usage),
    ("GET", "/api-keys"): (200, list[KeyListed]),
    ("POST", "/api-keys"): (201, KeyMade),
    ("POST", "/api-keys/{key_id}/rotate"): (201, KeyRotated),
    ("DELETE", "/api-keys/{key_id}"): (200, Message),
    ("POST", "/import-jobs"): (200, ImportPlace),
    ("POST", "/import-jobs/{job_id}/lines"): (200, ImportPlace),
    ("POST", "/import-checks"): (200, ImportCounts),
    ("POST", "/export-jobs"): (200, ExportPlace),
    ("GET", "/health"): (200, Health),
}
