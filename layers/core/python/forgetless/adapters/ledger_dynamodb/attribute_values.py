"""Converts DynamoDB's attribute values from and to plain Python (text, integers, bytes, lists, maps)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Item", "from_wire", "size_of", "to_wire"]

#: An item as the adapter uses it; its keys pk and sk are among the attributes.
Item = dict[str, Any]


def to_wire(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item or a map of values in the API's format."""
    return {name: _tagged(value) for name, value in item.items()}


def from_wire(attributes: Mapping[str, Any]) -> Item:
    """The item of `to_wire`."""
    return {name: _plain(value) for name, value in attributes.items()}


def size_of(item: Mapping[str, Any]) -> int:
    """The approximate size of the item for the limits of items and transactions; never too small."""
    return sum(len(name) + _size(value) for name, value in item.items())


def _tagged(value: Any) -> dict[str, Any]:
    match value:
        case None:
            tagged: dict[str, Any] = {"NULL": True}
        case bool():
            tagged = {"BOOL": value}
        case int():
            tagged = {"N": str(value)}
        case str():
            tagged = {"S": value}
        case bytes():
            tagged = {"B": value}
        case list() | tuple():
            tagged = {"L": [_tagged(each) for each in value]}
        case _:
            tagged = {"M": to_wire(value)}
    return tagged


def _plain(tagged: Mapping[str, Any]) -> Any:
    [(tag, value)] = tagged.items()
    if tag == "N":
        return int(value)
    if tag == "L":
        return [_plain(each) for each in value]
    if tag == "M":
        return from_wire(value)
    return None if tag == "NULL" else value


def _size(value: Any) -> int:
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, list | tuple):
        return 3 + sum(1 + _size(each) for each in value)
    if isinstance(value, Mapping):
        return 3 + sum(1 + len(name) + _size(each) for name, each in value.items())
    return 21
