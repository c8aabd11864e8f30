"""Settings that are JSON objects."""

from __future__ import annotations

import json
from typing import Any

from forgetless.domain.errors import InvalidRequestError

__all__ = ["json_object"]


def json_object(variable: str, text: str, *, like: str) -> dict[str, Any]:
    """The object in the text of a setting, empty for none; raises InvalidRequestError, which quotes nothing of it.

    `like` says in the error what is expected.
    """
    if not text.strip():
        return {}
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise InvalidRequestError(f"{variable} must be a JSON object of {like}")
    return given
