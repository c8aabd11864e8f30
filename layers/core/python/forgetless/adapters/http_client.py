"""JSON over HTTP for the adapters: shared connections, a deadline for the whole call, retries with jitter.

httpcore is used without httpx above it, which takes as much CPU again for each call.
"""

from __future__ import annotations

import base64
import email.utils
import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit

import httpcore
import orjson

from forgetless.adapters.http_deadline import within
from forgetless.adapters.http_pools import Origin, close_pool, pool_of
from forgetless.adapters.secrets_aws import Secret, shown
from forgetless.domain.backoff import Backoff
from forgetless.ports.clock import Clock

__all__ = ["JsonClient", "Reply"]

#: Seconds to wait for a TCP or TLS handshake: a dead host is noticed early enough to try again.
CONNECT_TIMEOUT_S = 3.0
#: Between the tries of a call; a server that names a longer time in Retry-After is heard.
BACKOFF = Backoff(first_s=0.2, longest_s=60.0, least=0.5)
#: The longest reply that is read, in bytes; a longer one counts as empty.
MAX_REPLY_BYTES = 64 * 1024 * 1024
#: The longest Retry-After that is believed, in seconds.
MAX_RETRY_AFTER_S = 3600

#: Statuses below 500 that pass by themselves: time-out, a lock, too early, too many.
_PASSING = frozenset({408, 409, 425, 429})

#: What a call may end with that says nothing about time.
_BROKEN = (
    httpcore.ConnectTimeout,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
#: What stays as it is in a path and a query; what was quoted before too.
_QUOTED = "%/-._~!$&'()*+,;=:@?"


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
        return self.status in _PASSING or self.status >= 500

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
    #: How often a call is repeated after no connection, 429, 5xx and what else passes.
    retries: int = 2
    _base: _Base = field(init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            self._base = _read_base(self.base_url)
        except ValueError:
            raise ValueError(f"the URL of {self.label} must start with http:// or https:// and name a host") from None

    @property
    def place(self) -> str:
        """Host and port, for error messages: the URL itself may hold credentials."""
        return self._base.place

    @property
    def has_credentials(self) -> bool:
        """Whether the URL holds a user or a password, which are sent in place of a key."""
        return bool(self._base.credentials)

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
            delay = max(BACKOFF.wait_s(attempt), float(asked_s))
            if attempt == last or delay >= end - self.clock.monotonic():
                break
            self.clock.sleep(delay)
        if isinstance(outcome, Reply):
            return outcome
        raise outcome

    def close(self) -> None:
        """Close the connections to this host."""
        close_pool(self._base.origin)

    def _attempt(self, path: str, content: bytes, end: float) -> Reply | ConnectionError:
        try:
            return self._once(path, content, end - self.clock.monotonic())
        except ConnectionError as error:
            return error

    def _once(self, path: str, content: bytes, left_s: float) -> Reply:
        if left_s <= 0:
            raise self._late()
        timeouts = {"connect": min(left_s, CONNECT_TIMEOUT_S), "read": left_s, "write": left_s, "pool": left_s}
        try:
            with (
                within(left_s),
                pool_of(self._base.origin).stream(
                    "POST",
                    self._target(path),
                    headers=self._headers(),
                    content=content,
                    extensions={"timeout": timeouts},
                ) as response,
            ):
                return Reply(response.status, _read(response.iter_stream()), _retry_after(response.headers))
        except (httpcore.ReadTimeout, httpcore.WriteTimeout, httpcore.PoolTimeout) as error:
            raise self._late() from error
        except _BROKEN as error:
            reason = type(error).__name__
            raise ConnectionError(f"{self.label} at {self.place} gave no reply ({reason})") from error

    def _late(self) -> TimeoutError:
        return TimeoutError(f"{self.label} at {self.place} did not answer in time")

    def _target(self, path: str) -> httpcore.URL:
        origin = self._base.origin
        target = self._base.path + path + self._base.query
        return httpcore.URL(scheme=origin.scheme, host=origin.host, port=origin.port, target=target.encode("ascii"))

    def _headers(self) -> list[tuple[str, str]]:
        # Replies are small; compressing them costs both sides more than it saves.
        headers = [("host", self._base.place), ("accept-encoding", "identity"), ("content-type", "application/json")]
        if self._base.credentials:
            headers.append(("authorization", self._base.credentials))
        elif api_key := shown(self.api_key):
            headers.append(("authorization", f"Bearer {api_key}"))
        return headers


class _Base(NamedTuple):
    """A base URL taken apart; `credentials` are its user and password as a header's value."""

    origin: Origin
    place: str
    path: str
    query: str
    credentials: str


def _read_base(url: str) -> _Base:
    """Take a base URL apart; raises ValueError for another scheme, no host, or a port that is none."""
    parts = urlsplit(url.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("not an http URL")
    host = parts.hostname if ":" in parts.hostname else parts.hostname.encode("idna").decode("ascii")
    shown_host = f"[{host}]" if ":" in host else host
    return _Base(
        Origin(parts.scheme.encode(), host.encode("ascii"), parts.port),
        shown_host if parts.port is None else f"{shown_host}:{parts.port}",
        quote(parts.path.rstrip("/"), safe=_QUOTED),
        "?" + quote(parts.query, safe=_QUOTED) if parts.query else "",
        _basic(parts),
    )


def _basic(parts: SplitResult) -> str:
    if not parts.username and not parts.password:
        return ""
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


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
            return b""  # no JSON, and so nonsense: asked again, it would be as large
    return bytes(body)


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Seconds of a Retry-After header: a number or an HTTP date."""
    header = next((value.decode("latin-1") for name, value in headers if name.lower() == b"retry-after"), "")
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
