"""Reads the fields of request bodies; every error names the field and what it must be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InvalidInputError
from ..service import Input, Options
from ..settings import OWN_IDS, Settings
from .asgi import Request

__all__ = [
    "DEADLINE_HEADER",
    "TOKEN_IDS_HEADER",
    "choice",
    "flag",
    "inputs",
    "number",
    "options",
    "text",
    "texts",
]

#: Milliseconds from arrival after which the client no longer wants the answer.
DEADLINE_HEADER = b"x-deadline-ms"
#: "own" says that token ids are of this model's vocabulary.
TOKEN_IDS_HEADER = b"x-token-ids"

Body = Mapping[str, Any]


def inputs(value: object, param: str, request: Request, settings: Settings) -> list[Input]:
    """Return one or several inputs as a list: a text or texts, or token ids or lists of them if they may be sent."""
    if isinstance(value, str) or _is_tokens(value):
        value = [value]
    if not isinstance(value, list):
        raise InvalidInputError(f"{param} must be a string or an array of strings.", param=param)
    _check_number(value, param, settings.max_inputs)
    for position, entry in enumerate(value):
        if not isinstance(entry, str) and not _is_tokens(entry):
            raise InvalidInputError(
                f"{param}[{position}] must be a string or a non-empty array of token ids.", param=param
            )
        if isinstance(entry, str) != isinstance(value[0], str):
            raise InvalidInputError(
                f"{param} must hold either strings or arrays of token ids, not both; {param}[{position}] differs "
                f"from {param}[0].",
                param=param,
            )
        if not entry:
            raise InvalidInputError(f"{param}[{position}] must not be an empty string.", param=param)
    if not isinstance(value[0], str):
        _check_own_ids(param, request, settings)
    return value


def texts(value: object, param: str, limit: int) -> list[str]:
    """Return a non-empty array of non-empty texts."""
    if not isinstance(value, list):
        raise InvalidInputError(f"{param} must be an array of strings.", param=param)
    _check_number(value, param, limit)
    for position, entry in enumerate(value):
        if not isinstance(entry, str) or not entry:
            raise InvalidInputError(f"{param}[{position}] must be a non-empty string.", param=param)
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


def _check_number(entries: Sequence[object], param: str, limit: int) -> None:
    if not entries:
        raise InvalidInputError(f"{param} must not be an empty array.", param=param)
    if len(entries) > limit:
        raise InvalidInputError(f"{param} has {len(entries)} entries, at most {limit} are taken at once.", param=param)


def _check_own_ids(param: str, request: Request, settings: Settings) -> None:
    """Refuse token ids unless the header or the setting says whose they are.

    Clients of OpenAI send ids of OpenAI's vocabulary. Read as ids of this model, they would be other words, and their
    vectors would be wrong without an error.
    """
    name = TOKEN_IDS_HEADER.decode()
    given = request.headers.get(TOKEN_IDS_HEADER, settings.token_ids.encode()).strip().lower()
    if given == OWN_IDS.encode():
        return
    if given:
        raise InvalidInputError(f"The header {name} must be {OWN_IDS!r} or absent.", param=name)
    raise InvalidInputError(
        f"{param} holds token ids, and ids of another vocabulary (such as OpenAI's) would give wrong vectors. Send "
        "texts; LangChain's OpenAIEmbeddings does with check_embedding_ctx_length=False. If the ids are of this "
        f"model's own vocabulary, send the header {name}: {OWN_IDS}, or start the service with "
        f"EMBEDDER_TOKEN_IDS={OWN_IDS}.",
        param=param,
        code="token_ids_refused",
    )


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
