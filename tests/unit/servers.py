"""Real HTTP servers on free loopback ports, in threads, for tests of adapters."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import uvicorn


@dataclass(frozen=True)
class Request:
    """What the server received."""

    path: str
    headers: dict[str, str]
    body: Any
    client_port: int
    raw: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What the server sends: `body` as JSON unless it is bytes; `drip` leaves the connection to the test."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    drip: Callable[[Callable[[bytes], None], threading.Event], None] | None = None
    hang_up: bool = False


@dataclass
class Server:
    """A running server: its address and the requests so far."""

    url: str
    requests: list[Request]


@contextlib.contextmanager
def event_loop() -> Iterator[None]:
    """An event loop for this thread while the block runs: Mangum makes one where there is none, and never closes it."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


@contextlib.contextmanager
def serve(answer: Callable[[Request], Answer], *, tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Server]:
    """Serve `answer` for every POST and GET until the block ends, with `tls` at https, at a free port without one."""
    requests: list[Request] = []
    stopping = threading.Event()

    class Handler(_Handler):
        def handle_one(self, request: Request) -> None:
            requests.append(request)
            self.reply(answer(request), stopping)

    http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    http.daemon_threads = True
    if tls is not None:
        http.socket = tls.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Server(f"{'https' if tls else 'http'}://127.0.0.1:{http.server_port}", requests)
    finally:
        stopping.set()
        http.shutdown()
        http.server_close()
        thread.join(5)


def free_socket() -> socket.socket:
    """A listening socket on a free loopback port."""
    return socket.create_server(("127.0.0.1", 0))


@contextlib.contextmanager
def serve_app(app: Any, listener: socket.socket | None = None) -> Iterator[str]:
    """Serve an ASGI application with uvicorn until the block ends; gives its address."""
    with listener or free_socket() as bound:
        config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(5)


def in_turn(*answers: Answer) -> Callable[[Request], Answer]:
    """Each answer once, then the last one for ever."""
    rest = list(answers)
    return lambda _request: rest.pop(0) if len(rest) > 1 else rest[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm: ClassVar[bool] = True

    def handle_one(self, request: Request) -> None:
        raise NotImplementedError

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with contextlib.suppress(ConnectionError):
            read = json.loads(body) if body else None
            self.handle_one(Request(self.path, headers, read, self.client_address[1], body))

    do_GET = do_POST  # noqa: N815 - the name that http.server calls

    def reply(self, answer: Answer, stopping: threading.Event) -> None:
        if answer.hang_up:
            self.close_connection = True
            return
        if answer.drip is not None:
            self.close_connection = True
            answer.drip(self._send, stopping)
            return
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in {"content-type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()

    def log_message(self, *_args: object) -> None:
        pass
