"""The store of idempotency records: which requests are running, and which answers they got."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from forgetless.adapters.ledger_codec import from_blob, to_blob
from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.adapters.ledger_dynamodb.expiry import EXPIRES_AT, seconds_of
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.table import key_of
from forgetless.adapters.ledger_dynamodb.unit_of_work import Store, Unit
from forgetless.domain.answer_ids import shown_ids
from forgetless.domain.retention import DAY_S
from forgetless.ports.request_ledger import IdempotencyRecord

__all__ = ["NEXT_NOTE", "IdempotencyStore", "drop_shown"]

#: A deletion takes all answers that show its memory in one unit of work, so they must be few. The notes beside a memory
#: have so many places, which are used in turn: an answer takes the place of the oldest one, which goes.
_MOST_ANSWERS = 100
#: The attribute of a head with the number of answers that have shown its memory.
NEXT_NOTE = "answers"

#: TTL removes items in any order, often hours late. By its notes a deletion finds an answer, so these go later.
_NOTES_OUTLIVE_S = int(DAY_S)


class IdempotencyStore(Store):
    """See `forgetless.ports.request_ledger.IdempotencyStore`."""

    def begin_request(
        self,
        tenant: str,
        name: str,
        record: IdempotencyRecord,
        *,
        now: str,
        expires_at: str,
        over: IdempotencyRecord | None = None,
    ) -> IdempotencyRecord | None:
        name = self._named(name)

        def begin(unit: Unit) -> IdempotencyRecord | None:
            item = unit.get(item_keys.request(tenant, name))
            # DynamoDB removes expired items only within days; for us they do not exist any more.
            if item is not None and item["expires"] > now and not _names_erased(unit, tenant, item["named"]):
                held = _load(item, unit.body(item))
                if not held.gives_way(record, now=now, over=over):
                    return held
            _put(unit, tenant, name, record, expires_at)
            return None

        return self._units.run(begin)

    def finish_request(
        self, tenant: str, name: str, record: IdempotencyRecord, *, began: IdempotencyRecord, expires_at: str
    ) -> None:
        name = self._named(name)

        def finish(unit: Unit) -> None:
            if _runs(unit, tenant, name, began):
                _put(unit, tenant, name, record, expires_at)

        self._units.run(finish)

    def drop_request(self, tenant: str, name: str, *, began: IdempotencyRecord) -> None:
        name = self._named(name)

        def give_up(unit: Unit) -> None:
            if _runs(unit, tenant, name, began):
                _drop(unit, tenant, name)

        self._units.run(give_up)


def drop_shown(unit: Unit, tenant: str, notes: Sequence[Item]) -> None:
    """Erase the answers that these notes beside memories name, and the notes.

    Notes of such an answer beside other memories stay until they expire, so these notes bound the work.
    """
    names = {key_of(note): from_blob(note["name"]) for note in notes}
    unit.load(item_keys.request(tenant, name) for name in names.values())
    for note, name in names.items():
        key = item_keys.request(tenant, name)
        item = unit.get(key)
        # It may have been erased already, and another answer may have its name since.
        if item is not None and note in _notes(item, tenant, name):
            unit.delete(key)
        unit.delete(note)


def _drop(unit: Unit, tenant: str, name: str) -> None:
    """Erase a record with its answer and its notes."""
    key = item_keys.request(tenant, name)
    item = unit.get(key)
    if item is None:
        return
    notes = _notes(item, tenant, name)
    unit.load(notes)
    for note in notes:
        held = unit.get(note)
        if held is not None and held["name"] == to_blob(name):  # otherwise another answer has taken its place
            unit.delete(note)
    unit.delete(key)


def _notes(item: Item, tenant: str, name: str) -> list[Key]:
    """The notes of a record beside the memories that its answer shows. Earlier versions gave them the record's name."""
    places = item.get("places") or [name] * len(item["named"])
    return [item_keys.answer(tenant, id_, place) for id_, place in zip(item["named"], places, strict=True)]


def _runs(unit: Unit, tenant: str, name: str, began: IdempotencyRecord) -> bool:
    item = unit.get(item_keys.request(tenant, name))
    return item is not None and _load(item, unit.body(item)).runs_as(began)


def _put(unit: Unit, tenant: str, name: str, record: IdempotencyRecord, expires_at: str) -> None:
    _drop(unit, tenant, name)
    key = item_keys.request(tenant, name)
    named = sorted(shown_ids(record.body))
    if _names_erased(unit, tenant, named):
        return  # a memory was deleted before its answer could be stored
    item: Item = {
        "fingerprint": to_blob(record.fingerprint),
        "until": record.lease_until,
        "expires": expires_at,
        EXPIRES_AT: seconds_of(expires_at),
        "status": record.status,
        "answered": record.body is not None,
        "named": named,
        "places": [_place(unit, tenant, memory_id, name) for memory_id in named],
    }
    notes = _notes(item, tenant, name)
    unit.load(notes)
    drop_shown(unit, tenant, [held for note in notes if (held := unit.get(note)) is not None])
    unit.put(key, unit.with_body(key, item, to_blob(record.body or "")))
    for note in notes:
        unit.put(note, {"name": to_blob(name), EXPIRES_AT: item[EXPIRES_AT] + _NOTES_OUTLIVE_S})


def _place(unit: Unit, tenant: str, memory_id: str, name: str) -> str:
    """The place of a new note beside a memory, of which the next answer gets another one."""
    key = item_keys.head(tenant, memory_id)
    head = unit.get(key)
    if head is None:
        return name
    number = int(head.get(NEXT_NOTE, 0))
    # A concurrent deletion of the memory may already have looked for notes, so one of the two must run again.
    unit.put(key, {**head, "answered": unit.id, NEXT_NOTE: number + 1})
    return f"{number % _MOST_ANSWERS:02d}"


def _load(item: Item, body: bytes) -> IdempotencyRecord:
    answer = from_blob(body) if item["answered"] else None
    return IdempotencyRecord(from_blob(item["fingerprint"]), item["until"], item["status"], answer)


def _names_erased(unit: Unit, tenant: str, named: Iterable[str]) -> bool:
    heads = [item_keys.head(tenant, memory_id) for memory_id in named]
    unit.load(heads)
    return any((head := unit.get(key)) is not None and head["state"] == item_keys.DELETED for key in heads)
