"""A deadline for a whole HTTP call.

httpcore limits only single reads, so a server that sends byte by byte could hold a call forever. The network backend
below limits every socket operation to the remaining time of the call. It does not limit the lookup of a host's name.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore

__all__ = ["DeadlineBackend", "within"]

# The deadline of the current call; each thread runs one call at a time.
_call = threading.local()


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Limit every operation of this thread's connections to a deadline `seconds` from now."""
    _call.end = time.monotonic() + seconds
    try:
        yield
    finally:
        _call.end = None


def _cut(timeout: float | None) -> float | None:
    """The smaller of `timeout` and the remaining time of the call; None when there is neither."""
    end: float | None = getattr(_call, "end", None)
    if end is None:
        return timeout
    left = end - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the call's deadline")
    return left if timeout is None else min(left, timeout)


class _DeadlineStream(httpcore.NetworkStream):
    """A connection whose operations all end at the deadline of the current call."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _cut(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _cut(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, _cut(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class DeadlineBackend(httpcore.SyncBackend):
    """Opens connections that respect the deadline of the current call."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return _DeadlineStream(super().connect_tcp(host, port, _cut(timeout), local_address, socket_options))
