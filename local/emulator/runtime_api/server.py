"""The Runtime API as a protocol on a loopback socket; every environment has a socket of its own.

The socket tells the environments apart, because the runtime sends no name with its calls. httptools parses
the requests, and no coroutine is started for a call: this path is taken twice for every invocation.
"""

from __future__ import annotations

import asyncio
from typing import cast

import httptools

from local.emulator.hosts import Hosts
from local.emulator.runtime_api.routes import FOREIGN, Reply, Request, Runtime, handle

#: Answers may have 6 MB, but a larger one must be read before it can be refused.
MAX_BODY_BYTES = 64 * 1024 * 1024


class RuntimeApi:
    """The Runtime API of one environment."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        #: The connection on which the runtime waits for an event, until its next call. Whether the runtime has read
        #: an event that was sent is not known before that call.
        self.poller: _Connection | None = None
        #: The names of this server; none before it is open.
        self.hosts = Hosts("", port=0)
        self._none = asyncio.Event()
        self._none.set()

    async def open(self) -> str:
        """Listen on a free loopback port and return host:port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connect, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.hosts = Hosts(host, port=port)
        return f"{host}:{port}"

    def close(self) -> None:
        """Stop listening and drop the connections."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()

    async def hung_up(self) -> None:
        """Return when the runtime has no connection any more."""
        await self._none.wait()

    def joined(self, connection: _Connection) -> None:
        """Count a connection."""
        self._connections.add(connection)
        self._none.clear()

    def left(self, connection: _Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        if not self._connections:
            self._none.set()

    def _connect(self) -> _Connection:
        return _Connection(self._runtime, self)


class _Connection(asyncio.Protocol):
    def __init__(self, runtime: Runtime, api: RuntimeApi) -> None:
        self._runtime, self._api = runtime, api
        self._transport: asyncio.Transport | None = None
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._size = b"", 0
        self._body: list[bytes] = []
        self._headers: dict[str, str] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._api.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._api.poller is self:
            self._api.poller = None
            # A connection is reset, not closed, when its process ends with bytes that it never read.
            self._runtime.on_hangup(unread=isinstance(exc, ConnectionError))
        self._api.left(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort()
        except httptools.HttpParserUpgrade:
            # Another protocol is asked for and not spoken: the call is answered, and the next one follows as it would.
            self._begin()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the path from the parser."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header from the parser."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Answer `Expect: 100-continue`, so that the body follows."""
        if self._headers.get("expect", "").lower() == "100-continue" and self._transport:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body from the parser."""
        self._size += len(body)
        if self._size > MAX_BODY_BYTES:
            self.abort()
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Answer a call, at once or when there is an event."""
        method = self._parser.get_method().decode("ascii")
        request = Request(method, self._url.decode("latin-1"), self._headers, b"".join(self._body))
        self._begin_next()
        if not self._api.hosts.allow(request.headers.get("host", "")):
            self.send(FOREIGN)
            return
        # Set first, because an event that already waits is sent within the call.
        self._api.poller = self
        reply = handle(self._runtime, request, self.send)
        if reply is not None:
            self._api.poller = None
            self.send(reply)

    def _begin_next(self) -> None:
        self._url, self._body, self._size, self._headers = b"", [], 0, {}

    def send(self, reply: Reply) -> None:
        """Write a reply, unless the connection is closed."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(reply.encode())
        elif self._api.poller is self:
            self._api.poller = None
            self._runtime.on_hangup(unread=True)

    def abort(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()
