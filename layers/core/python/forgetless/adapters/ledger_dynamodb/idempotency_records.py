"""The store of idempotency records: which requests are running, and which answers they got."""

from __future__ import annotations

from collections.abc import Iterable

from forgetless.adapters.ledger_codec import from_blob, to_blob
from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.adapters.ledger_dynamodb.expiry import EXPIRES_AT, seconds_of
from forgetless.adapters.ledger_dynamodb.unit_of_work import Store, Unit
from forgetless.domain.answer_ids import shown_ids
from forgetless.domain.retention import DAY_S
from forgetless.ports.request_ledger import IdempotencyRecord

__all__ = ["IdempotencyStore", "drop_shown"]

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


def drop_shown(unit: Unit, tenant: str, memory_id: str, note: Item) -> None:
    """Erase the answer that shows a memory, with its record and its notes, of which this is one."""
    name = from_blob(note["name"])
    _drop(unit, tenant, name)
    unit.delete(item_keys.answer(tenant, memory_id, name))  # the answer may have gone before its note


def _drop(unit: Unit, tenant: str, name: str) -> None:
    """Erase a record and its answer."""
    key = item_keys.request(tenant, name)
    item = unit.get(key)
    if item is None:
        return
    notes = [item_keys.answer(tenant, memory_id, name) for memory_id in item["named"]]
    unit.load(notes)
    for note in notes:
        unit.delete(note)
    unit.delete(key)


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
    }
    unit.put(key, unit.with_body(key, item, to_blob(record.body or "")))
    notes = [item_keys.answer(tenant, memory_id, name) for memory_id in named]
    unit.load(notes)
    for note in notes:
        unit.put(note, {"name": to_blob(name), EXPIRES_AT: item[EXPIRES_AT] + _NOTES_OUTLIVE_S})
    for head_key in (item_keys.head(tenant, memory_id) for memory_id in named):
        # A concurrent deletion of the memory may already have looked for notes, so one of the two must run again.
        if (head := unit.get(head_key)) is not None:
            unit.put(head_key, {**head, "answered": unit.id})


def _load(item: Item, body: bytes) -> IdempotencyRecord:
    answer = from_blob(body) if item["answered"] else None
    return IdempotencyRecord(from_blob(item["fingerprint"]), item["until"], item["status"], answer)


def _names_erased(unit: Unit, tenant: str, named: Iterable[str]) -> bool:
    heads = [item_keys.head(tenant, memory_id) for memory_id in named]
    unit.load(heads)
    return any((head := unit.get(key)) is not None and head["state"] == item_keys.DELETED for key in heads)
