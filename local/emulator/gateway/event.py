"""Makes an event of payload format 2.0 from a request."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from local.emulator.gateway.routes import Match
from local.emulator.specs import ACCOUNT_ID

#: Content types whose bodies are text; every other body is encoded in base64.
_TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/xml")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as the gateway received it; header names are in lower case, `path` is decoded."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes
    client: str
    version: str = "1.1"
    trace_id: str = ""


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


def build_event(request: HttpRequest, match: Match, place: ApiPlace, request_id: str) -> dict[str, Any]:
    """Return the event of a request, without an authorizer's context."""
    headers, cookies = _headers(request)
    known = headers.get("x-forwarded-for")
    headers["x-amzn-trace-id"] = request.trace_id
    headers["x-forwarded-for"] = f"{known}, {request.client}" if known else request.client
    headers["x-forwarded-port"] = str(place.port)
    headers["x-forwarded-proto"] = "http"
    context = _context(request, match, place, headers.get("user-agent", ""))
    context["requestId"] = request_id
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": match.route.key,
        "rawPath": context["http"]["path"],
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": context,
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if request.query:
        event["queryStringParameters"] = joined(parse_qsl(request.query, keep_blank_values=True))
    if match.parameters:
        event["pathParameters"] = match.parameters
    if request.body:
        event["body"], event["isBase64Encoded"] = encode_body(request.body, headers)
    return event


def _context(request: HttpRequest, match: Match, place: ApiPlace, agent: str) -> dict[str, Any]:
    now = time.time()
    return {
        "accountId": ACCOUNT_ID,
        "apiId": place.api_id,
        "domainName": place.domain,
        "domainPrefix": place.domain.split(".", 1)[0],
        "http": {
            "method": request.method,
            "path": place.prefix + request.path,
            "protocol": f"HTTP/{request.version}",
            "sourceIp": request.client,
            "userAgent": agent,
        },
        "routeKey": match.route.key,
        "stage": place.stage,
        "time": _clock.text(now),
        "timeEpoch": int(now * 1000),
    }


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


def _headers(request: HttpRequest) -> tuple[dict[str, str], list[str]]:
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in request.headers:
        if name == "cookie":
            cookies += [item.strip() for item in value.split(";") if item.strip()]
        elif name in headers:
            headers[name] = f"{headers[name]},{value}"
        else:
            headers[name] = value
    if headers.get("host", "").startswith("["):
        # API Gateway is reached by names alone; adapters such as Mangum take what follows the first colon for a port.
        headers["host"] = "localhost" + headers["host"].partition("]")[2]
    return headers, cookies


def joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Return pairs as a mapping; the values of a repeated key are joined by commas."""
    values: dict[str, str] = {}
    for name, value in pairs:
        values[name] = f"{values[name]},{value}" if name in values else value
    return values


def encode_body(body: bytes, headers: dict[str, str]) -> tuple[str, bool]:
    """Return a body as text, or in base64 with True when it is binary, compressed or no UTF-8."""
    kind = headers.get("content-type", "text/plain").lower()
    if kind.startswith(_TEXT_TYPES) and "content-encoding" not in headers:
        try:
            return body.decode("utf-8"), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode("ascii"), True
