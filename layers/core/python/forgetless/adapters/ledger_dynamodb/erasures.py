"""The store of erasures: a state for each tenant and the markers beside it; the refusal of what markers cover.

State and marker are written in one transaction. A unit of work that appends reads the state in the batch that it makes
anyway, but puts no condition on it: an erasure in the middle of the unit does not stop it. What the unit then writes
carries a lower number, so it is covered when it lands. The erasure hides it until a last pass has removed it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial

from forgetless.adapters.ledger_codec import dump_marker, dump_targets, from_blob, load_marker, load_targets, to_blob
from forgetless.adapters.ledger_dynamodb import append, item_keys, schema, totals
from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.table import Along, Between, portions
from forgetless.adapters.ledger_dynamodb.unit_of_work import Store, Unit
from forgetless.domain.cursors import entity_place, to_cursor
from forgetless.domain.documents import in_turn
from forgetless.domain.erasures import Accepted, Erasure, ErasureMarker, ErasureState, Judge, Target
from forgetless.domain.errors import ErasedError, ShownErasedError, TenantDeletedError, VersionConflictError
from forgetless.domain.jobs import Job
from forgetless.domain.memory import Event, EventKind, Message
from forgetless.domain.scope import Scope
from forgetless.ports.request_ledger import ENTITY_KINDS, ErasuresBeside, Shown

__all__ = ["CLOSED", "ErasureStore", "judge", "marker_key", "refuse", "refuse_unseen", "shown_keys", "state_of"]

#: Lambda's limit: no writer from before an erasure lives longer, and none sends an append in its last minutes.
_LATE_WRITES_S = 900.0
#: Of so many ids the counters are removed in one unit of work; each has eight.
_CLEARED_AT_ONCE = 10
#: The attribute of the state of a tenant that is being deleted, and of the marker that this began with.
CLOSED = "closed"


class ErasureStore(Store):
    """See `forgetless.ports.request_ledger.ErasureStore`."""

    def erasure_state(self, tenant: str) -> ErasureState:
        return state_of(self._table.one(item_keys.erasures(tenant)))

    @contextmanager
    def erasures_beside(self, tenant: str) -> Iterator[ErasuresBeside]:
        with self._table.along(item_keys.erasures(tenant)) as along:
            yield _Beside(along)

    def erasure_markers(self, tenant: str, *, beyond: int) -> list[ErasureMarker]:
        return [_marker(item) for item in self._table.query(*_beyond(tenant, beyond))]

    def begin_erasure(self, tenant: str, targets: Sequence[Target], *, at: str) -> Erasure:
        return self._units.run(lambda unit: _begin(unit, tenant, tuple(targets), at))

    def close_tenant(self, tenant: str, *, at: str) -> Erasure:
        return self._units.run(lambda unit: _close(unit, tenant, at))

    def erasure(self, tenant: str, number: int) -> Erasure | None:
        return _erasure(self._table.one(item_keys.erasure_marker(tenant, number)))

    def late_writes_s(self) -> float:
        return _LATE_WRITES_S

    def open_erasures(self, *, limit: int, each: int) -> list[Erasure]:
        wanted = in_turn(self._turns.in_turn([item_keys.OPEN_ERASURES], each=each), limit)
        items = self._table.read(wanted)
        return [found for key in wanted if (found := _erasure(items.get(key))) is not None]

    def clear_entities(self, tenant: str, *, limit: int, cursor: str | None = None) -> str | None:
        # Who deletes the last memory of an id removes its counters in a unit of its own, which may have failed.
        after = entity_place(cursor) if cursor is not None else None
        found, more = totals.following(self._table, tenant, after=after, kinds=ENTITY_KINDS, limit=limit)
        self._clear(tenant, [(one.kind, one.id) for one in found if one.total.live <= 0])
        return to_cursor(found[-1].kind, found[-1].id) if more and found else None

    def end_erasure(self, tenant: str, number: int, *, expires_at: str) -> None:
        erasure = self.erasure(tenant, number)
        targets = () if erasure is None else erasure.targets
        self._clear(tenant, totals.named_in(Scope(tenant, **target.ids) for target in targets))
        self._units.run(partial(_end, tenant=tenant, number=number, expires_at=expires_at))

    def _clear(self, tenant: str, named: Sequence[tuple[str, str]]) -> None:
        for some in portions(named, _CLEARED_AT_ONCE):
            self._units.run(partial(totals.clear, tenant=tenant, named=some))

    def incarnation(self) -> str:
        return schema.incarnation_of(self._table.client)

    def set_incarnation(self, name: str) -> None:
        schema.set_incarnation(self._table.client, name)

    def raise_erasures(self, tenant: str, last: int) -> None:
        self._units.run(partial(_raise, tenant=tenant, last=last))


class _Beside:
    """See `forgetless.ports.request_ledger.ErasuresBeside`."""

    def __init__(self, along: Along) -> None:
        self._along = along

    @property
    def state(self) -> ErasureState | None:
        return state_of(self._along.item) if self._along.came else None


def state_of(item: Item | None) -> ErasureState:
    """The state in an item; None means that the tenant has had no erasure."""
    if item is None:
        return ErasureState()
    return ErasureState(item["last"], item["hiding"], item["first"], item["key"], closed=CLOSED in item)


def marker_key(unit: Unit, tenant: str) -> bytes:
    """The key of the tenant's markers, which is made now if it has none yet."""
    own = item_keys.erasures(tenant)
    held = state_of(unit.get(own))
    key = held.key or secrets.token_bytes(32)
    if not held.key:
        closed = {CLOSED: True} if held.closed else {}
        unit.put(own, {"last": held.last, "hiding": held.hiding, "first": held.first, "key": key, **closed})
    return key


def judge(unit: Unit, tenant: str) -> Judge:
    """The judge of what this unit reads and writes."""
    state = state_of(unit.get(item_keys.erasures(tenant)))
    return Judge(state, lambda beyond: [_marker(item) for item in unit.query(*_beyond(tenant, beyond))])


def refuse(unit: Unit, judge: Judge, events: Sequence[Event], messages: Sequence[Message], job: Job | None) -> None:
    """Raise ErasedError or VersionConflictError if an erasure covers what is about to be written."""
    written = [event for event in events if event.kind is not EventKind.DELETE and not event.memory.deleted]
    new: list[Accepted] = [*messages, *(event.memory for event in written if event.memory.version == 1)]
    new += [job] if job is not None else []
    if judge.closed and (new or written):
        raise TenantDeletedError
    if any(judge.refuses(thing) for thing in new):
        raise ErasedError
    for memory in (event.memory for event in written if judge.hiding and event.memory.version > 1):
        head = unit.get(item_keys.head(memory.scope.tenant, memory.id))
        if head is not None and judge.hides(append.memory_of(unit, head)):
            raise VersionConflictError(f"memory {memory.id} was erased; read it again")


def shown_keys(tenant: str, shown: Shown) -> list[Key]:
    """The keys that `refuse_unseen` reads."""
    messages = [item_keys.message(tenant, ref) for ref in shown.messages]
    return [*(item_keys.head(tenant, id_) for id_ in shown.memories), *messages]


def refuse_unseen(unit: Unit, judge: Judge, tenant: str, shown: Shown) -> None:
    """Raise ShownErasedError if something that the work has seen is deleted or covered."""
    for id_ in shown.memories:
        head = unit.get(item_keys.head(tenant, id_))
        memory = append.memory_of(unit, head) if head is not None else None
        if memory is None or memory.deleted or judge.hides(memory):
            raise ShownErasedError(f"memory {id_} was deleted meanwhile")
    for ref in shown.messages:
        if unit.get(item_keys.message(tenant, ref)) is None:
            raise ShownErasedError(f"message {ref.position} of job {ref.job_id} was deleted meanwhile")


def _beyond(tenant: str, number: int) -> tuple[str, Between]:
    low, high = item_keys.erasure_marker(tenant, number + 1), item_keys.erasure_marker(tenant, 10**12 - 1)
    return low.pk, Between(low.sk, high.sk)


def _marker(item: Item) -> ErasureMarker:
    return load_marker(item["number"], item["marker"])


def _erasure(item: Item | None) -> Erasure | None:
    if item is None or "targets" not in item:
        return None
    return _begun(item, load_targets(item["targets"]))


def _begun(item: Item, targets: tuple[Target, ...]) -> Erasure:
    tenant, id_ = from_blob(item["tenant"]), item.get("id", "")
    return Erasure(tenant, item["number"], targets, item["begun"], id_, closes=CLOSED in item)


def _close(unit: Unit, tenant: str, at: str) -> Erasure:
    everything = (Target(),)
    if not state_of(unit.get(item_keys.erasures(tenant))).closed:
        return _begin(unit, tenant, everything, at, closes=True)
    closing = [item for item in unit.query(*_beyond(tenant, 0)) if CLOSED in item]
    return _begun(closing[-1], everything)


def _begin(unit: Unit, tenant: str, targets: tuple[Target, ...], at: str, *, closes: bool = False) -> Erasure:
    own = item_keys.erasures(tenant)
    held = state_of(unit.get(own))
    erasure = Erasure(tenant, held.last + 1, targets, at, secrets.token_hex(16), closes)
    key = held.key or secrets.token_bytes(32)
    first = held.first if held.hiding else erasure.number
    state = {"last": erasure.number, "hiding": held.hiding + 1, "first": first, "key": key}
    unit.put(own, state | ({CLOSED: True} if closes or held.closed else {}))
    marker = item_keys.erasure_marker(tenant, erasure.number)
    item: Item = {
        "tenant": to_blob(tenant),
        "number": erasure.number,
        "id": erasure.id,
        "begun": at,
        "marker": dump_marker(key, erasure),
        "targets": dump_targets(targets),
        "gsi1pk": item_keys.OPEN_ERASURES,
        "gsi1sk": item_keys.turn(tenant, at, f"{erasure.number:012d}"),
        **({CLOSED: True} if closes else {}),
    }
    unit.put_new(marker, item)
    return erasure


def _raise(unit: Unit, tenant: str, last: int) -> None:
    own = item_keys.erasures(tenant)
    held = state_of(unit.get(own))
    if held.last < last:
        key = held.key or secrets.token_bytes(32)
        closed = {CLOSED: True} if held.closed else {}
        unit.put(own, {"last": last, "hiding": held.hiding, "first": held.first, "key": key, **closed})


def _end(unit: Unit, tenant: str, number: int, expires_at: str) -> None:
    own, key = item_keys.erasures(tenant), item_keys.erasure_marker(tenant, number)
    unit.load([own, key])
    state, item, state_item = state_of(unit.get(own)), unit.get(key), unit.get(own)
    if item is None or state_item is None or "targets" not in item:
        return
    kept = {name: value for name, value in item.items() if name not in {"targets", "gsi1pk", "gsi1sk"}}
    # DynamoDB's own expiry needs seconds.
    unit.put(key, {**kept, "expires_at": int(datetime.fromisoformat(expires_at).timestamp())})
    first = state.first
    if number == first:
        open_ = (one["number"] for one in unit.query(*_beyond(tenant, number)) if "targets" in one)
        first = min(open_, default=0)
    unit.put(own, {**state_item, "hiding": state.hiding - 1, "first": first})
