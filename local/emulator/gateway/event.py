"""Makes an event of payload format 2.0 from a request."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from local.emulator.gateway.request import ApiPlace, HttpRequest, clock_text, encode_body, forwarded_for, host_shown
from local.emulator.gateway.routes import Match
from local.emulator.specs import ACCOUNT_ID


def build_event(
    request: HttpRequest, match: Match, place: ApiPlace, request_id: str, variables: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the event of a request, without an authorizer's context; `variables` are the stage's."""
    headers, cookies = _headers(request)
    headers["x-amzn-trace-id"] = request.trace_id
    headers["x-forwarded-for"] = forwarded_for(request, headers.get("x-forwarded-for"))
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
    if variables:
        event["stageVariables"] = dict(variables)
    if request.body:
        kind, compressed = headers.get("content-type", "text/plain"), "content-encoding" in headers
        event["body"], event["isBase64Encoded"] = encode_body(request.body, kind, compressed=compressed)
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
        "time": clock_text(now),
        "timeEpoch": int(now * 1000),
    }


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
    if "host" in headers:
        headers["host"] = host_shown(headers["host"])
    return headers, cookies


def joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Return pairs as a mapping; the values of a repeated key are joined by commas."""
    values: dict[str, str] = {}
    for name, value in pairs:
        values[name] = f"{values[name]},{value}" if name in values else value
    return values
