"""JSON over HTTP for the adapters, with shared connections, a deadline for the whole call, and retries with jitter.

It uses httpcore without httpx, which would double the CPU time of each call.
"""

from __future__ import annotations

import base64
import email.utils
import json
import logging
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

import httpcore
import orjson

from forgetless.adapters.http_deadline import within
from forgetless.adapters.http_pools import Origin, close_pool, pool_of
from forgetless.adapters.secrets_aws import Secret, shown
from forgetless.domain.backoff import Backoff
from forgetless.ports.clock import Clock
from forgetless.ports.trace import current_trace

__all__ = ["JsonClient", "Reply"]

_logger = logging.getLogger(__name__)

#: Seconds to wait for a TCP or TLS handshake, so that a dead host is noticed early enough for another try.
CONNECT_TIMEOUT_S = 3.0
#: The waits between the tries of a call. A longer Retry-After of the server is respected.
BACKOFF = Backoff(first_s=0.2, longest_s=60.0, least=0.5)
#: The longest reply that is read, in bytes. A longer reply counts as empty.
MAX_REPLY_BYTES = 16 * 1024 * 1024
#: The longest Retry-After that is respected, in seconds.
MAX_RETRY_AFTER_S = 3600

#: Statuses below 500 that are temporary: timeout, locked, too early, too many requests.
_PASSING = frozenset({408, 409, 425, 429})
#: Statuses from 500 on that stay: the server does not have what it is asked for.
_LASTING = frozenset({501, 505})

#: The errors of a failed call, other than timeouts.
_BROKEN = (
    httpcore.ConnectTimeout,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
#: Where a surrogate may be alone.
_HALF_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
#: Characters that are not quoted in a path or query; "%" is among them, so that quoted text is not quoted again.
_QUOTED = "%/-._~!$&'()*+,;=:@?"


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete HTTP reply with any status."""

    status: int
    body: bytes
    #: The server's Retry-After in whole seconds, at least 1; None when it gave none.
    retry_after: int | None = None

    @property
    def retryable(self) -> bool:
        """Whether the server says that a later try may succeed."""
        return self.status in _PASSING or (self.status >= 500 and self.status not in _LASTING)

    def json(self) -> Any:
        """The value of the JSON body; raises ValueError when the body is not JSON.

        Half of a surrogate pair, which models write when an emoji is cut, becomes a question mark.
        """
        try:
            return orjson.loads(self.body)
        except ValueError:
            if not _HALF_PAIR.search(self.body):
                raise
        try:
            return orjson.loads(json.dumps(json.loads(self.body), ensure_ascii=False).encode("utf-8", "replace"))
        except RecursionError as error:
            raise ValueError("the JSON is too deep") from error


@dataclass(slots=True)
class JsonClient:
    """Posts JSON to paths below one base URL; `label` names the service in error messages ("the LLM")."""

    base_url: str = field(repr=False)
    label: str
    clock: Clock
    api_key: Secret = field(default="", repr=False)
    #: The header that the key goes into: `authorization` as a bearer token, any other as it is.
    key_header: str = "authorization"
    #: More headers of each request; they replace those of the same name, the key's among them.
    extra: Callable[[], Mapping[str, str]] = field(default=dict, repr=False)
    #: Makes the headers of a request whose signature stands in Authorization; the key goes into X-API-Key then.
    sign: Callable[[str, Mapping[str, str], bytes], Mapping[str, str]] | None = None
    #: How often a call is retried after a failed connection, 429, 5xx or another temporary status.
    retries: int = 2
    _base: _Base = field(init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            self._base = _read_base(self.base_url)
        except ValueError:
            raise ValueError(f"the URL of {self.label} must start with http:// or https:// and name a host") from None

    @property
    def place(self) -> str:
        """Host and port, for logs. The URL itself may contain credentials."""
        return self._base.place

    @property
    def has_credentials(self) -> bool:
        """Whether the URL contains a user or a password, which are then sent instead of a key."""
        return bool(self._base.credentials)

    def post(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        deadline_s: float,
        retries: int | None = None,
        final: Callable[[Reply], bool] = lambda _reply: False,
        ended: Callable[[Reply | None], None] = lambda _reply: None,
    ) -> Reply:
        """The last reply within `deadline_s` seconds, retries included. A reply may have status 4xx or 5xx.

        `retries` overrides the client's own number, and a reply that is `final` is not retried. `ended` is told of each
        attempt that the server may have worked on, once: its reply, or None if it was sent whole and got none. Raises
        ConnectionError when the last attempt got no reply, and TimeoutError at the deadline.
        """
        end = self.clock.monotonic() + deadline_s
        content = _to_json(body)
        last = self.retries if retries is None else retries
        for attempt in range(last + 1):
            outcome = self._attempt(path, content, end, ended)
            if isinstance(outcome, Reply) and (not outcome.retryable or final(outcome)):
                return outcome
            asked_s = (outcome.retry_after or 0) if isinstance(outcome, Reply) else 0
            delay = max(BACKOFF.wait_s(attempt), float(asked_s))
            if attempt == last or delay >= end - self.clock.monotonic():
                break
            self.clock.sleep(delay)
        if isinstance(outcome, Reply):
            return outcome
        raise outcome

    def secrets(self) -> list[str]:
        """What is sent to the server and nobody else may see: keys, user and password, and the values of headers."""
        given = [*self._key().values(), *self.extra().values(), shown(self.api_key), *self._base.secrets]
        return [one for one in given if one]

    def close(self) -> None:
        """Close the connections to this host."""
        close_pool(self._base.origin)

    def _attempt(
        self, path: str, content: bytes, end: float, ended: Callable[[Reply | None], None]
    ) -> Reply | ConnectionError:
        body = _Body(content)
        reply: Reply | None = None
        try:
            reply = self._once(path, body, end - self.clock.monotonic())
        except ConnectionError as error:
            return error
        else:
            return reply
        finally:
            if reply is not None or body.sent:
                ended(reply)

    def _once(self, path: str, body: _Body, left_s: float) -> Reply:
        if left_s <= 0:
            raise self._late()
        timeouts = {"connect": min(left_s, CONNECT_TIMEOUT_S), "read": left_s, "write": left_s, "pool": left_s}
        try:
            with (
                within(left_s),
                pool_of(self._base.origin).stream(
                    "POST",
                    self._target(path),
                    headers=self._headers(path, body.content),
                    content=iter(body),
                    extensions={"timeout": timeouts},
                ) as response,
            ):
                if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    self._log(f"status {response.status}")
                return Reply(response.status, _read(response.iter_stream()), _retry_after(response.headers))
        except (httpcore.ReadTimeout, httpcore.WriteTimeout, httpcore.PoolTimeout) as error:
            raise self._late() from error
        except _BROKEN as error:
            reason = type(error).__name__
            self._log(reason)
            raise ConnectionError(f"{self.label} gave no reply ({reason})") from error

    def _late(self) -> TimeoutError:
        self._log("too late")
        return TimeoutError(f"{self.label} did not answer in time")

    def _log(self, what: str) -> None:
        """Tell the operator where it was. Errors do not say it, because every key receives them."""
        _logger.warning("%s at %s failed: %s", self.label, self.place, what)

    def _target(self, path: str) -> httpcore.URL:
        origin = self._base.origin
        target = self._base.path + path + self._base.query
        return httpcore.URL(scheme=origin.scheme, host=origin.host, port=origin.port, target=target.encode("ascii"))

    def _headers(self, path: str, content: bytes) -> list[tuple[str, str]]:
        headers = {"host": self._base.place, "content-type": "application/json"}
        if self.sign is not None:
            if api_key := shown(self.api_key):
                headers["x-api-key"] = api_key
            headers |= self.extra()
            url = f"{self._base.origin.scheme.decode()}://{self._base.place}{self._base.path}{path}{self._base.query}"
            headers = dict(self.sign(url, headers, content))
        else:
            headers |= {**self._key(), **self.extra()}
        if (trace := current_trace()) is not None:
            headers["traceparent"] = trace.traceparent
        # Replies are small, so compression would cost more than it saves.
        return [*headers.items(), ("accept-encoding", "identity"), ("content-length", str(len(content)))]

    def _key(self) -> dict[str, str]:
        if self._base.credentials:
            return {"authorization": self._base.credentials}
        if not (api_key := shown(self.api_key)):
            return {}
        return {self.key_header: f"Bearer {api_key}" if self.key_header == "authorization" else api_key}


class _Body:
    """The body of one attempt, which knows whether it was sent: who asks for more has written what was there."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.sent = False

    def __iter__(self) -> Iterator[bytes]:
        yield self.content
        self.sent = True


class _Base(NamedTuple):
    """The parts of a base URL; `credentials` is the header value for its user and password.

    `secrets` are these alone, and the values in the query, which is where some servers want their key.
    """

    origin: Origin
    place: str
    path: str
    query: str
    credentials: str
    secrets: tuple[str, ...]


def _read_base(url: str) -> _Base:
    """Split a base URL; raises ValueError for another scheme, a missing host or an invalid port."""
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
        (
            *(unquote(one) for one in (parts.username, parts.password) if one),
            *(value for _, value in parse_qsl(parts.query)),
        ),
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
        # JSON input may contain lone surrogates, which UTF-8 cannot encode; they become question marks.
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _read(parts: Iterable[bytes]) -> bytes:
    body = bytearray()
    for part in parts:
        body += part
        if len(body) > MAX_REPLY_BYTES:
            return b""  # not JSON, so the caller sees an invalid reply; a retry would give as large a reply
    return bytes(body)


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """The seconds of a Retry-After header, which is a number or an HTTP date."""
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
