"""The store of documents."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, islice

from forgetless.adapters.ledger_codec import dump, from_blob, load, to_blob
from forgetless.adapters.ledger_dynamodb import item_keys, list_entries
from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.table import Between, key_of, portions
from forgetless.adapters.ledger_dynamodb.turn_queues import Look, by_hour
from forgetless.adapters.ledger_dynamodb.unit_of_work import Store, Unit, body_bytes
from forgetless.domain.cursors import time_place, to_cursor
from forgetless.domain.documents import OF_MEMORIES, Document, in_turn
from forgetless.domain.limits import JOBS_AT_ONCE
from forgetless.domain.portions import until_heavy

__all__ = ["DocumentStore", "forget", "of_memory"]

#: How many items are read at once.
_SOME = 100


class DocumentStore(Store):
    """See `forgetless.ports.request_ledger.DocumentStore`."""

    def put_document(self, document: Document) -> bool:
        return self._units.run(lambda unit: _put(unit, document), once=True)

    def document(self, tenant: str, kind: str, id_: str) -> Document | None:
        return next(iter(self._documents([item_keys.document(tenant, kind, id_)]).values()), None)

    def documents(
        self, tenant: str, kind: str, *, limit: int, cursor: str | None = None
    ) -> tuple[list[Document], str | None]:
        below = None
        if cursor is not None:
            created_at, id_ = time_place(cursor)
            below = item_keys.document_entry(tenant, kind, id_, created_at).sk
        pk = item_keys.document(tenant, kind, "").pk
        limits = Between(item_keys.ENTRIES, below or item_keys.ENTRIES + list_entries.HIGHEST)
        entries = self._table.query(pk, limits, descending=True, page=limit + 2)
        listed = list(islice((item for item in entries if item["sk"] != below), limit + 1))
        wanted = [item_keys.document(tenant, kind, from_blob(item["id"])) for item in listed[:limit]]
        held = self._documents(wanted)
        # The cursor comes from the list, not from the documents found: others may delete a whole page meanwhile.
        following = _cursor(listed[limit - 1]) if len(listed) > limit > 0 else None
        return [held[key] for key in wanted if key in held], following

    def count_documents(self, tenant: str, kind: str, *, limit: int) -> int:
        limits = Between(item_keys.ENTRIES, item_keys.ENTRIES + list_entries.HIGHEST)
        entries = self._table.query(item_keys.document(tenant, kind, "").pk, limits, page=limit)
        return sum(1 for _ in islice(entries, limit))

    def documents_by_id(self, tenant: str, kind: str, ids: Collection[str]) -> dict[str, Document]:
        found = self._documents([item_keys.document(tenant, kind, id_) for id_ in ids])
        return {document.id: document for document in found.values()}

    def due_documents(self, kind: str, *, now: str, limit: int) -> list[Document]:
        # The index may still name many that were moved or deleted just now, so more pages may be read.
        entries = by_hour(self._table, item_keys.due_queue(kind), Look(now), page=limit)
        return self._due(map(key_of, entries), now, limit)

    def due_in_turn(self, kind: str, *, now: str, limit: int, each: int) -> list[Document]:
        keys = self._turns.in_turn([item_keys.due_queue(kind)], until=now, each=each)
        return self._due(in_turn(keys, limit), now, limit)

    def delete_document(self, tenant: str, kind: str, id_: str) -> bool:
        return self._units.run(lambda unit: _delete(unit, item_keys.document(tenant, kind, id_)))

    def _documents(self, wanted: list[Key]) -> dict[Key, Document]:
        found = self._table.bodies(list(self._table.read(wanted).values()))
        return {Key(item["pk"], item["sk"]): _load(item, body) for item, body in found}

    def _due(self, keys: Iterable[Key], now: str, limit: int) -> list[Document]:
        """The first of these documents that are due now; the index may be out of date."""
        items = chain.from_iterable(self._due_items(some, now) for some in portions(keys, min(_SOME, max(limit, 1))))
        some = list(until_heavy(islice(items, limit), body_bytes, most=JOBS_AT_ONCE))
        return [_load(item, body) for item, body in self._table.bodies(some) if _is_due(item, now)]

    def _due_items(self, keys: Sequence[Key], now: str) -> Iterator[Item]:
        held = self._table.read(keys)
        return (held[key] for key in keys if key in held and _is_due(held[key], now))


def of_memory(tenant: str, memory_id: str) -> list[Key]:
    """The keys of the documents that belong to a memory."""
    return [item_keys.document(tenant, kind, memory_id) for kind in OF_MEMORIES]


def forget(unit: Unit, keys: Iterable[Key]) -> None:
    """Erase those of these documents that there are."""
    keys = list(keys)
    unit.load(keys)
    there = {key: held for key in keys if (held := unit.get(key)) is not None}
    unit.load(map(_entry, there.values()))
    for key in there:
        _delete(unit, key)


def _put(unit: Unit, document: Document) -> bool:
    key = item_keys.document(document.tenant, document.kind, document.id)
    head_key = item_keys.head(document.tenant, document.id)
    of_a_memory = document.kind in OF_MEMORIES
    unit.load([key, head_key] if of_a_memory else [key])
    held = unit.get(key)
    standing = (held["version"], held["created"]) if held is not None else (0, document.created_at)
    if standing != (document.version - 1, document.created_at):
        return False
    if of_a_memory and (head := unit.get(head_key)) is not None:
        if head["state"] == item_keys.DELETED:
            return False
        # A concurrent deletion of the memory may already have looked for documents, so one of the two must run again.
        unit.put(head_key, {**head, "rated": unit.id})
    if held is not None:
        _delete(unit, key)
    item: Item = {
        "tenant": to_blob(document.tenant),
        "kind": to_blob(document.kind),
        "id": to_blob(document.id),
        "created": document.created_at,
        "version": document.version,
        "due": document.due_at,
    }
    if document.due_at is not None:
        place = item_keys.turn(document.tenant, document.due_at, item_keys.part(document.id))
        item |= {"gsi1pk": item_keys.due_queue(document.kind), "gsi1sk": place}
    unit.put(key, unit.with_body(key, item, dump(document.body)))
    unit.put(_entry(item), {"id": to_blob(document.id)})
    return True


def _delete(unit: Unit, key: Key) -> bool:
    held = unit.get(key)
    if held is None:
        return False
    unit.delete(_entry(held))
    unit.delete(key)
    return True


def _is_due(item: Item, now: str) -> bool:
    return item["due"] is not None and item["due"] <= now


def _entry(item: Item) -> Key:
    tenant, kind, id_ = (from_blob(item[name]) for name in ("tenant", "kind", "id"))
    return item_keys.document_entry(tenant, kind, id_, item["created"])


def _cursor(entry: Item) -> str:
    created_at, _, _ = entry["sk"].removeprefix(item_keys.ENTRIES).partition("#")
    return to_cursor(created_at, from_blob(entry["id"]))


def _load(item: Item, body: bytes) -> Document:
    tenant, kind, id_ = (from_blob(item[name]) for name in ("tenant", "kind", "id"))
    return Document(tenant, kind, id_, load(body), item["created"], item["version"], item["due"])
