"""DynamoDB for tests: moto behind a gate that admits one request at a time and can answer in moto's place."""

from __future__ import annotations

import copy
import functools
import io
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto import backends
from moto.core import responses
from moto.core.serialize import ResponseSerializer
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

__all__ = ["DynamoServer", "Handler", "Rule", "error", "respond", "serve_dynamodb"]

#: Given the operation and its parameters: None lets moto answer, else the status and the body of the answer.
Rule = Callable[[str, dict[str, Any]], "tuple[int, Any] | None"]


class DynamoServer:
    """The WSGI application: `rules` are asked first, in order; `calls` counts operations."""

    def __init__(self) -> None:
        self.url = ""
        self.admin: Any = None
        self.rules: list[Rule] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        #: How many answers to an operation the caller is not to get, though it is done.
        self.lose_answers: dict[str, int] = {}
        #: Tokens of transactions that were done, with what they asked for.
        self._done: dict[str, Any] = {}
        self._moto = DomainDispatcherApplication(create_backend_app)
        #: moto's transactions are not safe beside other requests.
        self._one = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(raw)
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        parameters = json.loads(raw or b"{}")
        with self._one:
            _snapshots.clear()
            self.calls.append((operation, parameters))
            for rule in self.rules:
                answer = rule(operation, parameters)
                if answer is not None:
                    return respond(start_response, *answer)
            lost = bool(self.lose_answers.get(operation))
            if lost:
                self.lose_answers[operation] -= 1
            if (known := self._known(parameters)) is not None:
                return respond(start_response, *(error("InternalServerError", 500) if lost else known))
            statuses: list[str] = []

            def start(status: str, headers: Any, *more: Any) -> Any:
                statuses.append(status)
                return (lambda _: None) if lost else start_response(status, headers, *more)

            body = b"".join(self._moto(environ, start))
            if statuses[-1].startswith("200") and "ClientRequestToken" in parameters:
                self._done[parameters["ClientRequestToken"]] = parameters
            return respond(start_response, *error("InternalServerError", 500)) if lost else [body]

    def _known(self, parameters: dict[str, Any]) -> tuple[int, Any] | None:
        """As DynamoDB answers a transaction that it has done already; moto would do it again."""
        done = self._done.get(parameters.get("ClientRequestToken", ""))
        if done is None:
            return None
        return (200, {}) if done == parameters else error("IdempotentParameterMismatchException")

    def freeze_indexes(self, table: str) -> None:
        """Let secondary indexes show what they hold now and nothing that comes later, as they may for a while."""
        frozen = copy.deepcopy(next(backend[table] for backend in _tables() if table in backend))

        def stale(operation: str, parameters: dict[str, Any]) -> tuple[int, Any] | None:
            if operation != "Query" or "IndexName" not in parameters or parameters["TableName"] != table:
                return None
            values = {name: value["S"] for name, value in parameters["ExpressionAttributeValues"].items()}
            low, high = values.get(":low", ""), values.get(":high", chr(0x10FFFF))
            found = [item.to_json()["Attributes"] for item in frozen.all_items()]
            found = [item for item in found if item.get("gsi1pk", {}).get("S") == values[":pk"]]
            found = sorted(
                (item for item in found if low <= item["gsi1sk"]["S"] <= high), key=lambda item: item["gsi1sk"]["S"]
            )
            keys = [{name: item[name] for name in ("pk", "sk", "gsi1pk", "gsi1sk")} for item in found]
            return 200, {"Items": keys, "Count": len(keys)}

        self.rules.append(stale)


@contextmanager
def serve_dynamodb() -> Iterator[DynamoServer]:
    """A server on a free port; its tables go with it."""
    application = DynamoServer()
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Handler)
    application.url = f"http://127.0.0.1:{server.server_port}"
    key = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    application.admin = boto3.client("dynamodb", "us-east-1", endpoint_url=application.url, **key)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield application
    finally:
        application.admin.close()
        server.shutdown()
        thread.join()
        server.server_close()


def error(code: str, status: int = 400, **more: Any) -> tuple[int, Any]:
    """An answer that refuses."""
    return status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": code, **more}


class Handler(MotoRequestHandler):  # type: ignore[misc, unused-ignore]
    """Keeps connections open, as DynamoDB does; werkzeug closes them, and waits 10 ms for more after each request."""

    protocol_version = "HTTP/1.1"

    def run_wsgi(self) -> None:
        begun: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
            begun.append((status, headers))

        body = b"".join(self.server.app(self.make_environ(), start))
        status, headers = begun[-1]
        kept = [(name, value) for name, value in headers if name.lower() not in {"content-length", "connection"}]
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in kept), f"Content-Length: {len(body)}"]
        # In one piece: TCP delays the second small one.
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        pass


def _tables() -> list[dict[str, Table]]:
    accounts = backends.get_backend("dynamodb").values()
    return [backend.tables for account in accounts for backend in account.values()]


def respond(start_response: Any, status: int, body: Any) -> list[bytes]:
    raw = json.dumps(body).encode()
    headers = [("Content-Type", "application/x-amz-json-1.0"), ("Content-Length", str(len(raw)))]
    start_response(f"{status} -", headers)
    return [raw]


#: What moto rolls a failed transaction back to, by table; made once for each request.
_snapshots: dict[str, Table] = {}


def _snapshot(table: Table, _memo: Any) -> Table:
    """The table with copies of its dicts: our transactions only put and delete whole items.

    moto copies the whole table again for each item of a transaction, which takes minutes for large ones.
    """
    kept = _snapshots.get(table.name)
    if kept is None:
        kept = _snapshots[table.name] = copy.copy(table)
        kept.items = table.items.copy()
        for partition, items in table.items.items():
            kept.items[partition] = copy.copy(items)
    return kept


Table.__deepcopy__ = _snapshot

_get_value = ResponseSerializer.get_value


def _get_value_of_a_type(self: Any, value: Any, key: str, shape: Any) -> Any:
    """What an attribute holds under the name of a type; moto tries ten spellings of each name for each attribute."""
    if type(value) is dict and shape.parent.name == "AttributeValue":
        return value.get(key)
    return _get_value(self, value, key, shape)


_cast_value = DynamoType.cast_value.fget


def _cast(self: DynamoType) -> Any:
    """What values are compared by; nearly all are strings, for which moto asks five other types first."""
    return self.value if self.type == "S" else _cast_value(self)


def _place(item: Item) -> tuple[Any, ...]:
    return (item.hash_key.cast_value, *([item.range_key.cast_value] if item.range_key else ()))


def _in_order(self: Table) -> list[Item]:
    """All items, sorted by the values of their keys; moto compares the objects around them, many times each."""
    return sorted((item for partition in self.items.values() for item in _items_of(self, partition)), key=_place)


def _items_of(table: Table, partition: Any) -> Iterable[Item]:
    return partition.values() if table.range_key_attr else [partition]


# Two thirds of moto's time for a request went into these five.
DynamoType.cast_value = property(_cast)
Table.all_items = _in_order
ResponseSerializer.get_value = _get_value_of_a_type
responses.method_names_from_class = functools.cache(responses.method_names_from_class)
_MODULES = tuple(backends.list_of_moto_modules())
backends.list_of_moto_modules = lambda: _MODULES
