"""JSON responses: one renderer, which never fails on anything that a store may hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

__all__ = ["json_bytes", "json_response"]


def json_bytes(content: Any) -> bytes:
    """`content` as JSON in UTF-8; what UTF-8 cannot encode is written as escapes."""
    try:
        return orjson.dumps(content, default=_as_text)
    except TypeError:  # a lone surrogate, or a whole number beyond 64 bits
        return json.dumps(content, default=_as_text).encode("ascii")


def json_response(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response with `content` as its JSON body."""
    return Response(json_bytes(content), status, headers, media_type="application/json")


def _as_text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
