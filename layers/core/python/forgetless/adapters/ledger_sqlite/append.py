"""Appending events: versions, repeats, duplicates and erasure, inside one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from forgetless.adapters.ledger_codec import dump_memory, from_blob, load_memory, scope_columns, to_blob
from forgetless.adapters.ledger_sqlite import blobs, documents, idempotency_records
from forgetless.adapters.ledger_sqlite.totals import TotalChanges
from forgetless.adapters.running_total import Counted
from forgetless.domain.erasures import Judge
from forgetless.domain.errors import DuplicateTextError, VersionConflictError
from forgetless.domain.memory import Event, EventKind, Memory, MessageRef, is_repeat
from forgetless.domain.scope import Scope

__all__ = [
    "DELETED",
    "LIVE",
    "SUPERSEDED",
    "apply",
    "check_duplicates",
    "drop_context",
    "find",
    "link_context",
    "read",
    "unlink_context",
]

#: The values of the column `state`.
LIVE, SUPERSEDED, DELETED = 0, 1, 2

_CURRENT = """
SELECT version, context_size, coalesce(pending_since, behind_since, aside_since) IS NOT NULL, state,
       created_at, updated_at, expires, user_id, agent_id, app_id, run_id FROM memories
WHERE tenant = ? AND id = ?
"""

_HELD = """
SELECT events.kind, texts.body, memories.state FROM events CROSS JOIN texts USING (text_id)
CROSS JOIN memories ON memories.tenant = events.tenant AND memories.id = events.memory_id
WHERE events.tenant = ? AND events.memory_id = ? AND events.version = ?
"""

_INSERT_EVENT = "INSERT INTO events (tenant, memory_id, version, kind, job_id, text_id) VALUES (?, ?, ?, ?, ?, ?)"

_PUT_MEMORY = """
INSERT INTO memories (tenant, id, version, state, created_at, position, updated_at, user_id, agent_id, app_id, run_id,
                      scope_key, hash, extracted, pending_since, context_size, text_id, expires,
                      superseded_by)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
ON CONFLICT (tenant, id) DO UPDATE SET
    version = ?3, state = ?4, created_at = ?5, position = ?6, updated_at = ?7,
    user_id = ?8, agent_id = ?9, app_id = ?10, run_id = ?11,
    scope_key = ?12, hash = ?13, extracted = ?14, pending_since = ?15, context_size = ?16, text_id = ?17,
    expires = ?18, superseded_by = ?19, refusals = 0, aside_since = NULL, aside_reason = NULL
"""


def apply(db: sqlite3.Connection, event: Event, totals: TotalChanges) -> bool:
    """Write one event and the memory's state after it; False when the ledger already has the event.

    The caller writes the changes of `totals`.
    """
    memory = event.memory
    tenant, id_ = to_blob(memory.scope.tenant), to_blob(memory.id)
    current = db.execute(_CURRENT, (tenant, id_)).fetchone()
    version, context_size, was_pending, state, *held = current or (0, 0, 0, DELETED)
    erases = event.kind is EventKind.DELETE or memory.deleted
    if erases:
        memory = memory.blanked(deleted=True).nobodys()
        documents.forget_of_memory(db, tenant, id_)
    if memory.version != version + 1:
        if _is_held(db, Event(event.kind, memory)):
            return False
        raise VersionConflictError(
            f"memory {memory.id}: version {memory.version} does not follow version {version}; read it again"
        )
    if context_size:
        unlink_context(db, read(db, memory.scope.tenant, memory.id))
    if memory.version > 1 and erases:
        _blank_events(db, memory.scope.tenant, id_)
    text_id = blobs.add(db, dump_memory(memory))
    db.execute(_INSERT_EVENT, (tenant, id_, memory.version, str(event.kind), to_blob(memory.job_id), text_id))
    _put(db, memory, text_id, pending_since=memory.pending_since(contested=bool(was_pending)))
    if memory.context:
        link_context(db, memory)
    before = Counted(held[0], held[1], bool(held[2])) if state == LIVE else None
    # A deleted memory has lost its ids.
    ids = (from_blob(id_) if id_ is not None else "" for id_ in held[3:])
    totals.add(before, memory, scope=Scope(memory.scope.tenant, *ids) if version else memory.scope)
    return True


def check_duplicates(db: sqlite3.Connection, events: Sequence[Event], judge: Judge) -> None:
    """Raise DuplicateTextError for new ADDs whose text another live extracted memory of their scope has.

    Memories that an erasure covers or that have expired do not count: nobody is shown them.

    It checks the state after the whole call, so one call may supersede a memory and add its text again. Of two ADDs
    with the same text in a call, the first one is accepted. The write lock makes the check and the write atomic.
    """
    refused: list[str] = []
    candidates = [event.memory for event in events if event.kind is EventKind.ADD and event.memory.extracted]
    later = {memory.id for memory in candidates}
    for memory in candidates:
        later.discard(memory.id)
        if not memory.live:
            continue
        holders = db.execute(
            "SELECT id FROM memories WHERE scope_key = ? AND hash = ? AND extracted = 1 AND state = 0",
            (memory.scope.key(), memory.hash),
        ).fetchall()
        others = {from_blob(holder) for (holder,) in holders} - {memory.id} - later
        held = (read(db, memory.scope.tenant, other) for other in others)
        if any(not (judge.hides(other) or other.expired(memory.accepted_at)) for other in held):
            refused.append(memory.id)
    if refused:
        raise DuplicateTextError(tuple(refused))


def link_context(db: sqlite3.Connection, memory: Memory) -> None:
    """Note which messages the memory has as its context."""
    db.executemany(
        "INSERT OR IGNORE INTO contexts (tenant, job_id, position, memory_id) VALUES (?, ?, ?, ?)", _links(memory)
    )


def unlink_context(db: sqlite3.Connection, memory: Memory) -> None:
    """Remove the notes of `link_context`."""
    db.executemany(
        "DELETE FROM contexts WHERE tenant = ? AND job_id = ? AND position = ? AND memory_id = ?", _links(memory)
    )


def _links(memory: Memory) -> list[tuple[bytes, bytes, int, bytes]]:
    tenant, id_ = to_blob(memory.scope.tenant), to_blob(memory.id)
    return [(tenant, to_blob(ref.job_id), ref.position, id_) for ref in memory.context]


def drop_context(db: sqlite3.Connection, memory: Memory, refs: frozenset[MessageRef], at: str) -> None:
    """Remove `refs` from the memory's context and mark it pending; its version does not change."""
    unlink_context(db, memory)
    memory = replace(memory, context=tuple(ref for ref in memory.context if ref not in refs))
    link_context(db, memory)
    key = (to_blob(memory.scope.tenant), to_blob(memory.id))
    db.execute(
        "UPDATE memories SET context_size = ?, pending_since = coalesce(pending_since, ?),"
        " refusals = 0, aside_since = NULL, aside_reason = NULL WHERE tenant = ? AND id = ?",
        (len(memory.context), at, *key),
    )
    (text_id,) = db.execute("SELECT text_id FROM memories WHERE tenant = ? AND id = ?", key).fetchone()
    blobs.shorten(db, text_id, dump_memory(memory))


def _put(db: sqlite3.Connection, memory: Memory, text_id: int, *, pending_since: str) -> None:
    state = DELETED if memory.deleted else LIVE if memory.superseded_by is None else SUPERSEDED
    scope = memory.scope
    head = (to_blob(scope.tenant), to_blob(memory.id), memory.version, state)
    order = (memory.created_at, memory.position, memory.updated_at)
    # A deleted memory has no digests, because they would confirm a guess at its text and its ids.
    text = ("", "") if memory.deleted else (scope.key(), memory.hash)
    newer = to_blob(memory.superseded_by) if state == SUPERSEDED and memory.superseded_by is not None else None
    tail = (pending_since, len(memory.context), text_id, int(memory.expiration_date is not None), newer)
    db.execute(_PUT_MEMORY, (*head, *order, *scope_columns(scope), *text, int(memory.extracted), *tail))


def _is_held(db: sqlite3.Connection, event: Event) -> bool:
    memory = event.memory
    row = db.execute(_HELD, (to_blob(memory.scope.tenant), to_blob(memory.id), memory.version)).fetchone()
    if row is None:
        return False
    kind, body, state = row
    held = Event(EventKind(kind), load_memory(memory.scope.tenant, body))
    return is_repeat(held, event, erased=state == DELETED)


def read(db: sqlite3.Connection, tenant: str, id_: str) -> Memory:
    """The memory, which exists."""
    found = find(db, tenant, id_)
    assert found is not None
    return found


def find(db: sqlite3.Connection, tenant: str, id_: str) -> Memory | None:
    """The memory; None if there is none."""
    query = "SELECT body FROM memories CROSS JOIN texts USING (text_id) WHERE tenant = ? AND id = ?"
    row = db.execute(query, (to_blob(tenant), to_blob(id_))).fetchone()
    return None if row is None else load_memory(tenant, row[0])


def _blank_events(db: sqlite3.Connection, tenant: str, memory_id: bytes) -> None:
    key = (to_blob(tenant), memory_id)
    query = "SELECT text_id, body FROM events CROSS JOIN texts USING (text_id) WHERE tenant = ? AND memory_id = ?"
    for text_id, body in db.execute(query, key).fetchall():
        memory = load_memory(tenant, body)
        blobs.shorten(db, text_id, dump_memory(memory.blanked(deleted=memory.deleted).nobodys()))
    # Answers stored for an Idempotency-Key also show the text. The job itself still runs only once.
    answers = db.execute("SELECT name FROM answered WHERE tenant = ? AND memory_id = ?", key).fetchall()
    for (name,) in answers:
        idempotency_records.drop(db, (key[0], name))
