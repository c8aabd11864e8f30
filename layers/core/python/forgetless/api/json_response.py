"""JSON responses: one renderer, which never fails on anything that a store may hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.heavy_work import heavy_work

__all__ = ["JsonList", "json_bytes", "json_response", "sent_bytes", "small_response"]

#: Lambda sends at most 6 MB; about 90 KB are left for headers and the rest.
_MOST_BYTES = 6_200_000
#: How many times larger a body can be as a JSON string in ASCII: DEL, one byte of it, becomes `\u007f`.
_MOST_GROWTH = 6
#: The bytes that stay as they are, and by how many bytes others become longer: as `\n`, `\u001f`, and the first bytes
#: of UTF-8's sequences of two, three and four, which become one or two `\u1234`.
_PLAIN = bytes(set(range(0x20, 0x7F)) - set(b'"\\'))
_GROWTH = (
    (b'"\\\n\r\t\b\f', 1),
    (bytes({*range(0x20), 0x7F} - set(b"\n\r\t\b\f")), 5),
    (bytes(range(0xC2, 0xE0)), 4),
    (bytes(range(0xE0, 0xF0)), 3),
    (bytes(range(0xF0, 0xF5)), 8),
)


def json_bytes(content: Any) -> bytes:
    """`content` as JSON in UTF-8; what UTF-8 cannot encode is written as escapes."""
    try:
        return orjson.dumps(content, default=_as_text)
    except TypeError:  # a lone surrogate, or a whole number beyond 64 bits
        return json.dumps(content, default=_as_text).encode("ascii")


def sent_bytes(body: bytes) -> int:
    """The size of a body as Lambda counts it, or more: the body as a JSON string, which may be in ASCII.

    It is counted and not made: that took 30 ms of 5 MB, in which nothing else of the process could run.
    """
    with heavy_work(len(body)):
        return _sent_bytes(body)


def _sent_bytes(body: bytes) -> int:
    special = body.translate(None, _PLAIN)
    grown = (more * (len(special) - len(special.translate(None, kind))) for kind, more in _GROWTH)
    return len(body) + len('""') + sum(grown)


def json_response(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response with `content` as its JSON body.

    Raises InvalidRequestError if it is larger than Lambda can send. Answers that may become so large, or that follow
    an effect, are cut before (`api/answer_size.py`); this is for all others, which would be a 500 without a reason.
    """
    body = json_bytes(content)
    if len(body) * _MOST_GROWTH > _MOST_BYTES < sent_bytes(body):
        raise InvalidRequestError("The answer would be larger than 6 MB: ask for fewer results, or narrow the filters.")
    return _response(body, status, headers)


class JsonList:
    """A JSON list that is written item by item, so that nobody has to keep the items."""

    def __init__(self) -> None:
        # One buffer: the bytes that orjson gives may hold a hundred times the memory that they need.
        self._written = bytearray()
        self.count = 0

    def add(self, item: bytes) -> None:
        """Append an item that `json_bytes` made."""
        self._written += b"," if self.count else b"["
        self._written += item
        self.count += 1

    def response(self, headers: Mapping[str, str] | None = None) -> Response:
        """The response with this body, which must be small enough."""
        return _response(bytes(self._written) + b"]" if self.count else b"[]", 200, headers)


def small_response(content: Any, *, most_bytes: int, headers: Mapping[str, str] | None = None) -> Response | None:
    """The response, if even a body whose every character grows is no larger than `most_bytes`; None otherwise.

    Most answers are small: their items need not be measured one by one.
    """
    body = json_bytes(content)
    return _response(body, 200, headers) if len(body) * _MOST_GROWTH <= most_bytes else None


def _response(body: bytes, status: int, headers: Mapping[str, str] | None) -> Response:
    return Response(body, status, headers, media_type="application/json")


def _as_text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
