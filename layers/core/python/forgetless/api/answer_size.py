"""The size of an answer: how much of a list fits into one answer of Lambda, and how an answer says that it was cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from starlette.responses import Response

from forgetless.api.json_response import json_bytes, json_response, sent_bytes, small_response
from forgetless.domain.limits import ANSWER_BYTES
from forgetless.ports.answer_notes import current_answer_notes

__all__ = [
    "TRUNCATED",
    "TRUNCATED_HEADER",
    "all_or_shortened",
    "bare_list",
    "cut_headers",
    "fitting",
    "fitting_items",
    "item_bytes",
    "results_object",
    "share",
    "whole_or_shortened",
]

#: The response header of an answer that was cut because of its size: how many results it has, and of how many. A search
#: that has read enough ends before it knows all of them.
TRUNCATED_HEADER = "X-Forgetless-Truncated"
#: The field that is true in an answer that was cut, and in an item whose texts were shortened.
TRUNCATED = "truncated"
#: How much of each text, and of each list, is left of an item that alone is too large for an answer.
_LEFT_CHARS, _LEFT_ITEMS = 1000, 100
#: How much of each text is left if an answer must name all of its items, but cannot hold them.
_BRIEF_CHARS = 300

Item = TypeVar("Item")
Items = Sequence[dict[str, Any]]


def results_object(items: Items, **beside: Any) -> Response:
    """The answer `{"results": items, …}` with as many items as fit; it says if they are not all."""
    headers = cut_headers(len(items), len(items))
    whole = {"results": items, **beside, **_cut_field(headers)}
    if (small := small_response(whole, most_bytes=ANSWER_BYTES, headers=headers)) is not None:
        return small
    shown = fitting_items(items)
    headers = cut_headers(len(shown), len(items))
    return json_response({"results": shown, **beside, **_cut_field(headers)}, headers=headers)


def bare_list(items: Items, *, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that is a list, with as many items as fit; a header says if they are not all."""
    whole = {**cut_headers(len(items), len(items)), **(headers or {})}
    if (small := small_response(items, most_bytes=ANSWER_BYTES, headers=whole)) is not None:
        return small
    shown = fitting_items(items)
    return json_response(shown, headers={**cut_headers(len(shown), len(items)), **(headers or {})})


def item_bytes(item: Any) -> int:
    """The size of one item of a JSON list as Lambda counts it, with its comma."""
    return sent_bytes(json_bytes(item)) + 1


def share(item: Any) -> float:
    """How much of an answer the item takes: all items of an answer together may take 1."""
    return item_bytes(item) / ANSWER_BYTES


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


def fitting_items(items: Items) -> list[dict[str, Any]]:
    """The same for JSON objects; if the first one alone is too large, its texts are shortened, and it says so."""
    kept = fitting(items)
    return [whole_or_shortened(kept[0])] if len(kept) == 1 else kept


def whole_or_shortened(item: dict[str, Any]) -> dict[str, Any]:
    """The item or, if it is too large for an answer, the item with the beginnings of its texts and lists."""
    return _marked(item, _LEFT_CHARS) if item_bytes(item) > ANSWER_BYTES else item


def all_or_shortened(items: Items) -> list[dict[str, Any]]:
    """The items of an answer that must name all of them: with the beginnings of their texts if they do not fit."""
    return list(items) if len(fitting(items)) == len(items) else [_marked(item, _BRIEF_CHARS) for item in items]


def cut_headers(shown: int, found: int) -> dict[str, str]:
    """The header that says how many of the results an answer has; no header if it has all that there are."""
    early = current_answer_notes().ended_early
    return {TRUNCATED_HEADER: f"{shown} of {found}{' or more' if early else ''}"} if early or shown < found else {}


def _cut_field(headers: Mapping[str, str]) -> dict[str, Any]:
    return {TRUNCATED: True} if headers else {}


def _marked(item: dict[str, Any], chars: int) -> dict[str, Any]:
    return {**{key: _shortened(value, chars) for key, value in item.items()}, TRUNCATED: True}


def _shortened(value: Any, chars: int) -> Any:
    if isinstance(value, str):
        return value[:chars]
    if isinstance(value, list):
        return [_shortened(one, chars) for one in value[:_LEFT_ITEMS]]
    if isinstance(value, dict):
        return {key: _shortened(one, chars) for key, one in value.items()}
    return value
