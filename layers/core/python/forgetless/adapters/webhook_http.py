"""HttpWebhookSender: POSTs to untrusted addresses, after it has checked the IP address that it connects to."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpcore

from forgetless.adapters.http_deadline import DeadlineBackend, within
from forgetless.domain.errors import ForbiddenError

__all__ = ["HttpWebhookSender"]

#: Seconds to wait for a TCP or TLS handshake.
_CONNECT_S = 5.0


class HttpWebhookSender:
    """Uses no proxies and reuses no connections; `allow_private` lets it reach this machine and its network."""

    def __init__(self, *, allow_private: bool = False) -> None:
        self._backend = _CheckedBackend(allow_private)
        self._context: ssl.SSLContext | None = None

    def send(self, url: str, *, headers: Mapping[str, str], body: bytes, deadline_s: float) -> int:
        _check_url(url)
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
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from None
        addresses = [str(entry[4][0]) for entry in found]
        if not self._allow_private:
            # One private address among public ones is enough for a refusal, because any of them could be used.
            for address in addresses:
                _check(address)
        return super().connect_tcp(addresses[0], port, timeout, local_address, socket_options)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ForbiddenError("its address is not a URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ForbiddenError("its address must begin with http:// or https:// and name a host")


def _check(address: str) -> None:
    ip = ipaddress.ip_address(address.partition("%")[0])
    # An IPv6 address may contain an IPv4 address, also with NAT64 and 6to4.
    hidden = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
    if isinstance(ip, ipaddress.IPv6Address) and ip in _NAT64:
        hidden = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    for one in (ip, hidden):
        if one is not None and (not one.is_global or one.is_multicast):
            raise ForbiddenError("its address is within a private network (FORGETLESS_WEBHOOK_ALLOW_PRIVATE)")


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
