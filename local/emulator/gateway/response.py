"""Makes a response from a function's result: format 2.0, with its inference."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import orjson

_JSON = [(b"content-type", b"application/json")]
#: Headers that the gateway sets itself; a function's are dropped or renamed, as API Gateway does.
_DROPPED = {"connection", "content-length", "transfer-encoding", "keep-alive", "upgrade", "te", "trailer"}
REMAPPED = frozenset({"date", "server", "www-authenticate"})


class MalformedResponseError(Exception):
    """The function's result is not a response of its format."""


class NoBase64Error(MalformedResponseError):
    """The function says that its body is base64, and it is not."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer of the gateway."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def message_response(status: int, message: str | None, *, key: str = "message", kind: str = "") -> HttpResponse:
    """Return a response of the gateway's own; `kind` is the type of error that REST APIs put into a header."""
    headers = [*_JSON, (b"x-amzn-errortype", kind.encode())] if kind else list(_JSON)
    return HttpResponse(status, headers, orjson.dumps({key: message}))


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
    return HttpResponse(status_of(result["statusCode"]), _headers(result), _body(result))


def status_of(given: Any) -> int:
    """Return a statusCode as a number.

    Raises:
        MalformedResponseError: it is none.
    """
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
        text, name = header_text(key, value), shown_name(key.lower(), REMAPPED)
        if name is not None:
            typed = typed or name == "content-type"
            headers.append((name, text))
    headers += [("set-cookie", _text(cookie)) for cookie in cookies]
    if not typed and result.get("body"):
        headers.append(("content-type", "text/plain;charset=utf-8"))
    return [encoded_header(name, value) for name, value in headers]


def shown_name(name: str, remapped: frozenset[str]) -> str | None:
    """Return the name under which the client gets a header, or None when it does not."""
    if name in _DROPPED:
        return None
    return f"x-amzn-remapped-{name}" if name in remapped else name


def header_text(name: str, value: Any) -> str:
    """Return the value of a header.

    Raises:
        MalformedResponseError: it is a list, a mapping or nothing.
    """
    if isinstance(value, list | dict) or value is None:
        raise MalformedResponseError(f"header {name} must be a text")
    return _text(value)


def encoded_header(name: str, value: str) -> tuple[bytes, bytes]:
    """Return a header as bytes.

    Raises:
        MalformedResponseError: it has a line break.
    """
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
    return decoded(body) if result.get("isBase64Encoded") else body.encode("utf-8", "surrogatepass")


def decoded(body: str) -> bytes:
    """Return a body in base64 as bytes.

    Raises:
        NoBase64Error: it is none.
    """
    try:
        return base64.b64decode(body, validate=True)
    except ValueError as error:  # also of letters beyond ASCII
        raise NoBase64Error("body is no base64") from error
