"""The store of erasures: their numbers and markers, and the refusal of what they cover inside a transaction."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import groupby

from forgetless.adapters.ledger_codec import dump_marker, dump_targets, from_blob, load_marker, load_targets, to_blob
from forgetless.adapters.ledger_sqlite import append
from forgetless.adapters.ledger_sqlite.connections import Store
from forgetless.domain.documents import in_turn
from forgetless.domain.erasures import Accepted, Erasure, ErasureMarker, ErasureState, Judge, Target
from forgetless.domain.errors import ErasedError, ShownErasedError, TenantDeletedError, VersionConflictError
from forgetless.domain.jobs import Job
from forgetless.domain.memory import Event, EventKind, Message, MessageRef
from forgetless.ports.request_ledger import ErasuresBeside, Shown

__all__ = [
    "ErasureStore",
    "incarnation_of",
    "judge",
    "marker_key",
    "open_erasures",
    "refuse",
    "refuse_unseen",
    "state_of",
]

#: How many markers that have expired each new erasure removes.
_CLEARED_AT_ONCE = 20

_STATE = "SELECT last, hiding, first, key, closed FROM erasure_states WHERE tenant = ?"

_PUT_STATE = """
INSERT OR REPLACE INTO erasure_states (tenant, last, hiding, first, key, closed) VALUES (?, ?, ?, ?, ?, ?)
"""

_CLOSING = """
SELECT number, begun_at, id FROM erasures WHERE tenant = ? AND closes = 1 ORDER BY number DESC LIMIT 1
"""

_OPEN = """
SELECT tenant, number, targets, begun_at, id, closes FROM (
    SELECT tenant, number, row_number() OVER (PARTITION BY tenant ORDER BY begun_at, number) AS turn
    FROM erasures INDEXED BY erasures_open WHERE targets IS NOT NULL
) CROSS JOIN erasures USING (tenant, number) WHERE turn <= ? ORDER BY tenant, turn
"""

_CLEAR = """
DELETE FROM erasures WHERE tenant = ?1 AND number IN (
    SELECT number FROM erasures WHERE tenant = ?1 AND targets IS NULL AND expires_at <= ?2 AND closes = 0
    ORDER BY number LIMIT ?3
)
"""


class ErasureStore(Store):
    """See `forgetless.ports.request_ledger.ErasureStore`."""

    def erasure_state(self, tenant: str) -> ErasureState:
        return self._connections.read(lambda db: state_of(db, tenant))

    def erasures_beside(self, tenant: str) -> AbstractContextManager[ErasuresBeside]:
        # A statement here costs nothing of what a request of a remote store costs.
        return nullcontext(_Beside(self._connections.read(lambda db: state_of(db, tenant))))

    def erasure_markers(self, tenant: str, *, beyond: int) -> list[ErasureMarker]:
        return self._connections.read(lambda db: _markers(db, tenant, beyond))

    def begin_erasure(self, tenant: str, targets: Sequence[Target], *, at: str) -> Erasure:
        return self._connections.write(lambda db: _begin(db, tenant, tuple(targets), at), durable=True)

    def erasure(self, tenant: str, number: int) -> Erasure | None:
        query = (
            "SELECT targets, begun_at, id, closes FROM erasures WHERE tenant = ? AND number = ? AND targets IS NOT NULL"
        )
        row = self._connections.read(lambda db: db.execute(query, (to_blob(tenant), number)).fetchone())
        return None if row is None else Erasure(tenant, number, load_targets(row[0]), row[1], row[2], bool(row[3]))

    def close_tenant(self, tenant: str, *, at: str) -> Erasure:
        return self._connections.write(lambda db: _close(db, tenant, at), durable=True)

    def late_writes_s(self) -> float:
        return 0.0

    def open_erasures(self, *, limit: int, each: int) -> list[Erasure]:
        found = self._connections.read(lambda db: open_erasures(db, each=each))
        tenants = groupby(found, key=lambda erasure: erasure.tenant)
        lists = sorted((list(of_tenant) for _, of_tenant in tenants), key=lambda those: those[0].begun_at)
        return in_turn(lists, limit)

    def clear_entities(self, tenant: str, *, limit: int, cursor: str | None = None) -> str | None:
        del tenant, limit, cursor
        return None  # the transaction that deletes the last memory does it

    def end_erasure(self, tenant: str, number: int, *, expires_at: str) -> None:
        self._connections.write(lambda db: _end(db, tenant, number, expires_at), durable=True)

    def incarnation(self) -> str:
        return self._connections.read(incarnation_of)

    def set_incarnation(self, name: str) -> None:
        def rename(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM incarnations")
            db.execute("INSERT INTO incarnations (name) VALUES (?)", (name,))

        self._connections.write(rename, durable=True)

    def raise_erasures(self, tenant: str, last: int) -> None:
        self._connections.write(lambda db: _raise(db, tenant, last), durable=True)


def incarnation_of(db: sqlite3.Connection) -> str:
    """The name of the ledger; empty if it has none."""
    row = db.execute("SELECT name FROM incarnations").fetchone()
    return "" if row is None else str(row[0])


def open_erasures(db: sqlite3.Connection, *, each: int) -> list[Erasure]:
    """Erasures whose ids are still there in clear, by tenant, up to `each` of the oldest of one."""
    return [
        Erasure(from_blob(tenant), number, load_targets(targets), begun_at, id_, bool(closes))
        for tenant, number, targets, begun_at, id_, closes in db.execute(_OPEN, (each,)).fetchall()
    ]


@dataclass(frozen=True, slots=True)
class _Beside:
    """See `forgetless.ports.request_ledger.ErasuresBeside`."""

    state: ErasureState


def state_of(db: sqlite3.Connection, tenant: str) -> ErasureState:
    """The tenant's erasures."""
    row = db.execute(_STATE, (to_blob(tenant),)).fetchone()
    if row is None:
        return ErasureState()
    last, hiding, first, key, closed = row
    return ErasureState(last, hiding, first, key, bool(closed))


def marker_key(db: sqlite3.Connection, tenant: str) -> bytes:
    """The key of the tenant's markers, which is made now if it has none yet."""
    held = state_of(db, tenant)
    key = held.key or secrets.token_bytes(32)
    if not held.key:
        db.execute(_PUT_STATE, (to_blob(tenant), held.last, held.hiding, held.first, key, held.closed))
    return key


def judge(db: sqlite3.Connection, tenant: str) -> Judge:
    """The judge of what this transaction reads and writes."""
    return Judge(state_of(db, tenant), lambda beyond: _markers(db, tenant, beyond))


def refuse(
    db: sqlite3.Connection, judge: Judge, events: Sequence[Event], messages: Sequence[Message], job: Job | None
) -> None:
    """Raise ErasedError or VersionConflictError if an erasure covers what is about to be written."""
    written = [event for event in events if event.kind is not EventKind.DELETE and not event.memory.deleted]
    new: list[Accepted] = [*messages, *(event.memory for event in written if event.memory.version == 1)]
    new += [job] if job is not None else []
    if judge.closed and (new or written):
        raise TenantDeletedError
    if any(judge.refuses(thing) for thing in new):
        raise ErasedError
    for event in written:
        memory = event.memory
        if memory.version == 1:
            continue
        held = append.find(db, memory.scope.tenant, memory.id) if judge.hiding else None
        if held is not None and judge.hides(held):
            raise VersionConflictError(f"memory {memory.id} was erased; read it again")


def refuse_unseen(db: sqlite3.Connection, judge: Judge, tenant: str, shown: Shown) -> None:
    """Raise ShownErasedError if something that the work has seen is deleted or covered."""
    for id_ in shown.memories:
        memory = append.find(db, tenant, id_)
        if memory is None or memory.deleted or judge.hides(memory):
            raise ShownErasedError(f"memory {id_} was deleted meanwhile")
    for ref in shown.messages:
        if not _is_there(db, tenant, ref):
            raise ShownErasedError(f"message {ref.position} of job {ref.job_id} was deleted meanwhile")


def _is_there(db: sqlite3.Connection, tenant: str, ref: MessageRef) -> bool:
    query = "SELECT 1 FROM messages WHERE tenant = ? AND job_id = ? AND position = ?"
    return db.execute(query, (to_blob(tenant), to_blob(ref.job_id), ref.position)).fetchone() is not None


def _markers(db: sqlite3.Connection, tenant: str, beyond: int) -> list[ErasureMarker]:
    query = "SELECT number, marker FROM erasures WHERE tenant = ? AND number > ? ORDER BY number"
    return [load_marker(number, body) for number, body in db.execute(query, (to_blob(tenant), beyond)).fetchall()]


def _close(db: sqlite3.Connection, tenant: str, at: str) -> Erasure:
    everything = (Target(),)
    if not state_of(db, tenant).closed:
        return _begin(db, tenant, everything, at, closes=True)
    number, begun_at, id_ = db.execute(_CLOSING, (to_blob(tenant),)).fetchone()
    return Erasure(tenant, number, everything, begun_at, id_, closes=True)


def _begin(
    db: sqlite3.Connection, tenant: str, targets: tuple[Target, ...], at: str, *, closes: bool = False
) -> Erasure:
    owner, held = to_blob(tenant), state_of(db, tenant)
    erasure = Erasure(tenant, held.last + 1, targets, at, secrets.token_hex(16), closes)
    key = held.key or secrets.token_bytes(32)
    first = held.first if held.hiding else erasure.number
    db.execute(_PUT_STATE, (owner, erasure.number, held.hiding + 1, first, key, closes or held.closed))
    db.execute(
        "INSERT INTO erasures (tenant, number, id, begun_at, marker, targets, closes) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (owner, erasure.number, erasure.id, at, dump_marker(key, erasure), dump_targets(targets), closes),
    )
    db.execute(_CLEAR, (owner, at, _CLEARED_AT_ONCE))
    return erasure


def _raise(db: sqlite3.Connection, tenant: str, last: int) -> None:
    held = state_of(db, tenant)
    if held.last < last:
        key = held.key or secrets.token_bytes(32)
        db.execute(_PUT_STATE, (to_blob(tenant), last, held.hiding, held.first, key, held.closed))


def _end(db: sqlite3.Connection, tenant: str, number: int, expires_at: str) -> None:
    owner = to_blob(tenant)
    ended = db.execute(
        "UPDATE erasures SET targets = NULL, expires_at = ? WHERE tenant = ? AND number = ? AND targets IS NOT NULL",
        (expires_at, owner, number),
    ).rowcount
    if ended:
        query = "SELECT count(*), min(number) FROM erasures WHERE tenant = ? AND targets IS NOT NULL"
        hiding, first = db.execute(query, (owner,)).fetchone()
        db.execute("UPDATE erasure_states SET hiding = ?, first = ? WHERE tenant = ?", (hiding, first or 0, owner))
