"""The table: consistent reads of items, taking staged changes into account, and the bodies of items."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from forgetless.adapters.ledger_dynamodb import item_keys, schema
from forgetless.adapters.ledger_dynamodb.attribute_values import Item, from_wire, to_wire
from forgetless.adapters.ledger_dynamodb.client import Client
from forgetless.adapters.ledger_dynamodb.expiry import Expiry
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.domain.errors import LedgerError

__all__ = [
    "COMMITTED",
    "DROPPED",
    "GONE",
    "PENDING",
    "Along",
    "Between",
    "Table",
    "joined",
    "key_of",
    "part_keys",
    "portions",
    "without_stage",
]

T = TypeVar("T")

#: DynamoDB returns at most this many items in a batch.
_BATCH = 100

#: How often an item may be replaced while its body is read, before the read fails.
_REPLACED_AT_MOST = 10

#: The states of a staged commit. GONE means that all its items have their final content.
PENDING, COMMITTED, DROPPED, GONE = "PENDING", "COMMITTED", "DROPPED", "GONE"


@dataclass(frozen=True, slots=True)
class Between:
    """Sort keys from `low` to `high`, both included."""

    low: str
    high: str


@dataclass(slots=True, eq=False)
class Along:
    """An item that the next batch of a thread brings along, and whether it came; None if it does not exist."""

    key: Key
    item: Item | None = None
    came: bool = False


class _Waiting(threading.local):
    """What the next batch of this thread must bring along."""

    def __init__(self) -> None:
        self.items: list[Along] = []


class Table:
    """One table. All reads are consistent unless a method says otherwise."""

    def __init__(self, client: Client, expiry: Expiry, *, of_any_version: bool = False) -> None:
        self.client = client
        self.expiry = expiry
        #: The version of the schema, after it has been read.
        self._version: int | None = None
        self._looked = of_any_version
        self._waiting = _Waiting()
        self._digest_key: bytes | None = None

    def digest_key(self) -> bytes:
        """The key of the ledger's digests, which a new table gets now and which never changes."""
        if self._digest_key is None:
            self.claim()
            self._digest_key = self._digest_key or schema.digest_key_of(schema.read(self.client))
        return self._digest_key

    def has_digest_key(self) -> bool:
        """Whether the table has one already, so that `digest_key` writes nothing: a search may not write."""
        self._look()
        if self._digest_key is None:
            item = schema.read(self.client)
            self._digest_key = schema.digest_key_of(item) if item else None
        return self._digest_key is not None

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """`Client.call`, after a check that the table has our schema version."""
        self._look()
        return self.client.call(operation, **parameters)

    def claim(self) -> None:
        """Write our version into a new table, before the first write."""
        self._look()
        if self._version is None:
            self._version = schema.claim(self.client)

    @contextmanager
    def along(self, key: Key) -> Iterator[Along]:
        """While the context is open, the next batch that this thread reads brings this item along."""
        along = Along(key)
        self._waiting.items.append(along)
        try:
            yield along
        finally:
            self._waiting.items.remove(along)

    def raw(self, wanted: Iterable[Key]) -> dict[Key, Item]:
        """Those items that exist, with the changes staged on them."""
        asked = dict.fromkeys(wanted)
        waiting = [one for one in self._waiting.items if not one.came] if asked else []
        first = {one.key for one in waiting}
        found: dict[Key, Item] = {}
        for portion in portions(dict.fromkeys([*first, *asked]), _BATCH):
            found |= self._in_one(portion, first)
            first = set()
        for one in waiting:
            one.came = True
            held = found.get(one.key)
            one.item = next(self._seen([held], {}), None) if held is not None else None
        return {key: item for key, item in found.items() if key in asked}

    def read(self, wanted: Iterable[Key]) -> dict[Key, Item]:
        """Those items that exist for a reader: staged changes count when they are committed."""
        return {key_of(item): item for item in self._seen(self.raw(wanted).values(), {})}

    def one(self, key: Key) -> Item | None:
        """`read` for one item."""
        return self.read([key]).get(key)

    def query(
        self, pk: str, sort: str | Between | None = None, *, descending: bool = False, page: int | None = None
    ) -> Iterator[Item]:
        """The items of a partition whose sort keys begin with `sort` or lie in the range, ordered by sort key."""
        stages: dict[str, str] = {}
        for attributes in self.raw_query(pk, sort, descending=descending, page=page):
            yield from self._seen([attributes], stages)

    def raw_query(
        self, pk: str, sort: str | Between | None = None, *, descending: bool = False, page: int | None = None
    ) -> Iterator[Item]:
        """`query` for items with the changes staged on them."""
        parameters = _condition("pk", "sk", pk, sort) | {"ConsistentRead": True, "ScanIndexForward": not descending}
        yield from self._pages(parameters, page)

    def queue(self, pk: str, sort: Between | None = None, *, page: int | None = None) -> Iterator[Key]:
        """Keys from the secondary index, in its order. The index may be out of date, so check the items themselves."""
        yield from map(key_of, self.queue_entries(pk, sort, page=page))

    def queue_entries(self, pk: str, sort: Between | None = None, *, page: int | None = None) -> Iterator[Item]:
        """`queue` with the keys in the index itself, `gsi1pk` and `gsi1sk`."""
        parameters = _condition("gsi1pk", "gsi1sk", pk, sort) | {"IndexName": item_keys.INDEX}
        yield from self._pages(parameters, page)

    def scan(self, sort: str) -> Iterator[Key]:
        """The keys of all items with this sort key. Only for administrators, because it reads the whole table."""
        parameters = {
            "FilterExpression": "sk = :sk",
            "ExpressionAttributeValues": to_wire({":sk": sort}),
            "ProjectionExpression": "pk, sk",
        }
        yield from map(key_of, self._pages(parameters, None, operation="scan"))

    def bodies(self, items: Sequence[Item]) -> list[tuple[Item, bytes]]:
        """Each item with its body. An item replaced meanwhile has its new content; a deleted one is left out."""
        found: list[tuple[Item, bytes]] = []
        parts = self.read(key for item in items for key in part_keys(item))
        for item in items:
            current: Item | None = item
            wanted = part_keys(item)
            for _ in range(_REPLACED_AT_MOST):
                if current is None or all(key in parts for key in wanted):
                    break
                current = self.one(key_of(item))
                wanted = part_keys(current) if current is not None else []
                parts |= self.read(wanted)
            else:
                raise LedgerError(f"the ledger's table {self.client.table} lacks a part of {item['pk']}: restore it")
            if current is not None:
                found.append((current, joined(current, parts)))
        return found

    def stage_state(self, stage: str) -> str:
        """The state of a staged commit."""
        item = self.raw([item_keys.stage(stage)]).get(item_keys.stage(stage))
        return GONE if item is None else str(item["state"])

    def _look(self) -> None:
        if not self._looked:
            item = schema.read(self.client)
            self._version = schema.check(self.client, item=item)
            self._digest_key = schema.digest_key_of(item) if item else None
            self._looked = True

    def _in_one(self, wanted: Sequence[Key], first: Set[Key]) -> dict[Key, Item]:
        """Those items that exist. None of the others is read before those that must be read `first`."""
        found: dict[Key, Item] = {}
        tries = self.client.tries()
        left = wanted
        while left:
            answer = self.call("batch_get_item", RequestItems=_batch(self.client.table, left))
            unread = answer.get("UnprocessedKeys", {}).get(self.client.table, {}).get("Keys", ())
            left = [Key(**from_wire(key)) for key in unread]
            if first & set(left):
                left = wanted  # a throttled batch left them out: nothing that it has read counts
            else:
                items = map(from_wire, answer["Responses"].get(self.client.table, ()))
                found |= {key_of(item): item for item in items}
                first = set()
            if left and not tries.again():
                raise LedgerError(f"the ledger's table {self.client.table} is throttled", retry_after=5)
        return found

    def _seen(self, items: Iterable[Item], stages: dict[str, str]) -> Iterator[Item]:
        for found in items:
            item: Item | None = found
            while item is not None and "stage" in item:
                stage = item["stage"]
                if stage not in stages:
                    stages[stage] = self.stage_state(stage)
                if stages[stage] != GONE:
                    item = item["next"] if stages[stage] == COMMITTED else without_stage(item)
                    break
                # The stage was settled between the two reads.
                item = self.raw([key_of(found)]).get(key_of(found))
            if item is not None:
                yield item

    def _pages(self, parameters: dict[str, Any], page: int | None, operation: str = "query") -> Iterator[Item]:
        start: dict[str, Any] = {}
        limit = {} if page is None else {"Limit": page}
        while True:
            answer = self.call(operation, TableName=self.client.table, **parameters, **limit, **start)
            yield from map(from_wire, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def key_of(item: Item) -> Key:
    """An item's key."""
    return Key(item["pk"], item["sk"])


def part_keys(item: Item) -> list[Key]:
    """The keys of the items with the parts of an item's body, when it is long."""
    if "body_id" not in item:
        return []
    return [item_keys.part_of_body(item["pk"], item["body_id"], number) for number in range(item["parts"])]


def joined(item: Item, parts: Mapping[Key, Item]) -> bytes:
    """An item's body, joined from its parts when it is long."""
    wanted = part_keys(item)
    return b"".join(parts[key]["body"] for key in wanted) if wanted else bytes(item.get("body", b""))


def without_stage(item: Item) -> Item | None:
    """An item as it was before a change was staged on it; None when it did not exist."""
    old = {name: value for name, value in item.items() if name not in {"stage", "next"}}
    return old if "rev" in old else None


def _batch(table: str, wanted: Sequence[Key]) -> dict[str, Any]:
    return {table: {"Keys": [to_wire(key._asdict()) for key in wanted], "ConsistentRead": True}}


def _condition(partition: str, sort: str, pk: str, wanted: str | Between | None) -> dict[str, Any]:
    condition, values = f"{partition} = :pk", {":pk": pk}
    if isinstance(wanted, Between):
        condition += f" AND {sort} BETWEEN :low AND :high"
        values |= {":low": wanted.low, ":high": wanted.high}
    elif wanted is not None:
        condition += f" AND begins_with({sort}, :sort)"
        values |= {":sort": wanted}
    return {"KeyConditionExpression": condition, "ExpressionAttributeValues": to_wire(values)}


def portions(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`; the last list may be shorter."""
    rest = iter(items)
    return iter(lambda: list(islice(rest, size)), [])
