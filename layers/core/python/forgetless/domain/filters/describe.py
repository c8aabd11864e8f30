"""Which conditions of a filter a memory fails, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from forgetless.domain.filters.ast import And, Compare, Filter, Not, Operator, Or
from forgetless.domain.filters.evaluate import evaluate, value_of
from forgetless.domain.memory import Memory

__all__ = ["failed_conditions"]

#: A value that is longer than this is cut, because the words are read by people.
_MOST_CHARS = 80
#: So many conditions are named at most.
_MOST_NAMED = 10

_WORDS = {
    Operator.EQ: "be",
    Operator.NE: "not be",
    Operator.GT: "be greater than",
    Operator.GTE: "be at least",
    Operator.LT: "be less than",
    Operator.LTE: "be at most",
    Operator.IN: "be one of",
    Operator.NIN: "be none of",
    Operator.CONTAINS: "contain",
    Operator.ICONTAINS: "contain, whatever the case,",
}


def failed_conditions(where: Filter, memory: Memory) -> list[str]:
    """The conditions that must hold together and of which the memory fails each; empty if it matches the filter."""
    return [text for text, _ in zip(_failed(where, memory), range(_MOST_NAMED), strict=False)]


def _failed(where: Filter, memory: Memory) -> Iterator[str]:
    match where:
        case And(items):
            for item in items:
                yield from _failed(item, memory)
        case _ if evaluate(where, memory):
            return
        case Compare(field, operator, value):
            wanted = "exist" if operator is Operator.EXISTS else f"{_WORDS[operator]} {_shown(value)}"
            yield f"{field.name} must {wanted}, and is {_shown(value_of(field, memory))}"
        case Or(items):
            options = " or ".join(" and ".join(failed_conditions(item, memory)) for item in items)
            yield f"one of these must hold: {options}" if options else "an empty OR matches nothing"
        case Not(item):
            yield f"NOT: it must not match {_condition(item)}"


def _condition(where: Filter) -> str:
    match where:
        case Compare(field, operator, value):
            words = "exists" if operator is Operator.EXISTS else f"{operator.value} {_shown(value)}"
            return f"{field.name} {words}"
        case And(items):
            return "(" + " and ".join(map(_condition, items[:_MOST_NAMED])) + ")"
        case Or(items):
            return "(" + " or ".join(map(_condition, items[:_MOST_NAMED])) + ")"
        case Not(item):
            return f"not {_condition(item)}"


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "absent"
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False, default=str)
    return text if len(text) <= _MOST_CHARS else text[: _MOST_CHARS - 1] + "…"
