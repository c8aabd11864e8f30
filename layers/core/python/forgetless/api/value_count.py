"""The limit for how many values a body holds: each key of an object and each entry of a list is one.

Six megabytes of JSON hold two million values. To check each of them, and to describe each one that is wrong, takes a
process ten seconds and more, so they are counted before any model reads them. If they are far too many, not even JSON's
reader sees them.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.heavy_work import HEAVY_BYTES, heavy_work

__all__ = [
    "MOST_VALUES",
    "check_value_count",
    "has_more_values",
    "is_light",
    "json_work",
    "read_counted",
    "read_few",
    "read_json",
]

#: The most values of one body.
MOST_VALUES = 100_000
#: A text with more values is not read. With fewer, the error can name the field that has too many.
_MOST_READ = 2 * MOST_VALUES
#: A body with no more bytes and values is read and judged in some milliseconds.
_LIGHT_BYTES, _LIGHT_VALUES = 64 * 1024, 1000
#: To read and judge so many values takes as long as to read HEAVY_BYTES of text.
_HEAVY_VALUES = 20_000
_BETWEEN_VALUES = b" \t\r\n"


def is_light(body: bytes) -> bool:
    """Whether to read and to judge the body takes so little that it need not wait for its tenant's turn."""
    return len(body) <= _LIGHT_BYTES and not has_more_values(body, _LIGHT_VALUES)


def json_work(body: bytes) -> AbstractContextManager[object]:
    """What to hold while the body is read and judged: HEAVY_WORK if that takes long. Raises BusyError."""
    heavy = len(body) >= HEAVY_BYTES or has_more_values(body, _HEAVY_VALUES)
    return heavy_work(HEAVY_BYTES if heavy else 0, may_fail=True)


def has_more_values(body: bytes, most: int) -> bool:
    """Whether a text in JSON has more than `most` values. They are counted without making them, which takes longer."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") <= most:
        return False
    if b"\0" in body:  # UTF-16 or UTF-32, in any other text it is no JSON
        body = body.decode(json.detect_encoding(body), "replace").encode("utf-8", "replace")
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    # A key and its value are one, and have four quotation marks at most.
    if plain.count(b'"') > 4 * most + 2:
        return True
    outside = b"s".join(plain.split(b'"')[::2]).translate(None, _BETWEEN_VALUES)
    opened = outside.count(b"[") + outside.count(b"{") - outside.count(b"[]") - outside.count(b"{}")
    return outside.count(b",") + opened > most


def read_counted(body: bytes, *, name: str = "") -> Any:
    """The JSON of a body, or of the field of this name.

    Raises InvalidRequestError if it has too many values, and as `read_json` does.
    """
    value = read_few(body, name=name or "body")
    check_value_count(value if isinstance(value, Mapping) and not name else {name or "body": value})
    return value


def read_few(body: bytes, *, name: str = "body") -> Any:
    """The JSON of a body that may have too many values, but not far too many; raises the same."""
    if has_more_values(body, _MOST_READ):
        raise _too_many(name)
    return read_json(body)


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
            raise _too_many(name, most)


def _too_many(name: str, most: int = MOST_VALUES) -> InvalidRequestError:
    return InvalidRequestError(
        f"{name[:64]}: the body has more than {most} keys and list entries together; send less in one request."
    )
