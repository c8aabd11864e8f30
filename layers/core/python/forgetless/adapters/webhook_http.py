"""HttpWebhookSender: POSTs to untrusted addresses, after it has checked the IP address that it connects to."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterable, Mapping
from queue import Empty, Queue
from typing import Any

import httpcore

from forgetless.adapters.http_deadline import DeadlineBackend, within
from forgetless.adapters.public_addresses import is_public
from forgetless.domain.errors import ForbiddenError
from forgetless.domain.webhook_urls import ascii_url

__all__ = ["HttpWebhookSender"]

#: Seconds to wait for a TCP or TLS handshake.
_CONNECT_S = 5.0
#: What is read until the status has come: the head of the answer, and any number of `100 Continue` before it.
_MOST_READ = 64 * 1024


class HttpWebhookSender:
    """Uses no proxies and reuses no connections; `allow_private` lets it reach this machine and its network."""

    def __init__(self, *, allow_private: bool = False) -> None:
        self._backend = _CheckedBackend(allow_private)
        self._context: ssl.SSLContext | None = None

    def send(self, url: str, *, headers: Mapping[str, str], body: bytes, deadline_s: float) -> int:
        try:
            url = ascii_url(url)  # it may have been stored before registration demanded this form
        except ValueError:
            raise ForbiddenError("its address is not a URL that can be reached") from None
        timeout = {"connect": _CONNECT_S, "read": deadline_s, "write": deadline_s, "pool": deadline_s}
        try:
            with (
                within(deadline_s),
                httpcore.ConnectionPool(ssl_context=self._tls(url), network_backend=self._backend) as pool,
                pool.stream(
                    "POST", url, headers=list(headers.items()), content=body, extensions={"timeout": timeout}
                ) as answer,
            ):
                return int(answer.status)
        except httpcore.TimeoutException:
            raise TimeoutError("no answer in time") from None
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise ConnectionError(f"no answer ({type(error).__name__})") from None
        except (httpcore.UnsupportedProtocol, ValueError, UnicodeError) as error:
            raise ForbiddenError(f"its address cannot be used ({type(error).__name__})") from None

    def _tls(self, url: str) -> ssl.SSLContext | None:
        # Loading the CA bundle takes tens of milliseconds, so it is done once and only for https://.
        if self._context is None and url.startswith("https:"):
            self._context = httpcore.default_ssl_context()
        return self._context


class _CheckedBackend(DeadlineBackend):
    """Resolves the name itself and connects to the address it has checked, so that no second lookup can differ."""

    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = _look_up(host, port, _CONNECT_S if timeout is None else timeout)
        # One private address among public ones is enough for a refusal, because any of them could be used.
        if not self._allow_private and not all(map(is_public, addresses)):
            raise ForbiddenError("its address is within a private network (FORGETLESS_WEBHOOK_ALLOW_PRIVATE)")
        return _BoundedStream(super().connect_tcp(addresses[0], port, timeout, local_address, socket_options))


class _BoundedStream(httpcore.NetworkStream):
    """A connection of which little is read: to parse answers without end would take a core until the deadline."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._read = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._read >= _MOST_READ:
            raise httpcore.RemoteProtocolError("its answer does not begin")
        data = self._stream.read(max_bytes, timeout)
        self._read += len(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _BoundedStream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _look_up(host: str, port: int, timeout: float) -> list[str]:
    """The addresses of a host, in a thread of its own, because a look-up that hangs cannot be ended."""
    found: Queue[list[str] | OSError | UnicodeError] = Queue()

    def look_up() -> None:
        try:
            found.put([str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)])
        except (OSError, UnicodeError) as error:
            found.put(error)

    threading.Thread(target=look_up, daemon=True).start()
    try:
        addresses = found.get(timeout=timeout)
    except Empty:
        raise httpcore.ConnectTimeout("the look-up of its name") from None
    if not isinstance(addresses, list) or not addresses:
        raise httpcore.ConnectError(str(addresses))
    return addresses
