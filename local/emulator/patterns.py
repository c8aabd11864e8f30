"""Patterns of EventBridge, of SNS filter policies and of event source filters: what they say of an event."""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["matches", "unknown_operators"]

_ABSENT = object()
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def matches(pattern: dict[str, Any], event: Any) -> bool:
    """Return whether an event has, for every key of the pattern, a value that the pattern allows."""
    if not isinstance(event, dict):
        return isinstance(event, list) and any(matches(pattern, item) for item in event)
    return all(_key_matches(key, wanted, event) for key, wanted in pattern.items())


def _key_matches(key: str, wanted: Any, event: dict[str, Any]) -> bool:
    if key == "$or":
        return any(matches(one, event) for one in wanted)
    if isinstance(wanted, dict):
        # A key below one that is absent is absent too, which `exists: false` asks for.
        return matches(wanted, event.get(key, {}))
    value = event.get(key, _ABSENT)
    values = value if isinstance(value, list) else [value]
    return any(_allows(rule, one) for rule in wanted for one in values or [_ABSENT])


def _allows(rule: Any, value: Any) -> bool:
    if isinstance(rule, dict):
        return all(
            _OPERATORS[name](argument, value) if name in _OPERATORS else False for name, argument in rule.items()
        )
    return _same(rule, value)


def _same(rule: Any, value: Any) -> bool:
    # True is 1 in Python, but not in JSON.
    return isinstance(rule, bool) == isinstance(value, bool) and bool(rule == value)


def _text(check: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    def allows(rule: Any, value: Any) -> bool:
        if isinstance(rule, dict):  # {"prefix": {"equals-ignore-case": "text"}}
            return isinstance(value, str) and check(str(rule.get("equals-ignore-case", "")).lower(), value.lower())
        return isinstance(value, str) and check(str(rule), value)

    return allows


def _anything_but(rule: Any, value: Any) -> bool:
    if value is _ABSENT:
        return False
    listed = rule if isinstance(rule, list) else [rule]
    if isinstance(rule, dict):
        name, argument = next(iter(rule.items()))
        listed = [{name: one} for one in (argument if isinstance(argument, list) else [argument])]
    return not any(_allows(one, value) for one in listed)


def _numeric(rule: list[Any], value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return all(_COMPARISONS[str(sign)](value, float(bound)) for sign, bound in zip(rule[::2], rule[1::2], strict=True))


def _cidr(rule: str, value: Any) -> bool:
    try:
        return ipaddress.ip_address(str(value)) in ipaddress.ip_network(rule)
    except ValueError:
        return False


def _wildcard(rule: str, value: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, rule.split("*"))), value, re.DOTALL) is not None


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "prefix": _text(lambda rule, value: value.startswith(rule)),
    "suffix": _text(lambda rule, value: value.endswith(rule)),
    "equals-ignore-case": _text(lambda rule, value: value.lower() == rule.lower()),
    "wildcard": _text(_wildcard),
    "anything-but": _anything_but,
    "numeric": _numeric,
    "cidr": _cidr,
    "exists": lambda rule, value: bool(rule) == (value is not _ABSENT),
}


def unknown_operators(pattern: Any) -> Iterator[str]:
    """Yield the operators of a pattern that are not known here: a rule with one matches nothing."""
    if isinstance(pattern, dict):
        for key, wanted in pattern.items():
            if isinstance(wanted, dict):
                yield from unknown_operators(wanted)
            elif key == "$or":
                for one in wanted:
                    yield from unknown_operators(one)
            else:
                rules = (rule for rule in wanted if isinstance(rule, dict))
                yield from (name for rule in rules for name in rule if name not in _OPERATORS)
