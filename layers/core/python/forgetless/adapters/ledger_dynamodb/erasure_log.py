"""DynamoErasureLog: the log of erasures in a table of its own, which no copy of the ledger's table contains."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import Any

from forgetless.adapters.ledger_dynamodb import schema
from forgetless.adapters.ledger_dynamodb.attribute_values import from_wire, to_wire
from forgetless.adapters.ledger_dynamodb.client import Client
from forgetless.adapters.ledger_dynamodb.failures import ContendedError
from forgetless.domain.erasure_log import LoggedErasure, LogLine, dump_header, dump_line, load_header, load_line
from forgetless.domain.errors import LedgerError

__all__ = ["LOG_DEFINITION", "DynamoErasureLog"]

#: The definition of the table. template.yaml has the same, and a test compares them.
LOG_DEFINITION: dict[str, Any] = {
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
}

#: The partition of what belongs to no tenant: the header, and the restores. No digest is like it.
_OF_ALL, _HEADER = "log", "HEADER"


class DynamoErasureLog:
    """See `forgetless.ports.erasure_log.ErasureLog`. Each line is an item, so writing it again changes nothing."""

    def __init__(self, table: str, *, endpoint_url: str | None = None, patience_s: float = 10.0) -> None:
        self._client = Client(table, patience_s=patience_s, endpoint_url=endpoint_url)
        self._key: bytes | None = None

    def key(self) -> bytes:
        if self._key is None:
            self._key = self._known_key() or self._new_key()
        return self._key

    def write(self, line: LogLine) -> None:
        if isinstance(line, LoggedErasure):
            # The first incarnation of a ledger from an earlier version has no name.
            place = {"pk": f"T#{line.tenant}", "sk": f"{line.number:012d}#{line.incarnation}#{line.id}"}
        else:
            place = {"pk": _OF_ALL, "sk": f"R#{line.incarnation}"}
        self._put({**place, "line": dump_line(line)})

    def lines(self) -> Iterator[LogLine]:
        parameters: dict[str, Any] = {"TableName": self._client.table, "ConsistentRead": True}
        while True:
            answer = self._call("scan", **parameters)
            for item in map(from_wire, answer["Items"]):
                if item["sk"] != _HEADER:
                    yield load_line(item["line"])
            if "LastEvaluatedKey" not in answer:
                return
            parameters["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def create_table(self) -> None:
        """Create the table where no template does (tests, one machine); harmless when it exists."""
        schema.create(self._client, LOG_DEFINITION)

    def close(self) -> None:
        self._client.close()

    def _known_key(self) -> bytes | None:
        place = to_wire({"pk": _OF_ALL, "sk": _HEADER})
        answer = self._call("get_item", TableName=self._client.table, Key=place, ConsistentRead=True)
        return load_header(from_wire(answer["Item"])["line"])[0] if "Item" in answer else None

    def _new_key(self) -> bytes:
        item = {"pk": _OF_ALL, "sk": _HEADER, "line": dump_header(secrets.token_bytes(32))}
        with contextlib.suppress(ContendedError):  # another process was faster, or an answer was lost
            self._client.call(
                "put_item",
                TableName=self._client.table,
                Item=to_wire(item),
                ConditionExpression="attribute_not_exists(pk)",
            )
        key = self._known_key()
        if key is None:
            raise LedgerError(f"the log of erasures {self._client.table} does not keep what is written; try again")
        return key

    def _put(self, item: dict[str, Any]) -> None:
        self._call("put_item", TableName=self._client.table, Item=to_wire(item))

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            return self._client.call(operation, **parameters)
        except ContendedError as error:
            raise LedgerError(f"the log of erasures {self._client.table} is busy; try again") from error
