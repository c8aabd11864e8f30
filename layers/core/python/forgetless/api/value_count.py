"""The limit for how many values a body holds: each key of an object and each entry of a list is one.

Six megabytes of JSON hold two million values. To check each of them, and to describe each one that is wrong, takes a
process ten seconds and more, so they are counted before any model reads them.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from forgetless.domain.errors import InvalidRequestError

__all__ = ["MOST_VALUES", "CountedBody", "TooManyValues", "check_value_count", "read_json"]

#: The most values of one body.
MOST_VALUES = 100_000


class TooManyValues(HTTPException):
    """The body has more values than allowed: 400.

    While FastAPI reads a body, it turns every error except HTTPException into one that says nothing.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(400, detail)


class CountedBody(Request):
    """A request whose body is refused if it has too many values."""

    async def json(self) -> Any:
        """The body; raises TooManyValues."""
        body = read_json(await self.body())
        try:
            check_value_count(body if isinstance(body, Mapping) else {"body": body})
        except InvalidRequestError as error:
            raise TooManyValues(error.message) from None
        return body


def read_json(body: bytes) -> Any:
    """The JSON of a body, read without looking for garbage meanwhile; raises ValueError and RecursionError.

    Each value that is made lets the collector walk through the heap again and again, so that two million empty lists
    would hold a process up fourteen times as long. The reader keeps the interpreter to itself, so no other thread
    notices.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return json.loads(body)
    finally:
        if collects:
            gc.enable()


def check_value_count(fields: Mapping[str, Any], *, most: int = MOST_VALUES) -> None:
    """Raise InvalidRequestError if the fields hold too many values together; it names the one with which they do."""
    left = most - len(fields)
    for name, field in fields.items():
        waiting = [field]
        while waiting and left >= 0:
            value = waiting.pop()
            if isinstance(value, list | Mapping):
                left -= len(value)
                if left >= 0:
                    waiting += value.values() if isinstance(value, Mapping) else value
        if left < 0:
            raise InvalidRequestError(
                f"{name[:64]}: the body has more than {MOST_VALUES} keys and list entries together; "
                "send less in one request."
            )
