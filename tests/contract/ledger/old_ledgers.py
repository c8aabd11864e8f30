"""Ledgers as earlier versions of Forgetless wrote them, built from the scripts and the statements of that time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from forgetless.adapters.ledger_codec import dump_memory, scope_columns, to_blob
from forgetless.adapters.ledger_sqlite.schema import _MIGRATIONS
from forgetless.domain.memory import Memory

__all__ = ["sqlite_of_schema_3"]

_MEMORY = """
INSERT INTO memories (tenant, id, version, state, created_at, position, updated_at, user_id, agent_id, app_id, run_id,
                      scope_key, hash, extracted, pending_since, context_size, text_id)
VALUES (?, ?, 1, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, 0, ?)
"""
_EVENT = "INSERT INTO events (tenant, memory_id, version, kind, job_id, text_id) VALUES (?, ?, 1, 'ADD', ?, ?)"


def sqlite_of_schema_3(path: Path, memories: Sequence[Memory], *, pending: Iterable[Memory] = ()) -> None:
    """A file of schema 3 with these memories, of which some are pending since their creation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = {memory.id for memory in pending}
    with closing(sqlite3.connect(path)) as db:
        for script in _MIGRATIONS[:3]:
            db.executescript(script)
        db.execute("PRAGMA user_version = 3")
        for memory in memories:
            text_id = db.execute("INSERT INTO texts (body) VALUES (?)", (dump_memory(memory),)).lastrowid
            key, scope = (to_blob(memory.scope.tenant), to_blob(memory.id)), memory.scope
            since = memory.updated_at if memory.id in waiting else None
            order = (memory.created_at, memory.position, memory.updated_at)
            text = (scope.key(), memory.hash, since, text_id)
            db.execute(_MEMORY, (*key, *order, *scope_columns(scope), *text))
            db.execute(_EVENT, (*key, to_blob(memory.job_id), text_id))
        db.commit()
