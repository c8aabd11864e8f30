"""Rows for the index: small memories with small vectors."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from forgetless.domain.memory import Memory
from forgetless.domain.scope import Scope
from forgetless.domain.sparse_words import RESERVED_ID, SparseVector, term_id
from forgetless.ports.index import Hit, IndexRow

DIMENSIONS = 4
AT = "2026-01-02T03:04:05.000006+00:00"
NORTH, EAST, NORTH_EAST = [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]


def memory(name: str = "", *, tenant: str = "acme", version: int = 1, **fields: Any) -> Memory:
    """A memory whose id follows from `name` (a new one without), with scope ids among `fields`."""
    ids = {key: fields.pop(key) for key in ("user_id", "agent_id", "app_id", "run_id") if key in fields}
    identity = str(uuid.uuid5(uuid.NAMESPACE_OID, name) if name else uuid.uuid4())
    defaults: dict[str, Any] = {"created_at": AT, "updated_at": AT, "job_id": str(uuid.uuid4()), "text": name}
    return Memory(id=identity, version=version, scope=Scope(tenant, **ids), **{**defaults, **fields})


def row(memory: Memory, vector: Sequence[float] = NORTH, words: str = "", *, signals: int = 0) -> IndexRow:
    """A row with these words, each of which weighs 1."""
    return IndexRow(memory, vector, {RESERVED_ID: 1.0, **asked(words)}, signals)


def asked(words: str, **weights: float) -> SparseVector:
    """A search for these words, each with weight 1 or the one that is named."""
    return {term_id(word): weights.get(word, 1.0) for word in words.split()}


def ids(found: Sequence[Hit]) -> list[str]:
    return [hit.memory_id for hit in found]
