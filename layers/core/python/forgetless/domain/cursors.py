"""Cursors: where a page of a list ended, as one opaque text that can stand in a URL."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from forgetless.domain.documents import Document
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.jobs import Job
from forgetless.domain.limits import INT64
from forgetless.domain.memory import Memory
from forgetless.domain.scope import SCOPE_IDS
from forgetless.domain.times import is_timestamp

__all__ = [
    "BAD_CURSOR",
    "after_document",
    "after_job",
    "after_memory",
    "entity_place",
    "from_cursor",
    "memory_place",
    "time_place",
    "to_cursor",
]

BAD_CURSOR = "cursor must be one that this list gave; leave it out to start at the first page"


def to_cursor(*keys: str | int) -> str:
    """The sort keys of the last row of a page as one opaque text."""
    # JSON in ASCII, because a key may hold lone surrogates.
    return urlsafe_b64encode(json.dumps(keys, separators=(",", ":")).encode("ascii")).decode("ascii").rstrip("=")


def from_cursor(cursor: str, *types: type) -> list[Any]:
    """The sort keys of `to_cursor`; raises InvalidRequestError when the cursor is not one of ours."""
    try:
        keys = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError):
        keys = None
    if not isinstance(keys, list) or [type(key) for key in keys] != list(types):
        raise InvalidRequestError(BAD_CURSOR)
    return keys


def after_memory(memory: Memory) -> str:
    """The cursor of the page that begins after this memory. Lists of memories are ordered by these keys."""
    return to_cursor(memory.created_at, memory.position, memory.id)


def entity_place(cursor: str) -> tuple[str, str]:
    """The keys (kind, id) of a cursor of a list of entities."""
    kind, id_ = from_cursor(cursor, str, str)
    if f"{kind}_id" not in SCOPE_IDS:
        raise InvalidRequestError(BAD_CURSOR)
    return kind, id_


def after_job(job: Job) -> str:
    """The cursor of the page that begins after this job."""
    return to_cursor(job.created_at, job.id)


def after_document(document: Document) -> str:
    """The cursor of the page that begins after this document."""
    return to_cursor(document.created_at, document.id)


def memory_place(cursor: str) -> tuple[str, int, str]:
    """The keys of `after_memory`."""
    created_at, position, id_ = from_cursor(cursor, str, int, str)
    if not is_timestamp(created_at) or position not in INT64:
        raise InvalidRequestError(BAD_CURSOR)
    return created_at, position, id_


def time_place(cursor: str) -> tuple[str, str]:
    """The keys of a cursor of a list that is ordered by (created_at, id): jobs and documents."""
    created_at, id_ = from_cursor(cursor, str, str)
    if not is_timestamp(created_at):
        raise InvalidRequestError(BAD_CURSOR)
    return created_at, id_
