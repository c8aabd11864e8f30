"""The store of memories and their events."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from itertools import islice

from forgetless.adapters.ledger_codec import from_blob, load_memory, to_blob
from forgetless.adapters.ledger_sqlite import append, erasures, export_order, jobs, messages, scope_sql, totals, usage
from forgetless.adapters.ledger_sqlite.connections import Store
from forgetless.adapters.running_total import RunningTotal
from forgetless.domain.cursors import after_memory, entity_place, memory_place, to_cursor
from forgetless.domain.errors import LeaseLostError, LedgerError
from forgetless.domain.jobs import Job
from forgetless.domain.limits import HISTORIES_AT_ONCE
from forgetless.domain.memory import Event, EventKind, Memory, Message, MessageRef, VersionKey
from forgetless.domain.portions import first_portion, until_heavy
from forgetless.domain.times import far_after
from forgetless.domain.usage import Use
from forgetless.ports.ledger import EventPage
from forgetless.ports.request_ledger import (
    ENTITY_KINDS,
    NOTHING_SHOWN,
    Entity,
    EntityCounts,
    EntityPage,
    MemoryPage,
    Shown,
    Totals,
)

__all__ = ["BEHIND", "PENDING", "PENDING_OF_TENANT", "MemoryStore"]

_Total = tuple[totals.Key, RunningTotal]

#: Statements for these numbers of ids stay prepared. The last one is padded with NULLs, which equal nothing.
_READ_SIZES = (1, 8, 64, 512)

_PENDING = (
    "SELECT tenant, body FROM memories INDEXED BY {index} CROSS JOIN texts USING (text_id)"
    " WHERE {only}pending_since < ? ORDER BY pending_since, created_at, position, id LIMIT ?"
)
#: Pending memories, the oldest first: of all tenants, and of one. Each is read in the order of its index.
PENDING = _PENDING.format(index="memories_pending", only="")
PENDING_OF_TENANT = _PENDING.format(index="memories_pending_by_tenant", only="tenant = ? AND ")

_KEY = "tenant = ?1 AND id = ?2 AND version = ?3 AND context_size = ?4"
_IS_CURRENT = f"SELECT 1 FROM memories WHERE {_KEY}"  # noqa: S608 - our own names
_MARK_INDEXED = (
    "UPDATE memories SET pending_since = NULL, refusals = 0, aside_since = NULL, aside_reason = NULL,"  # noqa: S608
    " behind_since = CASE WHEN ?6 THEN updated_at ELSE behind_since END"
    f" WHERE {_KEY} AND (pending_since IS NOT NULL OR aside_since IS NOT NULL) AND (?5 IS NULL OR pending_since = ?5)"
)
_MARK_BEHIND = f"UPDATE memories SET behind_since = ?5 WHERE {_KEY}"  # noqa: S608 - our own names
_MARK_PENDING = f"UPDATE memories SET pending_since = ?5 WHERE {_KEY} AND pending_since IS NULL AND aside_since IS NULL"  # noqa: S608
_MARK_CAUGHT_UP = f"UPDATE memories SET behind_since = NULL WHERE {_KEY}"  # noqa: S608 - our own names
#: What the other generation lacks and the serving one has, the oldest first.
BEHIND = (
    "SELECT body FROM memories INDEXED BY memories_behind CROSS JOIN texts USING (text_id)"
    " WHERE behind_since IS NOT NULL AND pending_since IS NULL AND aside_since IS NULL"
    " AND tenant = ? AND behind_since < ? ORDER BY behind_since, created_at, position, id LIMIT ?"
)
#: The statements for times beyond `far_after`.
_BEYOND = {query: query.replace(" < ?", " > ?") for query in (PENDING, PENDING_OF_TENANT, BEHIND)}
#: How many memories one transaction marks as pending.
_MARKED_AT_ONCE = 2000

#: The rows of a recursive query are visited in the order in which they are found, so the nearest come first.
_SUPERSEDED_IDS = """
WITH RECURSIVE older (id) AS (
    SELECT id FROM memories INDEXED BY memories_superseded WHERE tenant = ?1 AND superseded_by = ?2
    UNION
    SELECT memories.id FROM older CROSS JOIN memories INDEXED BY memories_superseded
        ON memories.tenant = ?1 AND memories.superseded_by = older.id
)
SELECT id FROM older WHERE id <> ?2 LIMIT ?3
"""

_VERSION = (
    "SELECT body FROM events CROSS JOIN texts USING (text_id) CROSS JOIN memories"
    " ON memories.tenant = events.tenant AND memories.id = events.memory_id AND memories.state < 2"
    " WHERE events.tenant = ? AND memory_id = ? AND events.version = ?"
)

_HISTORY = (
    "SELECT kind, body FROM events CROSS JOIN texts USING (text_id)"
    " WHERE tenant = ? AND memory_id = ? AND version >= ? ORDER BY version"
)

_READ = "SELECT body FROM memories CROSS JOIN texts USING (text_id) WHERE tenant = ? AND id IN "

_READ_MANY = {size: f"{_READ}({', '.join('?' * size)})" for size in _READ_SIZES}
#: How long the body is stands before it, so this reads no body.
_SIZE = "SELECT length(body) FROM memories CROSS JOIN texts USING (text_id) WHERE tenant = ? AND id = ?"


class MemoryStore(Store):
    """See `forgetless.ports.request_ledger.MemoryStore`."""

    def append(
        self,
        events: Sequence[Event],
        *,
        completing: Job | None = None,
        messages: Sequence[Message] = (),
        unique: bool = True,
        shown: Shown = NOTHING_SHOWN,
        erasing: Sequence[MessageRef] = (),
        used: Sequence[Use] = (),
    ) -> None:
        self._connections.write(
            lambda db: _append(
                db, events, completing, messages, unique=unique, shown=shown, erasing=erasing, used=used
            ),
            durable=True,
        )
        if erasing or any(event.kind is EventKind.DELETE for event in events):
            self._connections.note_erased()

    def read(self, tenant: str, ids: Sequence[str]) -> dict[str, Memory]:
        bodies = self._connections.read(lambda db: _bodies(db, tenant, ids))
        memories = (load_memory(tenant, body) for (body,) in bodies)
        return {memory.id: memory for memory in memories}

    def read_some(self, tenant: str, ids: Sequence[str], *, most: int) -> tuple[dict[str, Memory], int]:
        looked, bodies = self._connections.read(lambda db: _first_bodies(db, tenant, ids, most))
        memories = (load_memory(tenant, body) for (body,) in bodies)
        return {memory.id: memory for memory in memories}, looked

    def known_ids(self, tenant: str, ids: Sequence[str]) -> dict[str, bool]:
        owner, query = to_blob(tenant), "SELECT state FROM memories WHERE tenant = ? AND id = ?"
        rows = self._connections.read(
            lambda db: {id_: db.execute(query, (owner, to_blob(id_))).fetchone() for id_ in ids}
        )
        return {id_: row[0] == append.DELETED for id_, row in rows.items() if row is not None}

    def history(self, tenant: str, memory_id: str) -> list[Event]:
        params = (to_blob(tenant), to_blob(memory_id), 1)
        rows = self._connections.read(lambda db: db.execute(_HISTORY, params).fetchall())
        return [Event(EventKind(kind), load_memory(tenant, body)) for kind, body in rows]

    def history_portion(self, tenant: str, memory_id: str, first: int, *, most: int) -> tuple[list[Event], bool]:
        params = (to_blob(tenant), to_blob(memory_id), first)

        def look(db: sqlite3.Connection) -> tuple[list[tuple[str, bytes]], bool]:
            # A statement that is not read to its end goes on reading the log.
            with contextlib.closing(db.execute(_HISTORY, params)) as rows:
                return first_portion(rows, lambda row: len(row[1]), most=most)

        rows, more = self._connections.read(look)
        return [Event(EventKind(kind), load_memory(tenant, body)) for kind, body in rows], more

    def versions(self, tenant: str, keys: Collection[VersionKey]) -> dict[VersionKey, Memory]:
        owner = to_blob(tenant)

        def look(db: sqlite3.Connection) -> list[bytes]:
            rows = (db.execute(_VERSION, (owner, to_blob(id_), version)).fetchone() for id_, version in keys)
            return [row[0] for row in rows if row is not None]

        found = [load_memory(tenant, body) for body in self._connections.read(look)]
        return {(memory.id, memory.version): memory for memory in found}

    def list_events(self, tenant: str, *, limit: int, cursor: str | None = None) -> EventPage:
        after = memory_place(cursor) if cursor is not None else None
        return self._connections.read(lambda db: export_order.page(db, tenant, limit, after))

    def list_memories(
        self,
        tenant: str,
        ids: Mapping[str, str],
        *,
        limit: int,
        cursor: str | None = None,
        superseded: bool = False,
    ) -> MemoryPage:
        condition, params = scope_sql.where(tenant, ids)
        condition += " AND state < 2" if superseded else " AND state < 2 AND state = 0"
        if cursor is not None:
            created_at, position, id_ = memory_place(cursor)
            condition += " AND (created_at, position, id) < (?, ?, ?)"
            params += [created_at, position, to_blob(id_)]
        # The query planner has no statistics, so we choose the index.
        index = f"memories_by_{scope_sql.narrowest(ids)}"
        query = (
            f"SELECT body FROM memories INDEXED BY {index} CROSS JOIN texts USING (text_id)"  # noqa: S608 - our own names
            f" WHERE {condition} ORDER BY created_at DESC, position DESC, id DESC LIMIT ?"
        )

        def look(db: sqlite3.Connection) -> tuple[list[bytes], bool]:
            # A statement that is not read to its end goes on reading the log.
            with contextlib.closing(db.execute(query, (*params, limit + 1))) as rows:
                return first_portion((body for (body,) in rows), len, most=HISTORIES_AT_ONCE, count=limit)

        found, more = self._connections.read(look)
        items = tuple(load_memory(tenant, body) for body in found)
        return MemoryPage(items, after_memory(items[-1]) if more and items else None)

    def superseded_ids(self, tenant: str, memory_id: str, *, limit: int) -> list[str]:
        params = (to_blob(tenant), to_blob(memory_id), limit)
        rows = self._connections.read(lambda db: db.execute(_SUPERSEDED_IDS, params).fetchall())
        return [from_blob(id_) for (id_,) in rows]

    def kept_totals(self, tenant: str, ids: Mapping[str, str]) -> Totals | None:
        return totals.shown(self._connections.read(lambda db: totals.read(db, totals.key_of(tenant, ids))))

    def entity(self, tenant: str, kind: str, id_: str) -> Entity | None:
        key = (to_blob(tenant), kind, to_blob(id_))
        found = self._with_times(lambda db: [(key, totals.read(db, key))])
        return next((totals.entity(*one) for one in found if one[1].live), None)

    def entities(
        self, tenant: str, *, limit: int, cursor: str | None = None, kinds: Sequence[str] = ENTITY_KINDS
    ) -> EntityPage:
        kind, id_ = entity_place(cursor) if cursor is not None else ("", "")
        owner, after = to_blob(tenant), (kind, to_blob(id_))
        found = self._with_times(lambda db: totals.entities(db, owner, kinds, after, limit + 1))
        items = tuple(totals.entity(*one) for one in found[:limit])
        last = items[-1] if len(found) > limit and items else None
        return EntityPage(items, to_cursor(last.kind, last.id) if last else None)

    def count_entities(self, tenant: str, *, limit: int) -> EntityCounts:
        return self._connections.read(lambda db: totals.count_entities(db, to_blob(tenant), limit))

    def unindexed(
        self, *, before: str, limit: int, tenant: str | None = None, most: int = HISTORIES_AT_ONCE
    ) -> list[Memory]:
        query, params = (PENDING, ()) if tenant is None else (PENDING_OF_TENANT, (to_blob(tenant),))
        rows = self._waiting(query, params, before, limit, most)
        return [load_memory(from_blob(owner), body) for owner, body in rows]

    def pending(self, tenant: str, ids: Sequence[str]) -> set[str]:
        lacking = "(pending_since IS NOT NULL OR aside_since IS NOT NULL)"
        query = f"SELECT 1 FROM memories WHERE tenant = ? AND id = ? AND {lacking}"  # noqa: S608 - our own names
        owner = to_blob(tenant)
        return self._connections.read(
            lambda db: {id_ for id_ in ids if db.execute(query, (owner, to_blob(id_))).fetchone() is not None}
        )

    def mark_indexed(
        self, memories: Sequence[Memory], *, by_writer: bool = False, behind: bool = False
    ) -> list[Memory]:
        if not memories:
            return []

        def mark(db: sqlite3.Connection) -> list[Memory]:
            return [one for one in memories if not _mark_indexed(db, one, by_writer=by_writer, behind=behind)]

        # Without a flush, a crash leaves them pending, and both generations get them again.
        return self._connections.write(mark, durable=False)

    def mark_unindexed(self, tenant: str | None = None, *, at: str) -> int:
        owner = None if tenant is None else to_blob(tenant)
        count, after = 0, (owner or b"", b"")
        while True:
            marked, last = self._connections.write(
                lambda db, after=after: _mark_unindexed(db, owner, after, at),  # type: ignore[misc]
                durable=True,
            )
            count += marked
            if last is None:
                return count
            after = last

    def mark_pending(self, memories: Sequence[Memory], *, at: str) -> None:
        if memories:
            rows = [(*_key_of(memory), at) for memory in memories]
            self._connections.write(lambda db: db.executemany(_MARK_PENDING, rows), durable=True)

    def mark_behind(self, memories: Sequence[Memory], *, at: str) -> None:
        if memories:
            rows = [(*_key_of(memory), at) for memory in memories]
            self._connections.write(lambda db: db.executemany(_MARK_BEHIND, rows), durable=True)

    def mark_caught_up(self, memories: Sequence[Memory]) -> list[Memory]:
        if not memories:
            return []

        def mark(db: sqlite3.Connection) -> list[Memory]:
            return [one for one in memories if not db.execute(_MARK_CAUGHT_UP, _key_of(one)).rowcount]

        return self._connections.write(mark, durable=False)

    def behind(self, tenant: str, *, before: str, limit: int) -> list[Memory]:
        rows = self._waiting(BEHIND, (to_blob(tenant),), before, limit, HISTORIES_AT_ONCE)
        return [load_memory(tenant, body) for (body,) in rows]

    def _waiting(
        self, query: str, params: Sequence[bytes], before: str, limit: int, most: int
    ) -> list[tuple[bytes, ...]]:
        """The rows since before a time, and then those since a time that no clock of ours tells yet."""
        beyond = far_after(before)

        def rows(db: sqlite3.Connection) -> Generator[tuple[bytes, ...], None, None]:
            for asked, since in ((query, before), (_BEYOND[query], beyond)):
                # A statement that is not read to its end goes on reading the log.
                with contextlib.closing(db.execute(asked, (*params, since, limit))) as few:
                    yield from few

        def look(db: sqlite3.Connection) -> list[tuple[bytes, ...]]:
            with contextlib.closing(rows(db)) as found:
                return list(islice(until_heavy(found, lambda row: len(row[-1]), most=most), limit))

        return self._connections.read(look)

    def _with_times(self, look: Callable[[sqlite3.Connection], list[_Total]]) -> list[_Total]:
        """What `look` finds, after the stale times among it were corrected."""
        found = self._connections.read(look)
        stale = totals.is_stale(found)
        if not stale:
            return found
        with contextlib.suppress(LedgerError):  # then the times may be those of memories that are gone
            self._connections.write(lambda db: totals.correct(db, stale), durable=False)
        return self._connections.read(look)


def _append(
    db: sqlite3.Connection,
    events: Sequence[Event],
    completing: Job | None,
    new_messages: Sequence[Message],
    *,
    unique: bool,
    shown: Shown,
    erasing: Sequence[MessageRef],
    used: Sequence[Use],
) -> None:
    scopes = [event.memory.scope for event in events] + [message.scope for message in new_messages]
    if not scopes and completing is None:
        return
    tenant = completing.tenant if completing is not None else scopes[0].tenant
    open_ = completing is None or jobs.complete(db, completing)
    judge = erasures.judge(db, tenant)
    if open_:
        erasures.refuse(db, judge, events, new_messages, completing)
    changes = totals.TotalChanges()
    fresh = [event for event in events if append.apply(db, event, changes)]
    changes.write(db)
    if fresh and not open_:
        raise LeaseLostError("the job has already finished; discard this work")
    if unique:
        append.check_duplicates(db, fresh, judge)
    if fresh:
        erasures.refuse_unseen(db, judge, tenant, shown)
    # A repeat does not write messages again, because they may have been erased since.
    if open_ and (fresh or not events):
        messages.insert(db, new_messages)
        usage.count(db, used)
    if erasing:
        messages.erase(db, tenant, erasing, events[0].memory.updated_at)


def _bodies(db: sqlite3.Connection, tenant: str, ids: Sequence[str]) -> list[tuple[bytes]]:
    owner = to_blob(tenant)
    keys = [to_blob(id_) for id_ in ids]
    if len(keys) <= _READ_SIZES[-1]:
        return _some_bodies(db, owner, keys)
    db.execute("BEGIN")  # one snapshot for all parts
    try:
        rest = iter(keys)
        parts = iter(lambda: list(islice(rest, _READ_SIZES[-1])), [])
        return [row for part in parts for row in _some_bodies(db, owner, part)]
    finally:
        db.execute("COMMIT")


def _first_bodies(db: sqlite3.Connection, tenant: str, ids: Sequence[str], most: int) -> tuple[int, list[tuple[bytes]]]:
    """The bodies of the first of these memories until they have `most` bytes, and of how many ids they are."""
    owner = to_blob(tenant)

    def size(key: bytes) -> int:
        (found,) = db.execute(_SIZE, (owner, key)).fetchone() or (0,)
        return int(found)

    keys = list(until_heavy(map(to_blob, islice(ids, _READ_SIZES[-1])), size, most=most))
    return len(keys), _some_bodies(db, owner, keys)


def _some_bodies(db: sqlite3.Connection, tenant: bytes, keys: list[bytes]) -> list[tuple[bytes]]:
    if not keys:
        return []
    size = next(size for size in _READ_SIZES if size >= len(keys))
    padding: list[bytes | None] = [None] * (size - len(keys))
    return db.execute(_READ_MANY[size], (tenant, *keys, *padding)).fetchall()


def _mark_indexed(db: sqlite3.Connection, memory: Memory, *, by_writer: bool, behind: bool) -> bool:
    """Mark this version if it is current; returns whether it is, also if it was not pending."""
    key = _key_of(memory)
    if db.execute(_MARK_INDEXED, (*key, memory.updated_at if by_writer else None, behind)).rowcount:
        return True
    return db.execute(_IS_CURRENT, key).fetchone() is not None


def _key_of(memory: Memory) -> tuple[bytes, bytes, int, int]:
    """What _KEY compares: within a version the context only shrinks, so its size shows whether the text is this one."""
    return to_blob(memory.scope.tenant), to_blob(memory.id), memory.version, len(memory.context)


def _mark_unindexed(
    db: sqlite3.Connection, tenant: bytes | None, after: tuple[bytes, bytes], at: str
) -> tuple[int, tuple[bytes, bytes] | None]:
    """Mark the next memories after the key `after`; returns their number and the last key, or None at the end."""
    only, owner = ("", ()) if tenant is None else (" AND tenant = ?", (tenant,))
    following = "SELECT tenant, id, state FROM memories WHERE (tenant, id) > (?, ?)"
    rows = db.execute(f"{following}{only} ORDER BY tenant, id LIMIT ?", (*after, *owner, _MARKED_AT_ONCE)).fetchall()
    if not rows:
        return 0, None
    last = (rows[-1][0], rows[-1][1])
    db.execute(
        "UPDATE memories SET pending_since = ?, refusals = 0, aside_since = NULL, aside_reason = NULL"
        " WHERE (tenant, id) > (?, ?) AND (tenant, id) <= (?, ?)"
        " AND state < 2 AND pending_since IS NULL",
        (at, *after, *last),
    )
    marked = sum(state != append.DELETED for _, _, state in rows)
    return marked, last if len(rows) == _MARKED_AT_ONCE else None
