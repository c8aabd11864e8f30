"""The control address of Milvus Lite's supervisor, which rewrites the index file without what was deleted from it."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from forgetless.domain.errors import IndexUnavailableError, InvalidRequestError
from forgetless.domain.times import timestamp
from forgetless.ports.clock import Clock

__all__ = ["MilvusControl"]

_PATH = "/compaction"
#: Seconds for one call, and between two looks whether the compaction has ended.
_CALL_S = 10.0
_LOOK_S = 0.25


class MilvusControl:
    """Asks the supervisor at `unix:PATH` or `http://HOST:PORT`; raises InvalidRequestError for another address."""

    def __init__(self, address: str, *, clock: Clock) -> None:
        parts = urlsplit(address)
        if parts.scheme == "unix" and parts.path:
            self._connection: http.client.HTTPConnection = _UnixConnection(parts.path)
        elif parts.scheme == "http" and parts.hostname and parts.port:
            self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_CALL_S)
        else:
            raise InvalidRequestError("FORGETLESS_MILVUS_CONTROL must be unix:PATH or http://HOST:PORT")
        self._address = address
        self._clock = clock

    def compact(self, *, deadline_s: float) -> None:
        """Have the file rewritten and wait for the end; searches fail meanwhile with IndexUnavailableError.

        Raises IndexUnavailableError when the supervisor does not answer, fails or does not end in time.
        """
        end = self._clock.monotonic() + deadline_s
        before = self._ask("GET")["compacted_at"] or 0.0
        self._ask("POST")
        while True:
            state = self._ask("GET")
            if not state["waiting"] and state["error"]:
                raise IndexUnavailableError(f"the index file was not compacted: {state['error']}")
            if not state["waiting"] and (state["compacted_at"] or 0.0) > before:
                return
            if self._clock.monotonic() >= end:
                raise IndexUnavailableError(f"the compaction did not end within {deadline_s:g} s; it goes on")
            self._clock.sleep(_LOOK_S)

    def cleaned_at(self) -> str | None:
        """See `forgetless.ports.index_files.IndexFiles`."""
        at = self._ask("GET")["compacted_at"]
        return None if at is None else timestamp(datetime.fromtimestamp(at, UTC))

    def _ask(self, method: str) -> dict[str, Any]:
        try:
            with self._answer(method) as answer:
                state: dict[str, Any] = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = type(error).__name__
            raise IndexUnavailableError(
                f"Milvus Lite's supervisor at {self._address} gave no reply ({reason})"
            ) from None
        return state

    @contextmanager
    def _answer(self, method: str) -> Iterator[http.client.HTTPResponse]:
        with closing(self._connection):  # the next request opens it again
            self._connection.request(method, _PATH)
            yield self._connection.getresponse()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_CALL_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_CALL_S)
        self.sock.connect(self._path)
