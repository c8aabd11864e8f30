"""Reads the fields of request bodies; every error names the field and what it must be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InvalidInputError
from ..service import Input, Options
from .asgi import Request

__all__ = ["DEADLINE_HEADER", "choice", "flag", "inputs", "number", "options", "text"]

#: Milliseconds from arrival after which the client no longer wants the answer.
DEADLINE_HEADER = b"x-deadline-ms"

Body = Mapping[str, Any]


def inputs(value: object, param: str, limit: int) -> list[Input]:
    """Return one or several inputs as a list: a text, texts, token ids, or lists of token ids."""
    if isinstance(value, str) or _is_tokens(value):
        value = [value]
    if not isinstance(value, list):
        raise InvalidInputError(f"{param} must be a string or an array of strings.", param=param)
    if not value:
        raise InvalidInputError(f"{param} must not be an empty array.", param=param)
    if len(value) > limit:
        raise InvalidInputError(f"{param} has {len(value)} entries, at most {limit} are taken at once.", param=param)
    for position, entry in enumerate(value):
        if not isinstance(entry, str) and not _is_tokens(entry):
            raise InvalidInputError(
                f"{param}[{position}] must be a string or a non-empty array of token ids.", param=param
            )
        if not entry:
            raise InvalidInputError(f"{param}[{position}] must not be an empty string.", param=param)
    return value


def options(body: Body, request: Request, *, truncate: bool = True) -> Options:
    """Return the options that all dialects share: task, dimensions, truncate, user, and the deadline's header."""
    return Options(
        task=text(body, "task"),
        dimensions=number(body, "dimensions"),
        truncate=flag(body, "truncate", truncate),
        deadline=_deadline(request),
        user=text(body, "user"),
    )


def text(body: Body, name: str) -> str | None:
    """Return a string or None when it is absent."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidInputError(f"{name} must be a string.", param=name)
    return value


def number(body: Body, name: str) -> int | None:
    """Return a whole number above zero or None when it is absent."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidInputError(f"{name} must be a whole number above 0.", param=name)
    return value


def flag(body: Body, name: str, default: bool) -> bool:
    """Return a boolean or the default when it is absent."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise InvalidInputError(f"{name} must be true or false.", param=name)
    return value


def choice(body: Body, name: str, values: Sequence[str]) -> str:
    """Return one of ``values``; the first is the default."""
    value = text(body, name) or values[0]
    if value not in values:
        raise InvalidInputError(f"{name} must be one of: {', '.join(values)}.", param=name)
    return value


def _deadline(request: Request) -> float | None:
    raw = request.headers.get(DEADLINE_HEADER)
    if raw is None:
        return None
    name = DEADLINE_HEADER.decode()
    try:
        milliseconds = float(raw)
    except ValueError:
        milliseconds = math.nan
    if not 0 < milliseconds < math.inf:
        raise InvalidInputError(f"The header {name} must be a number of milliseconds above 0.", param=name)
    return milliseconds / 1000


def _is_tokens(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(token) is int for token in value)
