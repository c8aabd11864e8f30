"""The steps that bring a table from one schema version to the next. Each may be interrupted and run again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from forgetless.adapters.ledger_codec import from_blob
from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import Item, from_wire, to_wire
from forgetless.adapters.ledger_dynamodb.client import Client
from forgetless.adapters.ledger_dynamodb.failures import ContendedError

__all__ = ["queue_pending_by_tenant"]

_OLD_QUEUE = "P#"


def queue_pending_by_tenant(client: Client) -> None:
    """Version 2: pending memories are queued by tenant and then by time. Before, they were queued by time alone.

    A consistent scan finds them, because the index may lag behind, and a staged change is in no index.
    """
    again = True
    while again:
        again = False
        for item in _of_the_old_queues(client):
            name = "stage" if "stage" in item else "rev"
            moved = _moved(item)
            if isinstance(moved.get("next"), dict):
                moved["next"] = _moved(moved["next"])
            try:
                client.call(
                    "put_item",
                    TableName=client.table,
                    Item=to_wire(moved),
                    ConditionExpression="#held = :held",
                    ExpressionAttributeNames={"#held": name},
                    ExpressionAttributeValues=to_wire({":held": item[name]}),
                )
            except ContendedError:  # it was changed meanwhile
                again = True


def _of_the_old_queues(client: Client) -> Iterator[Item]:
    parameters: dict[str, Any] = {
        "TableName": client.table,
        "ConsistentRead": True,
        "FilterExpression": "sk = :head AND (begins_with(gsi1pk, :old) OR begins_with(#next.gsi1pk, :old))",
        "ExpressionAttributeNames": {"#next": "next"},
        "ExpressionAttributeValues": to_wire({":head": item_keys.HEAD, ":old": _OLD_QUEUE}),
    }
    while True:
        answer = client.call("scan", **parameters)
        yield from map(from_wire, answer["Items"])
        if "LastEvaluatedKey" not in answer:
            return
        parameters["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def _moved(item: Item) -> Item:
    if not str(item.get("gsi1pk", "")).startswith(_OLD_QUEUE):
        return dict(item)
    order = f"{item_keys.part(from_blob(item['tenant']))}#{item['gsi1sk']}"
    return {**item, "gsi1pk": item_keys.PENDING + item["gsi1pk"].removeprefix(_OLD_QUEUE), "gsi1sk": order}
