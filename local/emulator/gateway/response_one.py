"""Makes a response from a function's result of format 1.0: of REST APIs, and of HTTP APIs that ask for it."""

from __future__ import annotations

from typing import Any

import orjson

from local.emulator.gateway.event_one import is_binary
from local.emulator.gateway.response import (
    REMAPPED,
    HttpResponse,
    MalformedResponseError,
    decoded,
    encoded_header,
    header_text,
    shown_name,
    status_of,
)

#: What the result of a function behind a REST API may have; with anything else it is malformed.
_KEYS = {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded", "base64Encoded", "cookies"}
#: Headers that REST APIs rename besides those that HTTP APIs do.
_REST_REMAPPED = REMAPPED | {"authorization", "content-md5", "user-agent"}


def rest_response(payload: bytes, binary: frozenset[str], accept: str | None) -> HttpResponse:
    """Return the response of a REST API; base64 is decoded only where the client asks for a binary type.

    Raises:
        MalformedResponseError: the result is not what a proxy integration expects.
    """
    result = _mapping(payload)
    if not _KEYS.issuperset(result):
        raise MalformedResponseError(f"unknown keys: {', '.join(sorted(set(result) - _KEYS))}")
    headers = _headers(result, _REST_REMAPPED)
    kind = next((value for name, value in headers if name == "content-type"), None)
    if kind is None:
        kind = "application/json"
        headers.append(("content-type", kind))
    wanted = (accept or kind).partition(",")[0].partition(";")[0].strip().lower()
    is_encoded = result.get("base64Encoded", result.get("isBase64Encoded"))
    body = _body(result)
    content = decoded(body) if _truth(is_encoded) and is_binary(wanted, binary) else body.encode("utf-8", "replace")
    return HttpResponse(status_of(result.get("statusCode") or 200), [encoded_header(*one) for one in headers], content)


def http_response_one(payload: bytes) -> HttpResponse:
    """Return the response of an HTTP API's route that asks for PayloadFormatVersion 1.0: it needs a statusCode.

    Raises:
        MalformedResponseError: the result is none of format 1.0.
    """
    result = _mapping(payload)
    if result.get("statusCode") is None:
        raise MalformedResponseError("statusCode is missing")
    headers = _headers(result, REMAPPED)
    body = _body(result)
    if body and not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "text/plain;charset=utf-8"))
    content = decoded(body) if _truth(result.get("isBase64Encoded")) else body.encode("utf-8", "replace")
    return HttpResponse(status_of(result["statusCode"]), [encoded_header(*one) for one in headers], content)


def _mapping(payload: bytes) -> dict[str, Any]:
    try:
        result = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise MalformedResponseError("the result is no JSON") from error
    if not isinstance(result, dict):
        raise MalformedResponseError("the result is no mapping")
    return result


def _headers(result: dict[str, Any], remapped: frozenset[str]) -> list[tuple[str, str]]:
    """Return all headers; a value that stands in `headers` and in `multiValueHeaders` comes once."""
    single, several = result.get("headers") or {}, result.get("multiValueHeaders") or {}
    if not isinstance(single, dict) or not isinstance(several, dict):
        raise MalformedResponseError("headers and multiValueHeaders must be mappings")
    listed: dict[str, list[str]] = {}
    for name, values in several.items():
        if not isinstance(values, list):
            raise MalformedResponseError(f"multiValueHeaders: {name} must be a list")
        listed.setdefault(name.lower(), []).extend(header_text(name, value) for value in values)
    for name, value in single.items():
        text = header_text(name, value)
        if text not in listed.setdefault(name.lower(), []):
            listed[name.lower()].append(text)
    return [
        (shown, value)
        for name, values in listed.items()
        for shown in (shown_name(name, remapped),)
        if shown is not None
        for value in values
    ]


def _body(result: dict[str, Any]) -> str:
    body = result.get("body")
    if isinstance(body, list | dict):
        raise MalformedResponseError("body must be a text")
    return "" if body is None else body if isinstance(body, str) else orjson.dumps(body).decode()


def _truth(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise MalformedResponseError("isBase64Encoded must be true or false")
