"""What DynamoDB bills for one call: sizes of items, read units and write units, by the rules of its documentation.

A write unit is 1 KB, a read unit 4 KB; a transaction's writes count double, an eventually consistent read half. What
the secondary index has to change is written there too, one unit for each KB, and never doubled.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["ITEM_OVERHEAD", "index_write_units", "item_size", "read_units", "stored_size", "write_units"]

#: What DynamoDB adds to the size of each stored item, and to each entry of an index.
ITEM_OVERHEAD = 100

_READ_BYTES, _WRITE_BYTES = 4096, 1024
_INDEX_KEYS = ("gsi1pk", "gsi1sk")
_TABLE_KEYS = ("pk", "sk")

Item = Mapping[str, Any]


def item_size(item: Item | None) -> int:
    """The bytes of an item in DynamoDB's own form (`{"pk": {"S": "a"}}`): names and values."""
    return sum(len(name.encode()) + _value_size(value) for name, value in (item or {}).items())


def read_units(sizes: Iterable[int], *, consistent: bool) -> float:
    """Units of single items, each rounded up by itself; a missing item has size 0 and is billed as a small one."""
    return sum(_rounded(size, _READ_BYTES) for size in sizes) * (1.0 if consistent else 0.5)


def write_units(old: Item | None, new: Item | None, *, transaction: bool) -> int:
    """Units of the table for one item that was `old` and is `new`; the larger one counts."""
    return _rounded(max(item_size(old), item_size(new)), _WRITE_BYTES) * (2 if transaction else 1)


def index_write_units(old: Item | None, new: Item | None) -> int:
    """Units of the index that holds keys only: an entry that appears, goes, or moves (which is both)."""
    before, after = _entry(old), _entry(new)
    return 0 if before == after else sum(_rounded(item_size(one), _WRITE_BYTES) for one in (before, after) if one)


def stored_size(item: Item | None) -> int:
    """The bytes for which an item and its entry in the index are billed every month."""
    entry = _entry(item)
    return (item_size(item) + ITEM_OVERHEAD if item else 0) + (item_size(entry) + ITEM_OVERHEAD if entry else 0)


def _entry(item: Item | None) -> dict[str, Any]:
    if not item or _INDEX_KEYS[0] not in item:
        return {}
    return {name: item[name] for name in (*_TABLE_KEYS, *_INDEX_KEYS) if name in item}


def _rounded(size: int, unit: int) -> int:
    return max(1, math.ceil(size / unit))


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, held),) = value.items()
    match kind:
        case "S":
            return len(held.encode("utf-8", "surrogatepass"))
        case "B":
            return len(held)
        case "N":
            return math.ceil(len(held.lstrip("-").replace(".", "")) / 2) + 1
        case "L":
            parts = sum(1 + _value_size(one) for one in held)
        case "M":
            parts = sum(1 + len(name.encode()) + _value_size(one) for name, one in held.items())
        case "SS" | "NS" | "BS":
            return sum(_value_size({kind[0]: one}) for one in held)
        case _:
            return 1  # BOOL, NULL
    return 3 + parts
