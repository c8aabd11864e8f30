"""A request as the gateway received it, the place that its event names, and what both event formats share."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass

#: Content types whose bodies HTTP APIs take for text; every other body is encoded in base64.
_TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/xml")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request; header names are in lower case, and `names` has them as the client wrote them, if that is known.

    `path` has no stage: decoded for HTTP APIs, as it was sent for REST APIs.
    """

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes
    client: str
    version: str = "1.1"
    trace_id: str = ""
    names: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class ApiPlace:
    """The API, stage and port that an event names."""

    api_id: str
    stage: str
    domain: str
    port: int = 3000

    @property
    def prefix(self) -> str:
        """Return what precedes every path: nothing on the stage $default."""
        return "" if self.stage == "$default" else f"/{self.stage}"


class _Clock:
    """The time of requests as text, formed once a second."""

    def __init__(self) -> None:
        self._second, self._text = 0, ""

    def text(self, now: float) -> str:
        """Return a time as `12/Mar/2020:19:03:58 +0000`."""
        if int(now) != self._second:
            self._second = int(now)
            self._text = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now))
        return self._text


_clock = _Clock()


def clock_text(now: float) -> str:
    """Return a time as events show it."""
    return _clock.text(now)


def header_of(headers: list[tuple[str, str]], name: str) -> str | None:
    """Return the first value of a header; `name` is in lower case."""
    return next((value for key, value in headers if key == name), None)


def host_shown(host: str) -> str:
    """Return the Host header as the event shows it.

    API Gateway is reached by names alone; adapters such as Mangum take what follows the first colon for a port.
    """
    return "localhost" + host.partition("]")[2] if host.startswith("[") else host


def forwarded_for(request: HttpRequest, known: str | None) -> str:
    """Return who asked, after those that the client's own X-Forwarded-For knows."""
    return f"{known}, {request.client}" if known else request.client


def encode_body(body: bytes, kind: str, *, compressed: bool) -> tuple[str, bool]:
    """Return a body of an HTTP API as text, or in base64 with True when it is binary, compressed or no UTF-8."""
    if kind.lower().startswith(_TEXT_TYPES) and not compressed:
        try:
            return body.decode("utf-8"), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode("ascii"), True
