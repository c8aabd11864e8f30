"""The ranges of a tenant's memories, which are the partitions of its list, and the list of tenants."""

from __future__ import annotations

from itertools import islice

from forgetless.adapters.ledger_codec import from_blob, from_cursor, load_memory, to_cursor
from forgetless.adapters.ledger_dynamodb import item_keys, list_entries
from forgetless.adapters.ledger_dynamodb.attribute_values import Item, from_wire, to_wire
from forgetless.adapters.ledger_dynamodb.table import Between
from forgetless.adapters.ledger_dynamodb.unit_of_work import Store
from forgetless.ports.request_ledger import MemoryPage

__all__ = ["RangeStore"]

#: How many items a page of the scan for tenants reads; DynamoDB ends it after one megabyte.
_SCANNED = 2000


class RangeStore(Store):
    """See `list_range` and `list_tenants` in `forgetless.ports.ledger`."""

    def list_range(self, tenant: str, number: int, *, limit: int, cursor: str | None = None) -> MemoryPage:
        after = list_entries.LOWEST if cursor is None else str(from_cursor(cursor, str)[0])
        partition = item_keys.partitions(list_entries.LIST, tenant, "tenant")[number]
        entries = self._table.query(partition, Between(after, list_entries.HIGHEST), page=limit + 2)
        listed = list(islice((item for item in entries if item["sk"] != after), limit + 1))
        heads = [item_keys.head(tenant, from_blob(item["memory"])) for item in listed[:limit]]
        found = self._table.bodies(list(self._table.read(heads).values()))
        memories = (load_memory(tenant, body) for _, body in found)
        following = to_cursor(str(listed[limit - 1]["sk"])) if len(listed) > limit > 0 else None
        return MemoryPage(tuple(memory for memory in memories if not memory.deleted), following)

    def list_tenants(self, *, limit: int, cursor: str | None = None) -> tuple[list[str], str | None]:
        del limit  # the pages are those of the scan
        start = {}
        if cursor is not None:
            pk, sk = from_cursor(cursor, str, str)
            start = {"ExclusiveStartKey": to_wire({"pk": pk, "sk": sk})}
        answer = self._table.call(
            "scan",
            TableName=self._table.client.table,
            FilterExpression="sk = :sk",
            ExpressionAttributeValues=to_wire({":sk": item_keys.HEAD}),
            Limit=_SCANNED,
            ConsistentRead=True,
            **start,
        )
        names = dict.fromkeys(_tenant(from_wire(item)) for item in answer["Items"])
        last = answer.get("LastEvaluatedKey")
        key = from_wire(last) if last else None
        return list(names), to_cursor(key["pk"], key["sk"]) if key else None


def _tenant(head: Item) -> str:
    # The first version of a memory that is still being staged has no content of its own yet.
    return from_blob(head["tenant"] if "tenant" in head else head["next"]["tenant"])
