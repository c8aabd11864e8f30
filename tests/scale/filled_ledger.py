"""A ledger of a given size in which everything has grown: memories of one user, other users, tenants, jobs, documents.

The rows go straight through the ledger's port, with no embedder. Of the first user's memories some are superseded,
deleted, expired or changed; most have context. Both sizes have the same few special things (`Names`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from forgetless.domain.documents import Document
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.keys import ApiKey, Role, key_hash
from forgetless.domain.memory import Event, EventKind, Memory, Message, MessageRef, job_event_id, memory_id
from forgetless.domain.moments import past_of
from forgetless.domain.schema_exports import EXPORT
from forgetless.domain.scope import Scope
from forgetless.domain.signals import RowSignals
from forgetless.domain.sparse_words import RESERVED_ID
from forgetless.domain.times import later
from forgetless.domain.webhook_deliveries import Delivery, EventRef
from forgetless.domain.webhooks import Webhook, to_document
from forgetless.ports.index import IndexRow, PastMark, PastRow
from forgetless.ports.ledger import Ledger
from forgetless.service.projects.feedback import FEEDBACK
from forgetless.service.projects.settings import project_id
from tests.scale.counting_sqlite import CountingSqlite
from tests.scale.quick_index import QuickIndex

__all__ = ["ADMIN", "ALICE", "HOOK", "LIMITED", "NOW", "TENANT", "Filled", "fill", "fill_sqlite"]

TENANT = "default"
#: The scope that has almost all memories, by each of its four ids.
ALICE = Scope(TENANT, user_id="alice", agent_id="helper", app_id="notes", run_id="talk")
#: Keys: the tenant's administrator, and one that is limited to two other users.
ADMIN, LIMITED = "key-of-the-administrator", "key-of-two-users"
#: The time at which the tests begin, days after the last memory.
NOW = "2026-01-10T00:00:00.000000+00:00"
_BEGAN = "2026-01-01T00:00:00.000000+00:00"
_EXPIRED = "2026-01-05"
HOOK = "3f0e5a52-0c4e-4a7e-9d53-3a8a4f1d7f00"

#: Memories in one transaction.
_BATCH = 250
#: Of every 20 memories, the one at this place is superseded by the one after it, deleted, expired or changed.
_SUPERSEDED, _DELETED, _IS_EXPIRED, _CHANGED = 3, 7, 11, 15
#: How many memories, the oldest, match a filter that almost nothing matches.
_RARE = 5
#: For so many memories there is one other user and one document of each kind, one job, and one other tenant.
_FEWER, _JOBS, _TENANTS = 10, 2, 25
_VECTOR = (1.0, *[0.0] * 63)


@dataclass(frozen=True, slots=True)
class Filled:
    """What was filled, and what the things in it are called."""

    size: int
    index: QuickIndex
    #: Live memories of alice that nothing special has happened to, oldest first.
    plain: tuple[str, ...]
    #: A memory that has superseded another one, and that other one.
    successor: str
    superseded: str
    jobs: tuple[str, ...]
    export: str
    user_key: str


def fill_sqlite(path: Path, size: int) -> Filled:
    """Fill a new ledger in the file at `path`."""
    ledger = CountingSqlite(path)
    try:
        return fill(ledger, size)
    finally:
        ledger.close()


def fill(ledger: Ledger, size: int) -> Filled:
    """Fill an empty ledger with `size` memories of alice, and with everything else in proportion."""
    index = QuickIndex()
    for start in range(0, size, _BATCH):
        _add(ledger, index, [_history(number) for number in range(start, min(start + _BATCH, size))])
    jobs = [_job_id("alice", number) for number in range(size)][-size // _JOBS :]
    for start in range(0, len(jobs), _BATCH):
        ledger.put_jobs([(_job(job_id), ()) for job_id in jobs[start : start + _BATCH]])
    _add(ledger, index, [_first(_other(number, TENANT, number * _FEWER)) for number in range(size // _FEWER)])
    for number in range(size // _TENANTS):
        _add(ledger, index, [_first(_other(number, f"tenant-{number}", number * _TENANTS))])
    plain = [_memory(number).id for number in range(size) if number % 20 in {1, 9, 17} and number >= 100]
    exports = _documents(ledger, plain, size // _FEWER)
    return Filled(
        size=size,
        index=index,
        plain=tuple(plain),
        successor=_memory(_SUPERSEDED + 1 + 60).id,
        superseded=_memory(_SUPERSEDED + 60).id,
        jobs=tuple(jobs),
        export=exports[0],
        user_key=_keys(ledger, size // _FEWER),
    )


def _add(ledger: Ledger, index: QuickIndex, histories: list[tuple[list[Event], Message | None]]) -> None:
    messages = [message for _, message in histories if message is not None]
    ledger.append([event for events, _ in histories for event in events], messages=messages)
    newest = [events[-1].memory for events, _ in histories]
    begins = {memory.id: memory.created_at for memory in newest}
    for tenant in {memory.scope.tenant for memory in newest}:
        ledger.mark_indexed([memory for memory in newest if memory.scope.tenant == tenant])
    index.insert(
        [IndexRow(memory, _VECTOR, {RESERVED_ID: 1.0}, RowSignals().pack()) for memory in newest if memory.live]
    )
    index.past.insert(
        [
            PastRow(
                IndexRow(memory, _VECTOR, {RESERVED_ID: 1.0}, RowSignals().pack()), PastMark(times, len(memory.context))
            )
            for events, _ in histories
            for memory, times in past_of(events, begins)
        ]
    )


def _first(memory: Memory) -> tuple[list[Event], Message | None]:
    return [Event(EventKind.ADD, memory)], None


def _history(number: int) -> tuple[list[Event], Message | None]:
    """The events of one of alice's memories, and the message that it was made from (None: it was erased)."""
    first = _memory(number)
    added = Event(EventKind.ADD, first)
    message = Message(MessageRef(first.job_id, 0), ALICE, "user", first.text, first.created_at)
    at, event_id = later(first.created_at, 0.5), f"{first.event_id}:next"
    place = number % 20
    if place == _DELETED:
        return [added, Event(EventKind.DELETE, first.tombstone(at, event_id=event_id))], None
    if place == _SUPERSEDED:
        change = first.next_version(at, event_id=event_id, superseded_by=_memory(number + 1).id)
        return [added, Event(EventKind.UPDATE, change)], message
    if place == _CHANGED:
        change = first.next_version(at, event_id=event_id, text=f"{first.text}, and coffee")
        return [added, Event(EventKind.UPDATE, change)], message
    return [added], message


def _memory(number: int) -> Memory:
    job_id, at = _job_id("alice", number), later(_BEGAN, number)
    rare = {"topic": "rare"} if number < _RARE else {"topic": "often"}
    return Memory(
        id=memory_id(job_id, 0),
        version=1,
        scope=ALICE,
        text=f"Note {number} about tea and the garden",
        created_at=at,
        updated_at=at,
        job_id=job_id,
        metadata=rare,
        role="user",
        expiration_date=_EXPIRED if number % 20 == _IS_EXPIRED else None,
        context=tuple(MessageRef(_job_id("alice", earlier), 0) for earlier in _before(number)),
        sources=(MessageRef(job_id, 0),),
        event_id=job_event_id(job_id, 0),
    )


def _before(number: int) -> Iterator[int]:
    """The two messages before, without those of deleted memories, which are erased."""
    return (one for one in range(max(0, number - 2), number) if one % 20 != _DELETED)


def _other(number: int, tenant: str, place: int) -> Memory:
    """A memory of somebody else, with a user, an agent, an app and a run of its own; `place` says how old it is."""
    names = {f"{kind}_id": f"{kind}-{number}" for kind in ("user", "agent", "app", "run")}
    job_id = _job_id(f"other of {tenant}", number)
    one = _memory(place)
    return replace(
        one,
        id=memory_id(job_id, 0),
        scope=Scope(tenant, **names),
        job_id=job_id,
        context=(),
        sources=(),
        event_id=job_event_id(job_id, 0),
        created_at=later(one.created_at, 0.25),
    )


def _job(job_id: str) -> Job:
    at = later(_BEGAN, uuid.UUID(job_id).int % 100_000)
    results = ({"id": memory_id(job_id, 0), "event": "ADD"},)
    return Job(job_id, ALICE, JobState.SUCCEEDED, at, at, results=results, completed_at=at)


@cache
def _job_id(whose: str, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{whose} {number}"))


def _documents(ledger: Ledger, memories: list[str], count: int) -> list[str]:
    """A webhook, and as many finished deliveries, feedbacks and exports as `count`; returns the ids of the exports."""
    types = ("memory_add", "memory_update", "memory_delete")
    hook = Webhook(HOOK, TENANT, "ours", "https://hook.example/", types, project_id(TENANT), NOW, NOW, "whsec_c2VjcmV0")
    ledger.put_document(to_document(hook))
    exports = [str(uuid.UUID(int=number)) for number in range(count)]
    for number, (export, memory) in enumerate(zip(exports, memories, strict=False)):
        at = later(_BEGAN, number)
        refs = (EventRef(memory, 1),)
        sent = Delivery(f"{export}-sent", TENANT, HOOK, refs, at, due_at=later(NOW, 1e6), state="delivered", done=1)
        schema = {"properties": {"memory": {"type": "string"}}}
        asked = {"schema": schema, "filters": {"user_id": "user-1"}, "instructions": None}
        ledger.put_document(sent.document())
        ledger.put_document(Document(TENANT, FEEDBACK, memory, {"feedback": "POSITIVE", "feedback_reason": None}, at))
        ledger.put_document(Document(TENANT, EXPORT, export, asked, at))
    return exports


def _keys(ledger: Ledger, count: int) -> str:
    """Make the keys; returns the id of one that may be revoked.

    Another tenant has as many as `count`, with many ids, and as many of this tenant are revoked.
    """
    users = tuple(f"user-{number}" for number in range(20))
    for number in range(count):
        at = later(_BEGAN, number)
        ledger.put_key(ApiKey(key_hash(f"theirs {number}"), "with many keys", Role.READ, at, users=users))
        ledger.put_key(ApiKey(key_hash(f"revoked {number}"), TENANT, Role.READ, at, users=users, revoked=True))
    spare = ApiKey(key_hash("spare"), TENANT, Role.READ, NOW)
    for key in (
        ApiKey(key_hash(ADMIN), TENANT, Role.ADMIN, NOW),
        ApiKey(key_hash(LIMITED), TENANT, Role.WRITE, NOW, users=("user-1", "user-2"), agents=("*",), apps=("*",)),
        spare,
    ):
        ledger.put_key(key)
    return spare.id
