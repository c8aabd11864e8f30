"""Objects in query parameters: JSON, or a Python literal, because that is what the Python clients send."""

from __future__ import annotations

import ast
import json
from typing import Any

from forgetless.domain.errors import InvalidRequestError

__all__ = ["read_object"]

_MAX_CHARS = 20_000


def read_object(name: str, text: str | None) -> dict[str, Any] | None:
    """The object, or None if there is no parameter; raises InvalidRequestError, which names the parameter."""
    if text is None:
        return None
    value = _json(text) if len(text) <= _MAX_CHARS else None
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InvalidRequestError(f"{name} must be a JSON object of at most {_MAX_CHARS} characters.")
    return value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        # Converted to JSON and back, because a literal may hold what JSON cannot (sets, bytes, tuples as keys).
        return json.loads(json.dumps(ast.literal_eval(text)))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
