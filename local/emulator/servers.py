"""Serves ASGI applications with uvicorn inside an event loop that the emulator owns, and knows their addresses."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack

import uvicorn

from local.emulator.asgi import Application
from local.emulator.http_protocol import BoundedHttp, allow_connections


class PortInUseError(Exception):
    """A port cannot be used; the text names it."""


class _Protocol(BoundedHttp):
    """`header_names` of the scope's state keep the names of headers as they were written."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._names: list[bytes] = []
        self.scope["state"]["header_names"] = self._names

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; ASGI has names in lower case alone, but events of REST APIs have them as they were sent."""
        if not self.headers_ended:
            self._names.append(name)
        super().on_header(name, value)


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the emulator."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 means any free one.

    Raises:
        PortInUseError: the port is in use or invalid, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or "a port is at most 65535"
        raise PortInUseError(f"cannot listen on {host}:{port}: {reason}") from error
    listener.setblocking(False)
    return listener


class HttpServer:
    """One application on one socket."""

    def __init__(self, app: Application, listener: socket.socket, grace: float = 1.0) -> None:
        config = uvicorn.Config(
            app, http=_Protocol, loop="none", lifespan="off", ws="none", log_config=None, access_log=False,
            proxy_headers=False, server_header=False, backlog=2048, timeout_keep_alive=75,
            timeout_graceful_shutdown=math.ceil(grace),
        )  # fmt: skip
        self._server, self._listener = _Server(config), listener
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve, and return when requests are accepted."""
        self._task = asyncio.get_running_loop().create_task(self._server.serve(sockets=[self._listener]))
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.005)

    def refuse(self) -> None:
        """Accept no more connections."""
        self._server.should_exit = True

    async def stop(self) -> None:
        """Accept no more connections, and return when the requests in progress are answered."""
        self.refuse()
        if self._task is not None:
            await asyncio.wait([self._task])


class Servers:
    """The servers of one emulator, all on one host; `stack` ends them."""

    def __init__(self, stack: AsyncExitStack, host: str, grace: float) -> None:
        allow_connections()
        self._stack, self._host, self._grace = stack, host, grace
        self._servers: list[HttpServer] = []

    def listen(self, port: int) -> socket.socket:
        """Return a listening socket, which is closed with the others; raises PortInUseError."""
        listener = listen(self._host, port)
        self._stack.callback(listener.close)
        return listener

    def url(self, listener: socket.socket) -> str:
        """Return the URL by which this machine reaches a socket."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        if self._host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
            host = "127.0.0.1"
        return f"http://{host}:{port_of(listener)}"

    async def serve(self, app: Application, listener: socket.socket) -> None:
        """Serve an application on a socket."""
        server = HttpServer(app, listener, self._grace)
        await server.start()
        self._servers.append(server)
        self._stack.push_async_callback(server.stop)

    def refuse(self) -> None:
        """Accept no more connections."""
        for server in self._servers:
            server.refuse()


def port_of(listener: socket.socket) -> int:
    """Return the port that a socket listens on."""
    port: int = listener.getsockname()[1]
    return port
