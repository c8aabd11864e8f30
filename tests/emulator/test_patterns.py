"""Patterns: what a filter of SNS, SQS or EventBridge lets through."""

from __future__ import annotations

from typing import Any

import pytest

from local.emulator.patterns import matches, unknown_operators
from tests.emulator.fidelity import documented, own


@pytest.mark.parametrize(
    ("pattern", "event", "expected"),
    [
        ({"a": ["x", "y"]}, {"a": "y"}, True),
        ({"a": ["x"]}, {"a": "z"}, False),
        ({"a": ["x"], "b": [1]}, {"a": "x", "b": 2}, False),
        ({"a": ["x"]}, {"a": ["q", "x"]}, True),
        ({"a": [1]}, {"a": True}, False),
        ({"a": [None]}, {"a": None}, True),
        ({"a": {"b": ["x"]}}, {"a": {"b": "x"}}, True),
        ({"a": {"b": ["x"]}}, {"a": [{"b": "y"}, {"b": "x"}]}, True),
        ({"a": [{"prefix": "im"}]}, {"a": "images"}, True),
        ({"a": [{"suffix": ".png"}]}, {"a": "x.jpg"}, False),
        ({"a": [{"equals-ignore-case": "AB"}]}, {"a": "ab"}, True),
        ({"a": [{"wildcard": "a*c"}]}, {"a": "abbc"}, True),
        ({"a": [{"anything-but": ["x", "y"]}]}, {"a": "z"}, True),
        ({"a": [{"anything-but": {"prefix": "x"}}]}, {"a": "xy"}, False),
        ({"a": [{"anything-but": "x"}]}, {}, False),
        ({"a": [{"numeric": [">", 0, "<=", 5]}]}, {"a": 5}, True),
        ({"a": [{"numeric": [">", 0, "<=", 5]}]}, {"a": "5"}, False),
        ({"a": [{"exists": False}]}, {}, True),
        ({"a": {"b": [{"exists": False}]}}, {}, True),
        ({"a": [{"exists": True}]}, {"a": None}, True),
        ({"a": [{"cidr": "10.0.0.0/24"}]}, {"a": "10.0.0.9"}, True),
        ({"$or": [{"a": [1]}, {"b": [2]}]}, {"b": 2}, True),
        ({"a": [{"unknown": 1}]}, {"a": 1}, False),
    ],
)
@documented("EventBridge: eb-create-pattern-operators")
def test_a_pattern_allows_what_each_of_its_keys_allows(pattern: dict[str, Any], event: Any, expected: bool) -> None:
    assert matches(pattern, event) is expected


@own("errors")
def test_operators_that_are_not_known_are_found_at_any_depth() -> None:
    pattern = {"a": {"b": [{"near": 1}, "x"]}, "$or": [{"c": [{"prefix": "p"}, {"like": "q"}]}]}
    assert list(unknown_operators(pattern)) == ["near", "like"]
