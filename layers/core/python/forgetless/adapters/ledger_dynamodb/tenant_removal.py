"""Removes the items of one tenant: a scan finds them by their partition keys, a page in each call.

Lists name most of them, but not what is reached by its id alone: versions of deleted memories, records of requests and
ends of pages. A page has at most 1 MB, because DynamoDB ends it there whatever its limit is, so it takes little time
however long the histories are. It is removed without a transaction, because nothing new may be written to the tenant.
Whatever a late writer still writes, a later pass removes.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import from_wire, to_wire
from forgetless.adapters.ledger_dynamodb.erasures import state_of
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.table import key_of, portions
from forgetless.adapters.ledger_dynamodb.unit_of_work import Store, Unit
from forgetless.domain.cursors import from_cursor, to_cursor
from forgetless.domain.errors import LedgerError

__all__ = ["TenantStore"]

#: The first letters of partition keys whose second part is no tenant, and of those of keys and erasures, which have
#: calls of their own. With all other letters it is the tenant.
_NOT_THESE = "ABCHUWX"
_OF_TENANT = [letter for letter in ascii_uppercase if letter not in _NOT_THESE]
#: DynamoDB's limit for a batch of writes, and how many markers a unit of work removes, so that it is one transaction.
_BATCH, _IN_A_UNIT = 25, 90


class TenantStore(Store):
    """See `remove_tenant` and `forget_tenant` in `forgetless.ports.ledger`."""

    def remove_tenant(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[int, str | None]:
        if not state_of(self._table.one(item_keys.erasures(tenant))).closed:
            return 0, None
        begins = {f":p{place}": f"{letter}#{item_keys.part(tenant)}#" for place, letter in enumerate(_OF_TENANT)}
        parameters: dict[str, Any] = {
            "TableName": self._table.client.table,
            "FilterExpression": " OR ".join(f"begins_with(pk, {name})" for name in begins),
            "ExpressionAttributeValues": to_wire(begins),
            "ProjectionExpression": "pk, sk",
            "Limit": limit,
            "ConsistentRead": True,
        }
        if cursor is not None:
            pk, sk = from_cursor(cursor, str, str)
            parameters["ExclusiveStartKey"] = to_wire({"pk": pk, "sk": sk})
        answer = self._table.call("scan", **parameters)
        found = [key_of(from_wire(item)) for item in answer["Items"]]
        self._delete(found)
        last = answer.get("LastEvaluatedKey")
        if last is None:
            self._delete([item_keys.expiring(tenant)])
            return len(found), None
        key = from_wire(last)
        return len(found), to_cursor(key["pk"], key["sk"])

    def forget_tenant(self, tenant: str, *, limit: int) -> bool:
        return self._units.run(lambda unit: _forget(unit, tenant, min(limit, _IN_A_UNIT)))

    def _delete(self, keys: Sequence[Key]) -> None:
        table = self._table.client.table
        for portion in portions(keys, _BATCH):
            tries = self._table.client.tries()
            left: list[Any] = [{"DeleteRequest": {"Key": to_wire(key._asdict())}} for key in portion]
            while left:
                answer = self._table.call("batch_write_item", RequestItems={table: left})
                left = answer.get("UnprocessedItems", {}).get(table, [])
                if left and not tries.again():
                    raise LedgerError(f"the ledger's table {table} is throttled", retry_after=5)


def _forget(unit: Unit, tenant: str, limit: int) -> bool:
    place = item_keys.erasures(tenant)
    state = unit.get(place)
    if not state_of(state).closed:
        return True
    markers = [key_of(item) for item in unit.query(place.pk, "M#")]
    for key in markers[:limit]:
        unit.delete(key)
    if len(markers) > limit:
        return False
    unit.delete(place)
    return True
