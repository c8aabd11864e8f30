"""Version 2 to 3: totals of tenants, and how many memories of an entity have an expiration date.

It reads every memory once and writes absolute numbers, so it may be interrupted and run again, if nothing else writes.
"""

from __future__ import annotations

from collections import Counter

from forgetless.adapters.ledger_codec import to_blob
from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import Item, to_wire
from forgetless.adapters.ledger_dynamodb.client import Client
from forgetless.adapters.ledger_dynamodb.migration_scan import memories_in

__all__ = ["keep_totals"]


def keep_totals(client: Client) -> None:
    """Write the tenants' totals, and the second number of the totals of entities."""
    live: Counter[str] = Counter()
    expiring: Counter[tuple[str, str, str]] = Counter()
    for memory in memories_in(client, item_keys.LIVE):
        tenant = memory.scope.tenant
        live[tenant] += 1
        if memory.expiration_date is not None:
            expiring[tenant, "tenant", ""] += 1
            expiring.update((tenant, kind, word) for kind, word in item_keys.scope_kinds(memory.scope).items())
    for tenant, number in live.items():
        total = {"total": number, "expiring": expiring[tenant, "tenant", ""]}
        _set(client, item_keys.tenant_total(tenant, 0), {"kind": "tenant", "id": b"", "stale": False}, total)
    for (tenant, kind, word), number in expiring.items():
        if kind != "tenant":
            first = {"kind": kind, "id": to_blob(word), "stale": False, "total": 0}
            _set(client, item_keys.total(tenant, 0, kind, word), first, {"expiring": number})


def _set(client: Client, key: item_keys.Key, first: Item, values: Item) -> None:
    """Set the values of a counter, which gets the other attributes only if it is new."""
    first = {**first, "rev": "migration"}
    names = {f"#{name}": name for name in (*first, *values)}
    sets = [f"#{name} = if_not_exists(#{name}, :{name})" for name in first] + [f"#{name} = :{name}" for name in values]
    client.call(
        "update_item",
        TableName=client.table,
        Key=to_wire(key._asdict()),
        UpdateExpression="SET " + ", ".join(sets),
        ExpressionAttributeNames=names,
        ExpressionAttributeValues=to_wire({f":{name}": value for name, value in {**first, **values}.items()}),
    )
