"""JSON over HTTP for the adapters: shared connections, a deadline for the whole call, retries with jitter.

httpx limits single reads, so a server that drips bytes could hold a call for ever. The network backend below cuts
every socket operation to what is left of the call's deadline. (Looking up a host's name is the system's own.)
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import math
import os
import random
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpcore
import httpx
import orjson

from forgetless.adapters.secrets_aws import Secret, shown
from forgetless.ports.clock import Clock

__all__ = ["DeadlineBackend", "JsonClient", "Reply", "close_client", "within"]

#: Seconds to wait for a TCP or TLS handshake: a dead host is noticed early enough to try again.
CONNECT_TIMEOUT_S = 3.0
#: Seconds before the first retry; doubles for each further one, then shortened by up to half at random.
BACKOFF_S = 0.2
#: The longest reply that is read, in bytes.
MAX_REPLY_BYTES = 64 * 1024 * 1024
#: The longest Retry-After that is believed, in seconds.
MAX_RETRY_AFTER_S = 3600

_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=50, keepalive_expiry=30.0)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP reply, whatever its status."""

    status: int
    body: bytes
    #: The server's Retry-After in whole seconds, at least 1; None when it gave none.
    retry_after: int | None = None

    @property
    def retryable(self) -> bool:
        """Whether the server says that a later try may succeed."""
        return self.status == 429 or self.status >= 500

    def json(self) -> Any:
        """The body's JSON; raises ValueError when it is none."""
        return orjson.loads(self.body)


@dataclass(slots=True)
class JsonClient:
    """Posts JSON below one base URL; `label` names the service in errors ("the LLM")."""

    base_url: str = field(repr=False)
    label: str
    clock: Clock
    api_key: Secret = field(default="", repr=False)
    #: How often a call is repeated after no connection, 429 or 5xx.
    retries: int = 2
    _url: httpx.URL = field(init=False, repr=False)

    def __post_init__(self) -> None:
        url = httpx.URL(self.base_url.rstrip("/"))
        if url.scheme not in {"http", "https"} or not url.host:
            raise ValueError(f"the URL of {self.label} must start with http:// or https:// and name a host")
        self._url = url

    @property
    def place(self) -> str:
        """Host and port, for error messages: the URL itself may hold credentials."""
        return self._url.netloc.decode("ascii")

    def post(self, path: str, body: Mapping[str, Any], *, deadline_s: float, retries: int | None = None) -> Reply:
        """The last reply within `deadline_s` seconds, retries included; 4xx and 5xx are replies too.

        `retries` replaces the client's own number. Raises ConnectionError when the last attempt got no reply, and
        TimeoutError at the deadline.
        """
        end = self.clock.monotonic() + deadline_s
        content = _to_json(body)
        last = self.retries if retries is None else retries
        for attempt in range(last + 1):
            outcome = self._attempt(path, content, end)
            if isinstance(outcome, Reply) and not outcome.retryable:
                return outcome
            asked_s = (outcome.retry_after or 0) if isinstance(outcome, Reply) else 0
            delay = max(_backoff(attempt), float(asked_s))
            if attempt == last or delay >= end - self.clock.monotonic():
                break
            self.clock.sleep(delay)
        if isinstance(outcome, Reply):
            return outcome
        raise outcome

    def close(self) -> None:
        """Close the connections to this host."""
        close_client(self._url)

    def _attempt(self, path: str, content: bytes, end: float) -> Reply | ConnectionError:
        try:
            return self._once(path, content, end - self.clock.monotonic())
        except ConnectionError as error:
            return error

    def _once(self, path: str, content: bytes, left_s: float) -> Reply:
        if left_s <= 0:
            raise self._late()
        timeout = httpx.Timeout(left_s, connect=min(left_s, CONNECT_TIMEOUT_S))
        try:
            with (
                within(left_s),
                _client(self._url).stream(
                    "POST", self._target(path), content=content, headers=self._headers(), timeout=timeout
                ) as response,
            ):
                return Reply(
                    response.status_code,
                    _read(response.iter_bytes()),
                    _retry_after(response.headers.get("retry-after")),
                )
        except (httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout) as error:
            raise self._late() from error
        except httpx.RequestError as error:
            reason = type(error).__name__
            raise ConnectionError(f"{self.label} at {self.place} gave no reply ({reason})") from error

    def _late(self) -> TimeoutError:
        return TimeoutError(f"{self.label} at {self.place} did not answer in time")

    def _target(self, path: str) -> httpx.URL:
        # Credentials of the URL go into the client's auth: httpx logs each URL that it requests.
        return self._url.copy_with(userinfo=b"", path=self._url.path.rstrip("/") + path)

    def _headers(self) -> dict[str, str]:
        # Replies are small; compressing them costs both sides more than it saves.
        headers = {"accept-encoding": "identity", "content-type": "application/json"}
        if api_key := shown(self.api_key):
            headers["authorization"] = f"Bearer {api_key}"
        return headers


def _to_json(body: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:
        # JSON input may hold lone surrogates, which have no UTF-8: they become question marks.
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _read(parts: Iterable[bytes]) -> bytes:
    body = bytearray()
    for part in parts:
        body += part
        if len(body) > MAX_REPLY_BYTES:
            raise httpx.DecodingError(f"reply above {MAX_REPLY_BYTES} bytes")
    return bytes(body)


def _backoff(attempt: int) -> float:
    return BACKOFF_S * float(2**attempt) * random.uniform(0.5, 1.0)


def _retry_after(header: str | None) -> int | None:
    """Seconds of a Retry-After header: a number or an HTTP date."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - time.time()
        except ValueError:
            return None
    if math.isnan(seconds):
        return None
    return math.ceil(min(max(seconds, 1), MAX_RETRY_AFTER_S))


# One client for each origin and process, so that all adapters and invocations share its connections.
_clients: dict[str, httpx.Client] = {}
_clients_lock = threading.Lock()


def _forget_clients() -> None:
    """A forked child must not write into its parent's sockets."""
    global _clients_lock  # noqa: PLW0603 - the parent may have held it when it forked
    _clients_lock = threading.Lock()
    _clients.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_clients)


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.userinfo.decode('ascii')}@{url.netloc.decode('ascii')}"


def _client(url: httpx.URL) -> httpx.Client:
    origin = _origin(url)
    client = _clients.get(origin)
    if client is None:
        with _clients_lock:
            client = _clients.get(origin)
            if client is None:
                client = _clients[origin] = _new_client(url)
    return client


def close_client(url: httpx.URL) -> None:
    """Close the shared client of the URL's origin; the next call opens a new one."""
    with _clients_lock:
        client = _clients.pop(_origin(url), None)
    if client is not None:
        client.close()


def _new_client(url: httpx.URL) -> httpx.Client:
    # Loading the CA bundle costs tens of milliseconds of a cold start: only https:// pays for it.
    transport = httpx.HTTPTransport(verify=url.scheme == "https", limits=_LIMITS, proxy=_proxy(url))
    # httpx offers no way to pass a backend, httpcore does; the test of a dripping server guards this line.
    transport._pool._network_backend = DeadlineBackend()
    auth = (url.username, url.password) if url.userinfo else None
    return httpx.Client(transport=transport, auth=auth, follow_redirects=False, trust_env=False)


def _proxy(url: httpx.URL) -> str | None:
    """The environment's proxy for the URL, as other programs use it; never for this machine itself."""
    if url.host in _LOOPBACK or urllib.request.proxy_bypass(url.netloc.decode("ascii")):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(url.scheme) or proxies.get("all")


# The end of the running call; each thread runs one call at a time.
_call = threading.local()


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Cut every operation of this thread's connections to the deadline `seconds` from now."""
    _call.end = time.monotonic() + seconds
    try:
        yield
    finally:
        _call.end = None


def _cut(timeout: float | None) -> float | None:
    """The smaller of `timeout` and what is left of the call; None without either."""
    end: float | None = getattr(_call, "end", None)
    if end is None:
        return timeout
    left = end - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the call's deadline")
    return left if timeout is None else min(left, timeout)


class _DeadlineStream(httpcore.NetworkStream):
    """A connection whose every operation ends with the running call."""

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
    """Opens connections that keep to the running call's deadline."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return _DeadlineStream(super().connect_tcp(host, port, _cut(timeout), local_address, socket_options))
