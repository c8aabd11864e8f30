"""Checks of the table with bounded work: the first pages of a scan, parts of a tenant's list, the pending queue.

DynamoDB itself keeps each item whole and replicated. So only things that consist of several items can be broken: long
bodies, and a memory with its earlier versions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from forgetless.adapters.ledger_codec import from_blob, load_memory
from forgetless.adapters.ledger_dynamodb import append, item_keys, list_entries
from forgetless.adapters.ledger_dynamodb.attribute_values import Item, from_wire, to_wire
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.table import Between, key_of, portions
from forgetless.adapters.ledger_dynamodb.unit_of_work import Store
from forgetless.domain.errors import LedgerError
from forgetless.domain.memory import Memory
from forgetless.ports.ledger import Faults, Tally

__all__ = ["InspectionStore"]

#: The number of pages of a scan, and of items in a page, which has at most a megabyte.
_PAGES, _PAGE_ITEMS = 20, 1000
#: How many entries of lists and queues a count reads.
_MOST_COUNTED = 20_000
#: How many memories have their parts and versions checked, and how many are read at once.
_LOOKED_AT, _PORTION = 200, 20


class InspectionStore(Store):
    """See `forgetless.ports.ledger.Inspection`."""

    def tenants(self, *, limit: int) -> tuple[list[str], bool]:
        heads, whole = self._scanned()
        names = list(dict.fromkeys(from_blob(item["tenant"]) for item in heads))
        return names[:limit], whole and len(names) <= limit

    def expiring_tenants(self, *, limit: int) -> list[str]:
        noted = islice(self._table.query(item_keys.EXPIRING, page=limit), limit)
        return [from_blob(item["tenant"]) for item in noted]

    def tally(self, tenant: str | None = None, *, limit: int) -> Tally:
        if tenant is None:
            heads, whole = self._scanned()
            live = sum(item["state"] == item_keys.LIVE for item in heads)
            waiting, refused = (sum(name in item for item in heads) for name in ("pending", "aside_since"))
            late = sum("behind" in item and not append.waits(item) for item in heads)
            return Tally(live, waiting, exact=whole, set_aside=refused, behind=late)
        limit = min(limit, _MOST_COUNTED)
        entries = list(islice(self._entries_of(tenant), limit + 1))
        pending = list(islice(self._queued_of(tenant, item_keys.PENDING_QUEUES), limit + 1))
        set_aside = list(islice(self._queued_of(tenant, item_keys.ASIDE_QUEUES), limit + 1))
        behind = list(islice(self._queued_of(tenant, item_keys.BEHIND_QUEUES), limit + 1))
        live = sum(not item["superseded"] for item in entries[:limit])
        exact = max(len(entries), len(pending), len(set_aside), len(behind)) <= limit
        counts = [len(found[:limit]) for found in (pending, set_aside, behind)]
        return Tally(live, counts[0], exact=exact, set_aside=counts[1], behind=counts[2])

    def sample(self, tenant: str, *, limit: int) -> list[Memory]:
        half = max(1, limit // 2)
        found = [*islice(self._entries_of(tenant), half), *islice(self._entries_of(tenant, descending=True), half)]
        wanted = dict.fromkeys(item_keys.head(tenant, from_blob(item["memory"])) for item in found)
        heads = list(self._table.read(wanted).values())
        memories = [load_memory(tenant, body) for _, body in self._table.bodies(heads)]
        return [memory for memory in memories if memory.live][:limit]

    def faults(self, *, seconds: float, thorough: bool = False) -> Faults:
        heads, _ = self._scanned()
        wanted = [key_of(item) for item in (heads if thorough else heads[:_LOOKED_AT])]
        end, seen = time.monotonic() + seconds, 0
        found: list[str] = []
        for portion in portions(wanted, _PORTION):
            if time.monotonic() >= end:
                break
            found += self._broken(portion)
            seen += len(portion)
        return Faults(tuple(found), f"{seen} memories with their versions")

    def _broken(self, heads: Sequence[Key]) -> Iterator[str]:
        for key, item in self._table.read(heads).items():
            try:
                self._table.bodies([item])
            except LedgerError as error:
                yield error.message
            versions = sum(1 for _ in self._table.query(key.pk, "V#"))
            if versions != item["version"] - 1:
                yield f"{key.pk} is at version {item['version']} and has {versions} earlier ones"

    def _scanned(self) -> tuple[list[Item], bool]:
        """The heads of memories in the first pages of a scan, and whether these are all."""
        parameters: dict[str, Any] = {
            "TableName": self._table.client.table,
            "FilterExpression": "sk = :sk",
            "ExpressionAttributeValues": to_wire({":sk": item_keys.HEAD}),
            "Limit": _PAGE_ITEMS,
        }
        found: list[Key] = []
        for _ in range(_PAGES):
            answer = self._table.call("scan", **parameters)
            found += [key_of(from_wire(item)) for item in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                return list(self._table.read(found).values()), True
            parameters["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return list(self._table.read(found).values()), False

    def _entries_of(self, tenant: str, *, descending: bool = False) -> Iterator[Item]:
        """The memories in the tenant's list, the oldest or newest first within each of its partitions."""
        streams = [
            self._table.query(pk, descending=descending, page=_PAGE_ITEMS)
            for pk in item_keys.partitions(list_entries.LIST, tenant, "tenant")
        ]
        while streams:  # in turn, so that a sample comes from all partitions
            for stream in list(streams):
                item = next(stream, None)
                if item is None:
                    streams.remove(stream)
                else:
                    yield item

    def _queued_of(self, tenant: str, queues: Sequence[str]) -> Iterator[Key]:
        """The memories of the tenant in the queues."""
        limits = Between(item_keys.queued(tenant, ""), item_keys.queued(tenant, list_entries.HIGHEST))
        for queue in queues:
            yield from self._table.queue(queue, limits, page=_PAGE_ITEMS)
