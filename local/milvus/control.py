"""The control address of the supervisor: says when the index file was compacted, and has it compacted at once.

`GET /compaction` and `POST /compaction`, which answers 202, say
`{"compacted_at": SECONDS | null, "waiting": bool, "error": TEXT | null}`. Whoever asked waits until `compacted_at`, the
time when the last compaction began, is later than that. There is no authentication, as in Milvus Lite itself.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

__all__ = ["CompactionRequests", "ControlServer"]

#: How long a client may take to send its request.
_READ_S = 5.0
_PATH = "/compaction"


class CompactionRequests:
    """Whether a compaction is wanted. Clients set it, and the supervisor's loop takes it."""

    def __init__(self, compacted_at: Callable[[], float | None]) -> None:
        self._compacted_at = compacted_at
        self._wanted = threading.Event()
        self._running = False
        self._error: str | None = None

    def want(self) -> None:
        """Ask for one."""
        self._error = None
        self._wanted.set()

    def begin(self) -> bool:
        """Whether one is wanted, which then begins. Who asks from now on gets another one."""
        self._running = self._wanted.is_set()
        self._wanted.clear()
        return self._running

    def end(self, error: str | None = None) -> None:
        """The compaction has ended."""
        self._error = error
        self._running = False

    def shown(self) -> dict[str, Any]:
        """The body of the answers."""
        waiting = self._running or self._wanted.is_set()
        return {"compacted_at": self._compacted_at(), "waiting": waiting, "error": self._error}


class ControlServer:
    """Answers on a unix socket (`PATH`) or on `HOST:PORT`, in a thread of its own."""

    def __init__(self, address: str, requests: CompactionRequests) -> None:
        self._path = None if _is_port(address) else Path(address).absolute()
        handler = _handler(requests)
        if self._path is None:
            host, _, port = address.rpartition(":")
            self._server: HTTPServer = HTTPServer((host, int(port)), handler)
        else:
            self._path.unlink(missing_ok=True)
            self._server = _UnixServer(str(self._path), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="control", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it answers: `unix:PATH` or `http://HOST:PORT`."""
        if self._path is not None:
            return f"unix:{self._path}"
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


class _UnixServer(HTTPServer):
    address_family = socket.AF_UNIX

    def __init__(self, path: str, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(path, handler)  # type: ignore[arg-type]

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        os.chmod(os.fspath(str(self.server_address)), 0o600)
        self.server_name, self.server_port = "localhost", 0


def _is_port(address: str) -> bool:
    return "/" not in address and address.rpartition(":")[2].isdigit()


def _handler(requests: CompactionRequests) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _READ_S

        def do_GET(self) -> None:
            self._answer(200 if self.path == _PATH else 404)

        def do_POST(self) -> None:
            if self.path == _PATH:
                requests.want()
            self._answer(202 if self.path == _PATH else 404)

        def _answer(self, status: int) -> None:
            body = json.dumps(requests.shown()).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "client"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Nothing is logged."""

    return Handler
