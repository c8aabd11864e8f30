"""HTTP as uvicorn reads it, but heads and trailers end, trailers are no headers, and no client is waited for for ever.

httptools keeps a header until its line ends, however long that is, and copies it at each piece that arrives. uvicorn
does the same with the URL, and adds what follows a chunked body to the headers of the request. It keeps a connection on
which no request begins or ends, so clients that send nothing could use up the files that a process may open.

The service, the embedder and the emulator share no code, so each has this file; a test compares them. Only processes
that serve with uvicorn import it.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

__all__ = [
    "ANSWER_SECONDS",
    "BODY_SECONDS",
    "HEAD_SECONDS",
    "MAX_HEAD_BYTES",
    "MAX_TRAILER_BYTES",
    "MAX_UNFINISHED_BYTES",
    "MAX_UNREAD_BYTES",
    "MAX_UNSENT_BYTES",
    "WHOLE_BODY_SECONDS",
    "BoundedHttp",
    "allow_connections",
]

#: The request line and the headers of one request. h11 has the same limit.
MAX_HEAD_BYTES = 64 * 1024
#: What may arrive within a body without a byte of the body: trailers, or the extensions of a chunk.
MAX_TRAILER_BYTES = 16 * 1024
#: What is read and dropped after the answer. Many clients send the whole body before they read, and would miss a 413.
MAX_UNREAD_BYTES = 32 * 1024 * 1024
#: What all clients together have not read of their answers; beyond it, who has been waited for the longest is cut off.
MAX_UNSENT_BYTES = 256 * 1024 * 1024
#: What all clients together have sent of bodies that have not ended; beyond it, who began first is cut off.
MAX_UNFINISHED_BYTES = 256 * 1024 * 1024
#: How long a head may take from its first byte on, and a new connection until that byte.
HEAD_SECONDS = 30.0
#: How long a body, its trailers included, may go on without a byte of the body.
BODY_SECONDS = 60.0
#: How long a body may take in all, without the time in which the application does not read it.
WHOLE_BODY_SECONDS = 120.0
#: How long a client may read nothing of an answer that waits for it.
ANSWER_SECONDS = 60.0
#: So many files a process asks to open: a connection is one, and many systems begin with 1,024.
_WANTED_FILES = 65_536
#: How often a connection is looked at: by so much may the three be longer.
_LOOK_SECONDS = 5.0
#: What the parser gets at once, so by how much a head may be longer than its limit.
_PIECE_BYTES = 4096
#: How long a client whose head was refused has to read why.
_LINGER_S = 5.0
_REASONS = {
    408: b"The request arrives too slowly.\n",
    431: b"The head or the trailers of the request are too large.\n",
}


def allow_connections() -> None:
    """Let this process and those that it starts open more files, as far as the system allows: idle clients use some."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if most == resource.RLIM_INFINITY else min(most, _WANTED_FILES)
    if now != resource.RLIM_INFINITY and now < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS may allow fewer than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


class BoundedHttp(HttpToolsProtocol):
    """One connection; what a proxy takes for the headers of a request is all that counts as such."""

    headers_ended = False
    _refused = False
    _progress = False
    _pending = 0  # bytes since the head began, or since the last byte of the body
    _unread = 0  # bytes since the answer
    _since = 0.0  # when the client began to be waited for
    _unsent, _unsent_since = 0, 0.0  # bytes of answers that the client has not read at the last look, and since when
    _body_since = 0.0  # when the body began
    _looking: asyncio.TimerHandle | None = None
    #: The connections whose clients do not read as fast as they are answered, the longest one first.
    _behind: ClassVar[dict[BoundedHttp, None]] = {}
    #: How many bytes have arrived of each body that has not ended, the first one first, and of all of them.
    _unfinished: ClassVar[dict[BoundedHttp, int]] = {}
    _unfinished_bytes: ClassVar[int] = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._looking = self.loop.call_later(_LOOK_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection."""
        super().connection_lost(exc)
        self._behind.pop(self, None)
        self._end_body()
        if self._looking is not None:
            self._looking.cancel()

    def pause_writing(self) -> None:
        """Wait for the client to read; if too much waits in all, end the connections that have waited longest."""
        super().pause_writing()
        self._behind[self] = None
        over = sum(one.transport.get_write_buffer_size() for one in self._behind) - MAX_UNSENT_BYTES
        for one in [one for one in self._behind if one is not self]:
            if over <= 0:
                break
            over -= one.transport.get_write_buffer_size()
            del self._behind[one]
            one.transport.abort()

    def resume_writing(self) -> None:
        """Go on when the client has read."""
        super().resume_writing()
        self._behind.pop(self, None)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived, unless it is too much."""
        for begin in range(0, len(data), _PIECE_BYTES):
            if not self._refused:
                self._parse(data[begin : begin + _PIECE_BYTES])
        if self._refused or (self.headers_ended and self.cycle.response_complete):
            self._unread += len(data)
            if self._unread > MAX_UNREAD_BYTES:
                self.transport.close()
        else:
            self._unread = 0

    def _parse(self, piece: bytes) -> None:
        begins = self._pending == 0
        self._progress = False
        super().data_received(piece)
        if self.transport.is_closing():  # uvicorn has answered 400
            self._refused = True
            return
        self._pending = 0 if self._progress else self._pending + len(piece)
        if self._progress or begins:
            self._since = self.loop.time()
        if self._pending > (MAX_TRAILER_BYTES if self.headers_ended else MAX_HEAD_BYTES):
            self._refuse(431)

    def _look(self) -> None:
        """End the connection if its client neither sends the rest of a request nor reads an answer."""
        self._looking = self.loop.call_later(_LOOK_SECONDS, self._look)
        now, unsent = self.loop.time(), self.transport.get_write_buffer_size()
        if unsent == 0 or unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        elif now - self._unsent_since > ANSWER_SECONDS:
            self.transport.abort()
            return
        if self._refused:
            return
        if not self._waits_for_client():
            self._body_since += _LOOK_SECONDS
        elif self._is_late(now):
            self._refuse(408)

    def _is_late(self, now: float) -> bool:
        if self.headers_ended:
            return now - self._since > BODY_SECONDS or now - self._body_since > WHOLE_BODY_SECONDS
        return now - self._since > HEAD_SECONDS

    def _waits_for_client(self) -> bool:
        """Whether a part of a request is missing. Between requests, uvicorn's own time limit counts."""
        if self.headers_ended:
            return not self.flow.read_paused  # else it is the application that does not read
        return self.cycle is None or self._pending > 0

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.headers_ended = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        if not self.headers_ended:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer; what looks like headers from now on are trailers."""
        self.headers_ended = self._progress = True
        self._body_since = self.loop.time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._progress = True
        super().on_body(body)
        if not self._refused and not self.cycle.response_complete:
            self._unfinished[self] = self._unfinished.get(self, 0) + len(body)
            BoundedHttp._unfinished_bytes += len(body)
            if self._unfinished_bytes > MAX_UNFINISHED_BYTES:
                next(iter(self._unfinished))._refuse(408)

    def on_message_complete(self) -> None:
        """End a request."""
        self._progress = True
        self._end_body()
        super().on_message_complete()
        self.headers_ended = False

    def _end_body(self) -> None:
        """Count the body no more: it has ended, or was given up."""
        BoundedHttp._unfinished_bytes -= self._unfinished.pop(self, 0)

    def _refuse(self, status: int) -> None:
        """Answer with the status and read no request any more; an answer that has begun is cut off instead."""
        self._refused = True
        self._end_body()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            if not self.headers_ended or cycle.response_started or self.pipeline:
                self.transport.close()
                return
        elif self.headers_ended:  # the request is answered already
            self.transport.close()
            return
        reason = _REASONS[status]
        head = b"content-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(reason)
        self.transport.write(STATUS_LINE[status] + head + reason)
        # A connection that is closed with unread data is reset, and the client may lose the answer.
        self.transport.write_eof()
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(_LINGER_S, self.timeout_keep_alive_handler)
