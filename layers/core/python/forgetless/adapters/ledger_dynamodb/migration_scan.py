"""Reads all memories of a table for a migration, while nothing else writes: consistently, and not through our index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from forgetless.adapters.ledger_codec import from_blob, load_memory
from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import Item, from_wire, to_wire
from forgetless.adapters.ledger_dynamodb.client import Client
from forgetless.domain.errors import LedgerError
from forgetless.domain.memory import Memory

__all__ = ["body_of", "memories_in"]


def memories_in(client: Client, state: int) -> Iterator[Memory]:
    """All memories in a state (LIVE …); raises LedgerError if a change of a dead process is unfinished."""
    parameters: dict[str, Any] = {
        "TableName": client.table,
        "FilterExpression": "sk = :sk",
        "ExpressionAttributeValues": to_wire({":sk": item_keys.HEAD}),
        "ConsistentRead": True,
    }
    while True:
        answer = client.call("scan", **parameters)
        for item in map(from_wire, answer["Items"]):
            if "stage" in item:
                raise LedgerError("a change of a dead process is unfinished: run migrate again in ten seconds")
            if item["state"] == state:
                yield load_memory(from_blob(item["tenant"]), body_of(client, item))
        if "LastEvaluatedKey" not in answer:
            return
        parameters["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def body_of(client: Client, item: Item) -> bytes:
    """The body of an item, joined from its parts when it is long."""
    if "body_id" not in item:
        return bytes(item["body"])
    keys = [item_keys.part_of_body(item["pk"], item["body_id"], number) for number in range(item["parts"])]
    answers = [
        client.call("get_item", TableName=client.table, Key=to_wire(key._asdict()), ConsistentRead=True) for key in keys
    ]
    return b"".join(from_wire(answer["Item"])["body"] for answer in answers)
