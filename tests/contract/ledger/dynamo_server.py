"""DynamoDB for tests: moto behind a door that lets one request in at a time and can answer in its stead."""

from __future__ import annotations

import copy
import io
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.dynamodb.models.table import Table
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

__all__ = ["DynamoServer", "error", "serve_dynamodb"]

#: Given the operation and its parameters: None lets moto answer, else the status and the body of the answer.
Rule = Callable[[str, dict[str, Any]], "tuple[int, Any] | None"]


class DynamoServer:
    """The WSGI application: `rules` are asked first, in order; `calls` counts operations."""

    def __init__(self) -> None:
        self.url = ""
        self.rules: list[Rule] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._moto = DomainDispatcherApplication(create_backend_app)
        #: moto's transactions are not safe beside other requests.
        self._one = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(raw)
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        parameters = json.loads(raw or b"{}")
        with self._one:
            self.calls.append((operation, parameters))
            for rule in self.rules:
                answer = rule(operation, parameters)
                if answer is not None:
                    return _answer(start_response, *answer)
            return [b"".join(self._moto(environ, start_response))]


@contextmanager
def serve_dynamodb() -> Iterator[DynamoServer]:
    """A server on a free port; its tables go with it."""
    application = DynamoServer()
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Handler)
    application.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield application
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def error(code: str, status: int = 400, **more: Any) -> tuple[int, Any]:
    """An answer that refuses."""
    return status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": code, **more}


class _Handler(MotoRequestHandler):  # type: ignore[misc, unused-ignore]
    """Keeps connections open, as DynamoDB does."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        pass


def _answer(start_response: Any, status: int, body: Any) -> list[bytes]:
    raw = json.dumps(body).encode()
    headers = [("Content-Type", "application/x-amz-json-1.0"), ("Content-Length", str(len(raw)))]
    start_response(f"{status} -", headers)
    return [raw]


def _snapshot(table: Table, _memo: Any) -> Table:
    """What moto rolls a failed transaction back to; ours only put and delete whole items, so those need no copy.

    moto copies the whole table anew for each item of a transaction, which takes minutes for large ones.
    """
    kept: Table = copy.copy(table)
    kept.items = table.items.copy()
    for partition, items in table.items.items():
        kept.items[partition] = copy.copy(items)
    return kept


Table.__deepcopy__ = _snapshot
