"""A small HTTP server for requests without a body: one thread, few connections, and few seconds for each.

Whoever may connect asks for no key here, so nothing that a client does, or leaves undone, may take the files, threads
or memory of the process, which has other work.

The service and the supervisor of Milvus Lite share no code, so each has this file; a test compares them.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

__all__ = ["MAX_HEAD_BYTES", "MOST_CONNECTIONS", "SECONDS", "Answer", "SmallHttp"]

#: So many connections are open at most: a further one closes the oldest.
MOST_CONNECTIONS = 32
#: How long a connection may last: the whole head and the whole answer.
SECONDS = 5.0
#: The request line and the headers.
MAX_HEAD_BYTES = 16 * 1024
#: How many are accepted at once. It is less than MOST_CONNECTIONS, so none is closed before it could be read.
_ACCEPTED_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain"


class SmallHttp:
    """Answers on a bound socket until it is closed; `answer` maps method, path and `Host` of a request."""

    def __init__(self, bound: socket.socket, answer: Callable[[str, str, str], Answer], *, name: str) -> None:
        self._bound = bound
        self._answer = answer
        self._open: dict[asyncio.StreamWriter, None] = {}
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        bound.setblocking(False)
        bound.listen(_ACCEPTED_AT_ONCE)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._bound.close()
            self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(
            self._connected, sock=self._bound, limit=MAX_HEAD_BYTES, backlog=_ACCEPTED_AT_ONCE
        )
        await self._stopped.wait()
        server.close()
        while self._open:
            self._close_oldest()
            await asyncio.sleep(0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[writer] = None
        if len(self._open) > MOST_CONNECTIONS:
            self._close_oldest()
        try:
            async with asyncio.timeout(SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.transport.set_write_buffer_limits(high=0)  # so that all is sent when `drain` returns
                writer.write(_packed(self._answer(*_parsed(head))))
                await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client is let go without an answer, or with a part of it
        finally:
            self._open.pop(writer, None)
            writer.transport.abort()

    def _close_oldest(self) -> None:
        oldest = next(iter(self._open))
        del self._open[oldest]
        oldest.transport.abort()


def _parsed(head: bytes) -> tuple[str, str, str]:
    """Method, path and `Host`; what is missing is empty."""
    line, *headers = head.decode("latin-1").split("\r\n")
    method, target, _ = (*line.split(" ", 2), "", "", "")[:3]
    fields = (header.partition(":") for header in headers)
    host = next((value.strip() for name, _, value in fields if name.lower() == "host"), "")
    return method, target.partition("?")[0], host


def _packed(answer: Answer) -> bytes:
    status = HTTPStatus(answer.status)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + answer.body
