"""The store of raw messages."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from forgetless.adapters.ledger_codec import (
    dump_job,
    dump_message,
    from_blob,
    load_job,
    load_memory,
    load_message,
    scope_columns,
    to_blob,
)
from forgetless.adapters.ledger_sqlite import blobs, scope_sql
from forgetless.adapters.ledger_sqlite.append import drop_context
from forgetless.adapters.ledger_sqlite.connections import Store
from forgetless.domain.cursors import from_cursor, to_cursor
from forgetless.domain.limits import HISTORIES_AT_ONCE, JOBS_AT_ONCE
from forgetless.domain.memory import Memory, Message, MessageRef
from forgetless.domain.portions import first_portion, weighed_portions
from forgetless.domain.scope import Scope

__all__ = ["FIRST_MESSAGES", "MessageStore", "insert"]

_SELECT = (
    "SELECT job_id, position, created_at, user_id, agent_id, app_id, run_id, body"
    " FROM messages CROSS JOIN texts USING (text_id) "
)

#: Variables of one statement have a limit.
_VARIABLES = 500

#: The first message of each job, in the order of jobs; it has no body if the job exists. The columns beside `min` are
#: those of the row with the lowest position.
FIRST_MESSAGES = """
WITH first AS (
    SELECT tenant, job_id, min(position) AS position, created_at, user_id, agent_id, app_id, run_id, text_id
    FROM messages WHERE tenant = ? AND job_id > ? GROUP BY job_id ORDER BY job_id LIMIT ?
)
SELECT job_id, position, created_at, user_id, agent_id, app_id, run_id,
       CASE WHEN EXISTS (SELECT 1 FROM jobs WHERE jobs.tenant = first.tenant AND id = job_id) THEN NULL ELSE body END
FROM first CROSS JOIN texts USING (text_id)
"""

_FIND = "SELECT text_id FROM messages WHERE tenant = ? AND job_id = ? AND position = ?"

_INSERT = (
    "INSERT INTO messages (tenant, job_id, position, created_at, scope_key, user_id, agent_id, app_id, run_id, text_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

_DELETE = "DELETE FROM messages WHERE tenant = ? AND job_id = ? AND position = ?"

_MEMORY_BODY = "SELECT body FROM memories CROSS JOIN texts USING (text_id)"

#: A finished job loses its request, which contains metadata, and its scope with the last message of the job.
_ORPHANED_JOB = """
SELECT text_id, body FROM jobs WHERE tenant = ?1 AND id = ?2 AND state IN ('SUCCEEDED', 'FAILED')
AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.tenant = ?1 AND job_id = ?2)
"""


class MessageStore(Store):
    """See `forgetless.ports.request_ledger.MessageStore`."""

    def read_messages(
        self, tenant: str, refs: Sequence[MessageRef], *, most_chars: int | None = None
    ) -> dict[MessageRef, Message]:
        def look(db: sqlite3.Connection) -> list[Message]:
            # One after the other is shortened, so only one of them is here as a whole.
            return [load_message(tenant, row).beginning(most_chars) for row in _read(db, tenant, refs)]

        return {message.ref: message for message in self._connections.read(look)}

    def job_messages(self, tenant: str, job_id: str) -> list[Message]:
        rows = self._connections.read(
            lambda db: db.execute(
                _SELECT + "WHERE tenant = ? AND job_id = ? ORDER BY position", (to_blob(tenant), to_blob(job_id))
            ).fetchall()
        )
        return [load_message(tenant, row) for row in rows]

    def messages_of_jobs(self, tenant: str, job_ids: Sequence[str]) -> tuple[dict[str, list[Message]], int]:
        wanted = list(map(to_blob, job_ids))
        rows, looked = self._connections.read(lambda db: _read_jobs(db, to_blob(tenant), wanted))
        found: dict[str, list[Message]] = {}
        for row in rows:
            message = load_message(tenant, row)
            found.setdefault(message.ref.job_id, []).append(message)
        return found, looked

    def recent_messages(self, scope: Scope, *, since: str, before: str, limit: int) -> list[Message]:
        query = (
            _SELECT + "WHERE scope_key = ? AND created_at >= ? AND created_at < ?"
            " ORDER BY created_at DESC, job_id DESC, position DESC LIMIT ?"
        )
        params = (scope.key(), since, before, limit)
        rows, _ = self._connections.read(lambda db: _first(db, query, params, HISTORIES_AT_ONCE, limit))
        return [load_message(scope.tenant, row) for row in reversed(rows)]

    def erase_messages(self, tenant: str, refs: Sequence[MessageRef], *, at: str) -> int:
        if not refs:
            return 0
        erased = self._connections.write(lambda db: erase(db, tenant, refs, at), durable=True)
        self._connections.note_erased()
        return erased

    def erase_scope_messages(self, tenant: str, ids: Mapping[str, str], *, at: str) -> int:
        scope_sql.where(tenant, ids)  # raises for unknown names
        erased = self._connections.write(lambda db: _erase_scope(db, tenant, ids, at), durable=True)
        self._connections.note_erased()
        return erased

    def scope_messages(
        self, tenant: str, ids: Mapping[str, str], *, limit: int, cursor: str | None = None
    ) -> tuple[list[Message], str | None]:
        condition, params = scope_sql.where(tenant, ids)
        if cursor is not None:
            job_id, position = from_cursor(cursor, str, int)
            condition += " AND (job_id, position) > (?, ?)"
            params += [to_blob(job_id), position]
        width = scope_sql.narrowest(ids)
        index = "" if width == "tenant" else f"INDEXED BY messages_by_{width}"
        query = (
            "SELECT job_id, position, created_at, user_id, agent_id, app_id, run_id, body"  # noqa: S608 - our own names
            f" FROM messages {index} CROSS JOIN texts USING (text_id)"
            f" WHERE {condition} ORDER BY job_id, position LIMIT ?"
        )
        params.append(limit + 1)
        rows, more = self._connections.read(lambda db: _first(db, query, params, JOBS_AT_ONCE, limit))
        found = [load_message(tenant, row) for row in rows]
        last = found[-1].ref if more and found else None
        return found, to_cursor(last.job_id, last.position) if last else None

    def messages_without_job(
        self, tenant: str, *, limit: int, cursor: str | None = None
    ) -> tuple[list[Message], str | None]:
        after = to_blob(from_cursor(cursor, str)[0]) if cursor is not None else b""
        params = (to_blob(tenant), after, limit + 1)
        rows, more = self._connections.read(lambda db: _first(db, FIRST_MESSAGES, params, JOBS_AT_ONCE, limit))
        found = [load_message(tenant, row) for row in rows if row[-1] is not None]
        return found, to_cursor(from_blob(rows[-1][0])) if more and rows else None


def insert(db: sqlite3.Connection, messages: Iterable[Message]) -> None:
    """Add those messages that do not exist yet."""
    for message in messages:
        key = _key(message.scope.tenant, message.ref)
        if db.execute(_FIND, key).fetchone() is None:
            scope = message.scope
            text_id = blobs.add(db, dump_message(message))
            db.execute(_INSERT, (*key, message.created_at, scope.key(), *scope_columns(scope), text_id))


def _key(tenant: str, ref: MessageRef) -> tuple[bytes, bytes, int]:
    return to_blob(tenant), to_blob(ref.job_id), ref.position


def _read(db: sqlite3.Connection, tenant: str, refs: Iterable[MessageRef]) -> Iterator[tuple[Any, ...]]:
    query = _SELECT + "WHERE tenant = ? AND job_id = ? AND position = ?"
    found = (db.execute(query, _key(tenant, ref)).fetchone() for ref in refs)
    return (row for row in found if row is not None)


def _first(
    db: sqlite3.Connection, query: str, params: Sequence[object], most: int, count: int
) -> tuple[list[tuple[Any, ...]], bool]:
    """The first rows, each of which ends with a body or None, until they have `most` bytes; whether more follow."""
    # A statement that is not read to its end goes on reading the log.
    with contextlib.closing(db.execute(query, params)) as rows:
        return first_portion(rows, lambda row: len(row[-1] or b""), most=most, count=count)


def _read_jobs(db: sqlite3.Connection, tenant: bytes, jobs: Sequence[bytes]) -> tuple[list[tuple[Any, ...]], int]:
    """The rows of the first of these jobs, and how many jobs these are. Bytes are counted before they are read."""
    some = jobs[:_VARIABLES]
    query = (
        "SELECT job_id, sum(length(body)) FROM messages CROSS JOIN texts USING (text_id)"  # noqa: S608 - our own names
        f" WHERE tenant = ? AND job_id IN ({_places(some)}) GROUP BY job_id"
    )
    sizes = dict(db.execute(query, (tenant, *some)).fetchall())
    few = next(weighed_portions(some, lambda job: sizes.get(job, 0), most=JOBS_AT_ONCE, count=len(some)), [])
    if not few:
        return [], 0
    query = f"{_SELECT} WHERE tenant = ? AND job_id IN ({_places(few)}) ORDER BY job_id, position"
    return db.execute(query, (tenant, *few)).fetchall(), len(few)


def _places(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def erase(db: sqlite3.Connection, tenant: str, refs: Iterable[MessageRef], at: str) -> int:
    """Remove the messages, also from the context of memories; returns how many there were."""
    gone = frozenset(refs)
    erased = 0
    carriers: set[bytes] = set()
    for ref in gone:
        key = _key(tenant, ref)
        found = db.execute(_FIND, key).fetchone()
        if found is not None:
            blobs.blank(db, found)
            db.execute(_DELETE, key)
            erased += 1
        # The links of expired messages remain, because their words are still in the index.
        links = db.execute("SELECT memory_id FROM contexts WHERE tenant = ? AND job_id = ? AND position = ?", key)
        carriers.update(memory_id for (memory_id,) in links)
    for job_id in {ref.job_id for ref in gone}:
        forget_orphaned_job(db, to_blob(tenant), to_blob(job_id))
    for memory in _memories(db, tenant, carriers):
        drop_context(db, memory, gone, at)
    return erased


def forget_orphaned_job(db: sqlite3.Connection, tenant: bytes, job_id: bytes) -> None:
    """Erase whose a job was and what it asked, if it has ended and has no messages: no erasure would find it."""
    for text_id, body in db.execute(_ORPHANED_JOB, (tenant, job_id)).fetchall():
        blobs.blank(db, [text_id])
        forgotten = dump_job(load_job(from_blob(tenant), body, b"").nobodys())
        db.execute("UPDATE jobs SET body = ? WHERE tenant = ? AND id = ?", (forgotten, tenant, job_id))


def _erase_scope(db: sqlite3.Connection, tenant: str, ids: Mapping[str, str], at: str) -> int:
    condition, params = scope_sql.where(tenant, ids)
    width = scope_sql.narrowest(ids)
    index = "" if width == "tenant" else f"INDEXED BY messages_by_{width}"
    rows = db.execute(f"SELECT job_id, position FROM messages {index} WHERE {condition}", params)  # noqa: S608 - our own names
    refs = {MessageRef(from_blob(job_id), position) for job_id, position in rows}
    erased = erase(db, tenant, refs, at)
    # Context comes from the memory's own scope. Only the memories still refer to messages that have expired.
    query = (
        f"SELECT body FROM memories INDEXED BY memories_by_{width} CROSS JOIN texts USING (text_id)"  # noqa: S608
        f" WHERE {condition} AND context_size > 0 AND state < 2"
    )
    bodies = db.execute(query, params).fetchall()
    for memory in [load_memory(tenant, body) for (body,) in bodies]:
        there = {message[:2] for message in _read(db, tenant, memory.context)}
        expired = {ref for ref in memory.context if (to_blob(ref.job_id), ref.position) not in there}
        if expired:
            drop_context(db, memory, frozenset(expired), at)
    return erased


def _memories(db: sqlite3.Connection, tenant: str, ids: Iterable[bytes]) -> Iterator[Memory]:
    query = f"{_MEMORY_BODY} WHERE tenant = ? AND id = ?"
    return (load_memory(tenant, db.execute(query, (to_blob(tenant), id_)).fetchone()[0]) for id_ in ids)
