"""What both filter languages share: AND, OR and NOT around conditions, the limits, and the checks of texts.

The languages differ in their conditions and in the wording of their errors; see parse.py and parse_platform.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from forgetless.domain.errors import FilterError
from forgetless.domain.filters.ast import And, Filter, Not, Operator, Or
from forgetless.domain.times import timestamp

__all__ = [
    "LOGIC",
    "MAX_CONDITIONS",
    "MAX_DEPTH",
    "MAX_LIST_VALUES",
    "ORDER",
    "TOO_DEEP",
    "FilterParser",
    "Wording",
    "check_printable",
    "read_iso_time",
]

#: How deeply AND, OR and NOT may nest.
MAX_DEPTH = 16
#: The message about a filter that nests deeper, in all dialects.
TOO_DEEP = f"filters nest deeper than {MAX_DEPTH} levels of AND, OR and NOT; flatten them"
#: How many conditions one filter may have.
MAX_CONDITIONS = 400
#: How many values one `in` or `nin` may list.
MAX_LIST_VALUES = 1000

LOGIC = ("AND", "OR", "NOT")
#: The operators that compare by order.
ORDER = (Operator.GT, Operator.GTE, Operator.LT, Operator.LTE)


@dataclass(frozen=True, slots=True)
class Wording:
    """How a language's error messages are worded."""

    no_object: Callable[[Any], str]
    too_many: str
    #: The text after "AND needs a list of conditions".
    no_list: Callable[[Any], str]
    #: The Python types in which JSON lists arrive.
    lists: tuple[type[Sequence[Any]], ...] = (list,)


class FilterParser(ABC):
    """Parses one filter. A language defines in `conditions` what a key other than AND, OR and NOT means."""

    def __init__(self, wording: Wording) -> None:
        self._wording = wording
        self._conditions = 0

    @abstractmethod
    def conditions(self, key: Any, value: Any) -> Sequence[Filter]:
        """The conditions of one key, all of which must hold. Counts each of them. Raises FilterError."""

    def group(self, raw: Any, *, depth: int = 1) -> Filter:
        """The AST of an object, all of whose keys must hold. Raises FilterError, which names the key and the fix."""
        if not isinstance(raw, Mapping):
            raise FilterError(self._wording.no_object(raw))
        if depth > MAX_DEPTH:
            raise FilterError(TOO_DEEP)
        items: list[Filter] = []
        for key, value in raw.items():
            items.extend([self._logic(key, value, depth)] if key in LOGIC else self.conditions(key, value))
        return items[0] if len(items) == 1 else And(tuple(items))

    def count(self, number: int = 1) -> None:
        """Count conditions; raises FilterError when there are too many."""
        self._conditions += number
        if self._conditions > MAX_CONDITIONS:
            raise FilterError(self._wording.too_many)

    def _logic(self, key: str, value: Any, depth: int) -> Filter:
        if key == "NOT" and isinstance(value, Mapping):
            return Not(self.group(value, depth=depth + 1))
        if not isinstance(value, self._wording.lists):
            raise FilterError(f"{key} needs a list of conditions{self._wording.no_list(value)}")
        if not value and key != "AND":
            raise FilterError(f"{key} needs at least one condition")
        items = tuple(self.group(item, depth=depth + 1) for item in value)
        if key == "AND":
            return And(items)
        return Or(items) if key == "OR" else Not(Or(items))


def check_printable(name: str, value: str) -> str:
    """The text itself; raises FilterError when it contains control characters or lone surrogates."""
    if any(ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) <= 0xDFFF for char in value):
        raise FilterError(f"{name} must not contain control characters")
    return value


def read_iso_time(value: str) -> str:
    """The timestamp of an ISO-8601 date or time, in UTC when it has no offset; raises ValueError or OverflowError."""
    moment = datetime.fromisoformat(value)
    return timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
