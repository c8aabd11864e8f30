"""Makes a response from a function's result: format 2.0, with its inference."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import orjson

_JSON = [(b"content-type", b"application/json")]
#: Headers that the gateway sets itself; a function's are dropped or renamed, as API Gateway does.
_DROPPED = {"connection", "content-length", "transfer-encoding", "keep-alive", "upgrade", "te", "trailer"}
_REMAPPED = {"date", "server", "www-authenticate"}


class MalformedResponseError(Exception):
    """The function's result is not a response of format 2.0."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer of the gateway."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def message_response(status: int, message: str) -> HttpResponse:
    """Return a response of the gateway's own."""
    return HttpResponse(status, list(_JSON), orjson.dumps({"message": message}))


def infer_response(payload: bytes) -> HttpResponse:
    """Return the response that a function's result means.

    Raises:
        MalformedResponseError: no JSON, or a statusCode with fields that do not fit.
    """
    try:
        result = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise MalformedResponseError("the result is no JSON") from error
    if not isinstance(result, dict) or "statusCode" not in result:
        body = result.encode() if isinstance(result, str) else payload
        return HttpResponse(200, list(_JSON), body)
    return HttpResponse(_status(result["statusCode"]), _headers(result), _body(result))


def _status(given: Any) -> int:
    try:
        status = int(given)
    except (TypeError, ValueError):
        raise MalformedResponseError("statusCode is no number") from None
    if isinstance(given, bool | float) or not 100 <= status <= 599:
        raise MalformedResponseError("statusCode is no HTTP status")
    return status


def _headers(result: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    given, cookies = result.get("headers") or {}, result.get("cookies") or []
    if not isinstance(given, dict) or not isinstance(cookies, list):
        raise MalformedResponseError("headers must be a mapping and cookies a list")
    headers, typed = [], False
    for key, value in given.items():
        name = key.lower()
        if isinstance(value, list | dict) or value is None:
            raise MalformedResponseError(f"header {key} must be a text")
        if name in _DROPPED:
            continue
        typed = typed or name == "content-type"
        headers.append((f"x-amzn-remapped-{name}" if name in _REMAPPED else name, _text(value)))
    headers += [("set-cookie", _text(cookie)) for cookie in cookies]
    if not typed and result.get("body"):
        headers.append(("content-type", "text/plain;charset=utf-8"))
    return [_encoded(name, value) for name, value in headers]


def _encoded(name: str, value: str) -> tuple[bytes, bytes]:
    if any(character in "\r\n\0" for character in name + value):
        raise MalformedResponseError(f"header {name!r} has a line break")
    return name.encode("latin-1", "replace"), value.encode("utf-8")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _body(result: dict[str, Any]) -> bytes:
    body = result.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise MalformedResponseError("body must be a text")
    if not result.get("isBase64Encoded"):
        return body.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except ValueError as error:  # also of letters beyond ASCII
        raise MalformedResponseError("body is no base64") from error
