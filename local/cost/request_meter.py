"""Adds up what DynamoDB would bill for the calls of a boto3 client, which botocore's events tell of."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from local.cost.request_units import index_write_units, item_size, read_units, stored_size, write_units

__all__ = ["RequestMeter"]

Item = Mapping[str, Any]
#: Reads an item by table and key without being counted.
Look = Callable[[str, Item], "Item | None"]

#: Operations of the meter, by botocore's names.
_SINGLE_WRITES = {"PutItem", "UpdateItem", "DeleteItem"}


class RequestMeter:
    """`watch` a client; `take` returns what was counted since the last time."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._counted = Counter[str]()

    def watch(self, client: Any) -> None:
        """Count every call of this client from now on."""
        client.meta.events.register("provide-client-params.dynamodb", self._before)
        client.meta.events.register("after-call.dynamodb", self._after)

    def take(self) -> dict[str, float]:
        """Requests, units and bytes by name; counting begins anew."""
        with self._lock:
            counted, self._counted = self._counted, Counter[str]()
        names = ("requests", "read_units", "write_units", "stored_bytes")
        return {name: counted[name] for name in names}

    def _before(self, params: Item, model: Any, context: dict[str, Any], **_: Any) -> None:
        written = _written(model.name, params)
        context["cost"] = (params, [(table, key, self._look(table, key)) for table, key in written])

    def _after(self, parsed: Item, model: Any, context: dict[str, Any], **_: Any) -> None:
        params, olds = context.pop("cost")
        found = self._reads(model.name, params, parsed)
        transaction = model.name == "TransactWriteItems"
        written = stored = 0.0
        for table, key, old in olds:
            new = self._look(table, key)
            written += write_units(old, new, transaction=transaction) + index_write_units(old, new)
            stored += stored_size(new) - stored_size(old)
        with self._lock:
            self._counted.update(requests=1)
            self._counted["read_units"] += found  # type: ignore[assignment] # half units
            self._counted["write_units"] += written  # type: ignore[assignment]
            self._counted["stored_bytes"] += stored  # type: ignore[assignment]

    def _reads(self, operation: str, params: Item, parsed: Item) -> float:
        if operation == "GetItem":
            return read_units([item_size(parsed.get("Item"))], consistent=bool(params.get("ConsistentRead")))
        if operation in {"Query", "Scan"}:
            read = sum(self._whole_size(params, one) for one in parsed.get("Items", []))
            return read_units([read], consistent=bool(params.get("ConsistentRead")))
        if operation == "BatchGetItem":
            units = 0.0
            for table, asked in params["RequestItems"].items():
                items = parsed.get("Responses", {}).get(table, [])
                missing = len(asked["Keys"]) - len(items)
                sizes = [*map(item_size, items), *([0] * missing)]
                units += read_units(sizes, consistent=bool(asked.get("ConsistentRead")))
            return units
        if operation not in {"TransactWriteItems", "BatchWriteItem", *_SINGLE_WRITES}:
            raise ValueError(f"the meter does not know the price of {operation}: add it to local/cost/request_meter.py")
        return 0.0

    def _whole_size(self, params: Item, found: Item) -> int:
        """A projection of a query saves no units, except for an index that has nothing else."""
        if "ProjectionExpression" not in params or "IndexName" in params:
            return item_size(found)
        return item_size(self._look(params["TableName"], {name: found[name] for name in ("pk", "sk")}))


def _written(operation: str, params: Item) -> list[tuple[str, Item]]:
    """Table and key of each item that a call writes; a check of a transaction counts as a write."""
    if operation in _SINGLE_WRITES:
        return [(params["TableName"], _key(params))]
    if operation == "TransactWriteItems":
        acts = [act for one in params["TransactItems"] for act in one.values()]
        return [(act["TableName"], _key(act)) for act in acts]
    if operation == "BatchWriteItem":
        tables = params["RequestItems"].items()
        return [(table, _key(act)) for table, acts in tables for one in acts for act in one.values()]
    return []


def _key(act: Item) -> dict[str, Any]:
    named = act.get("Key") or act["Item"]
    return {name: named[name] for name in ("pk", "sk")}
