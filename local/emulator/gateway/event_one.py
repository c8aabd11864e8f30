"""Makes an event of payload format 1.0 from a request: that of REST APIs, and of HTTP APIs that ask for it."""

from __future__ import annotations

import base64
import time
import zlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from local.emulator.gateway.request import (
    ApiPlace,
    HttpRequest,
    clock_text,
    encode_body,
    forwarded_for,
    header_of,
    host_shown,
)
from local.emulator.gateway.routes import Match
from local.emulator.specs import ACCOUNT_ID

#: Names that the gateway writes in one way, whatever the client wrote.
_SPELLED = {"host": "Host", "user-agent": "User-Agent", "x-forwarded-for": "X-Forwarded-For"}
#: What the event says of the caller's identity, which only AWS knows.
_NOBODY: dict[str, Any] = dict.fromkeys(
    (
        "accessKey", "accountId", "caller", "cognitoAuthenticationProvider", "cognitoAuthenticationType",
        "cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId", "user", "userArn",
    )
)  # fmt: skip
#: Any type of body is binary.
ALL_TYPES = "*/*"


def rest_event(
    request: HttpRequest,
    match: Match,
    place: ApiPlace,
    request_id: str,
    *,
    binary: frozenset[str] = frozenset(),
    variables: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the event of a REST API: `path` has no stage, that of the request context always has."""
    event = _event(request, match, place, variables)
    context = event["requestContext"]
    context["path"] = place.prefix + request.path
    context["requestId"] = request_id
    context["resourceId"] = f"{zlib.crc32(match.route.path.encode()):08x}"
    if request.body:
        kind = (header_of(request.headers, "content-type") or "").partition(";")[0].strip().lower()
        if is_binary(kind, binary):
            event["body"], event["isBase64Encoded"] = base64.b64encode(request.body).decode("ascii"), True
        else:
            event["body"] = request.body.decode("utf-8", "replace")
    return event


def http_event_one(
    request: HttpRequest, match: Match, place: ApiPlace, request_id: str, variables: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the event of an HTTP API's route that asks for PayloadFormatVersion 1.0."""
    event = {"version": "1.0", **_event(request, match, place, variables)}
    event["path"] = place.prefix + request.path
    context = event["requestContext"]
    context |= {"path": event["path"], "requestId": request_id, "resourceId": match.route.key}
    if request.body:
        kind = header_of(request.headers, "content-type") or "text/plain"
        compressed = header_of(request.headers, "content-encoding") is not None
        event["body"], event["isBase64Encoded"] = encode_body(request.body, kind, compressed=compressed)
    return event


def is_binary(kind: str, binary: frozenset[str]) -> bool:
    """Return whether a REST API treats a type as binary; wildcards are `*/*` and such as `image/*`."""
    return bool(binary) and not binary.isdisjoint((kind, ALL_TYPES, f"{kind.partition('/')[0]}/*"))


def _event(request: HttpRequest, match: Match, place: ApiPlace, variables: Mapping[str, str] | None) -> dict[str, Any]:
    """Return what both kinds of API have; what is absent is null."""
    headers = _headers(request, place.port)
    query = _values(parse_qsl(request.query, keep_blank_values=True)) if request.query else None
    return {
        "resource": match.route.path,
        "path": request.path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} if query else None,
        "multiValueQueryStringParameters": query,
        "pathParameters": match.parameters or None,
        "stageVariables": dict(variables) if variables else None,
        "requestContext": _context(request, match, place, headers),
        "body": None,
        "isBase64Encoded": False,
    }


def _context(request: HttpRequest, match: Match, place: ApiPlace, headers: dict[str, list[str]]) -> dict[str, Any]:
    now = time.time()
    agent = headers.get("User-Agent")
    return {
        "accountId": ACCOUNT_ID,
        "apiId": place.api_id,
        "domainName": place.domain,
        "domainPrefix": place.domain.split(".", 1)[0],
        "extendedRequestId": base64.b64encode(request.trace_id[-11:].encode()).decode("ascii"),
        "httpMethod": request.method,
        "identity": {**_NOBODY, "sourceIp": request.client, "userAgent": agent[-1] if agent else None},
        "protocol": f"HTTP/{request.version}",
        "requestTime": clock_text(now),
        "requestTimeEpoch": int(now * 1000),
        "resourcePath": match.route.path,
        "stage": place.stage,
    }


def _headers(request: HttpRequest, port: int) -> dict[str, list[str]]:
    """Return the values of each header by the name that the client wrote first."""
    spelled: dict[str, str] = {}
    headers: dict[str, list[str]] = {}
    written = [name.decode("latin-1") for name in request.names] or [_title(name) for name, _ in request.headers]
    for (name, value), as_written in zip(request.headers, written, strict=True):
        shown = spelled.setdefault(name, _SPELLED.get(name, as_written))
        headers.setdefault(shown, []).append(value)
    if "Host" in headers:
        headers["Host"] = [host_shown(headers["Host"][0])]
    known = headers.get("X-Forwarded-For", [None])[-1]
    headers["X-Amzn-Trace-Id"] = [request.trace_id]
    headers["X-Forwarded-For"] = [forwarded_for(request, known)]
    headers["X-Forwarded-Port"] = [str(port)]
    headers["X-Forwarded-Proto"] = ["http"]
    return headers


def _title(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


def _values(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values
