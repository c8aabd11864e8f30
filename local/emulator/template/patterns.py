"""Patterns of filters, as Lambda and EventBridge write them: which events fit one."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from typing import Any

from local.emulator.specs import NotHereError, Pattern, TemplateError

#: Whether one value fits; a key that is absent has the value `_ABSENT`.
_Test = Callable[[Any], bool]
_ABSENT = object()
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def parse_pattern(text: Any) -> Pattern:
    """Return the test of a pattern, which is a JSON text.

    Raises:
        TemplateError: it is no pattern.
        NotHereError: it has an operator that is not emulated.
    """
    try:
        pattern = json.loads(text)
    except (TypeError, ValueError) as error:
        raise TemplateError(f"the Pattern {text} is not JSON: {error}") from error
    if not isinstance(pattern, dict):
        raise TemplateError(f"the Pattern {text} must be a mapping in JSON")
    return _mapping(pattern)


def _mapping(pattern: dict[str, Any]) -> Pattern:
    """Return the test that every key of a pattern fits."""
    tests = [(key, _field(rule)) for key, rule in pattern.items() if key != "$or"]
    either = [_mapping(one) for one in pattern.get("$or", [])]

    def fits(event: Any) -> bool:
        if isinstance(event, list):
            return any(fits(item) for item in event)
        if not isinstance(event, dict) and event is not _ABSENT:
            return False
        values = event if isinstance(event, dict) else {}
        every = all(test(values.get(key, _ABSENT)) for key, test in tests)
        return every and (not either or any(one(values) for one in either))

    return fits


def _field(rule: Any) -> _Test:
    if isinstance(rule, dict):
        return _mapping(rule)
    if not isinstance(rule, list):
        raise TemplateError(f"a pattern holds a list of what a value may be, not {json.dumps(rule)}")
    tests = [_one(item) for item in rule]
    # Of a list in the event, one item must fit.
    return lambda value: any(test(item) for item in _each(value) for test in tests)


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) and value else [value]


def _one(rule: Any) -> _Test:
    """Return the test of one alternative: a plain value, or an operator."""
    if not isinstance(rule, dict):
        return lambda value: _equal(value, rule)
    if len(rule) != 1:
        raise TemplateError(f"a rule of a pattern has one operator, not {json.dumps(rule)}")
    name, argument = next(iter(rule.items()))
    try:
        return _OPERATORS[name](argument)
    except KeyError:
        raise NotHereError(f"the operator {name} of patterns is not emulated") from None


def _equal(value: Any, wanted: Any) -> bool:
    """Compare as JSON does: true is not 1."""
    return bool(value == wanted) and isinstance(value, bool) == isinstance(wanted, bool)


def _exists(wanted: bool) -> _Test:
    return lambda value: (value is not _ABSENT) == wanted


def _text(test: Callable[[str, str], bool]) -> Callable[[Any], _Test]:
    return lambda argument: lambda value: isinstance(value, str) and test(value, str(argument))


def _anything_but(argument: Any) -> _Test:
    tests = [_one(item) for item in (argument if isinstance(argument, list) else [argument])]
    return lambda value: value is not _ABSENT and not any(test(value) for test in tests)


def _numeric(argument: list[Any]) -> _Test:
    pairs = [(_COMPARISONS[sign], float(number)) for sign, number in zip(argument[::2], argument[1::2], strict=True)]

    def fits(value: Any) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and all(compare(value, number) for compare, number in pairs)

    return fits


_OPERATORS: dict[str, Callable[[Any], _Test]] = {
    "exists": _exists,
    "prefix": _text(str.startswith),
    "suffix": _text(str.endswith),
    "equals-ignore-case": _text(lambda value, wanted: value.lower() == wanted.lower()),
    "anything-but": _anything_but,
    "numeric": _numeric,
}
