"""The size of an answer: how much of a list fits into one answer of Lambda, and how an answer says that it was cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any, TypeVar

from forgetless.api.json_response import json_bytes
from forgetless.domain.limits import ANSWER_BYTES

__all__ = ["TRUNCATED", "TRUNCATED_HEADER", "cut_headers", "fitting", "fitting_items", "item_bytes", "sent_bytes"]

#: The response header of an answer that was cut because of its size: how many results it has, and of how many.
TRUNCATED_HEADER = "X-Forgetless-Truncated"
#: The field that is true in an answer that was cut, and in an item whose texts were shortened.
TRUNCATED = "truncated"
#: How much of each text, and of each list, is left of an item that alone is too large for an answer.
_LEFT_CHARS, _LEFT_ITEMS = 1000, 100

Item = TypeVar("Item")


def sent_bytes(body: bytes) -> int:
    """The size of a body as Lambda counts it, or more: the body as a JSON string, which may be in ASCII."""
    if body.isascii():  # then only these three need an escape: JSON itself has escaped all other control characters
        return len(body) + body.count(b'"') + body.count(b"\\") + body.count(b"\n")
    return len(encode_basestring_ascii(body.decode("utf-8", "surrogatepass")))


def item_bytes(item: Any) -> int:
    """The size of one item of a JSON list as Lambda counts it, with its comma."""
    return sent_bytes(json_bytes(item)) + 1


def fitting(
    items: Iterable[Item], *, budget: int = ANSWER_BYTES, size: Callable[[Item], int] = item_bytes
) -> list[Item]:
    """The first items that together fit into one answer: always at least one, so that the rest can be reached."""
    kept: list[Item] = []
    for item in items:
        budget -= size(item)
        if budget < 0 and kept:
            break
        kept.append(item)
    return kept


def fitting_items(items: Sequence[dict[str, Any]], *, budget: int = ANSWER_BYTES) -> list[dict[str, Any]]:
    """The same for JSON objects; if the first one alone is too large, its texts are shortened, and it says so."""
    kept = fitting(items, budget=budget)
    if len(kept) == 1 and item_bytes(kept[0]) > budget:
        return [shortened(kept[0])]
    return kept


def shortened(item: dict[str, Any], *, chars: int = _LEFT_CHARS) -> dict[str, Any]:
    """The item with only the beginning of each text and list, and with a field that says so."""
    return {**{key: _shortened(value, chars) for key, value in item.items()}, TRUNCATED: True}


def cut_headers(shown: int, found: int) -> dict[str, str]:
    """The header that says how many of the results an answer has; no header if it has all."""
    return {TRUNCATED_HEADER: f"{shown} of {found}"} if shown < found else {}


def _shortened(value: Any, chars: int) -> Any:
    if isinstance(value, str):
        return value[:chars]
    if isinstance(value, list):
        return [_shortened(one, chars) for one in value[:_LEFT_ITEMS]]
    if isinstance(value, dict):
        return {key: _shortened(one, chars) for key, one in value.items()}
    return value
