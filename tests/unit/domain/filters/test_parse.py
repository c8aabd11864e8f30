"""The filter grammar: what clients may write, and what each refusal says."""

from __future__ import annotations

from typing import Any

import pytest

from forgetless.domain.errors import FilterError
from forgetless.domain.filters.ast import EVERYTHING, And, Compare, Field, Not, Operator, Or
from forgetless.domain.filters.parse import parse_filter
from forgetless.domain.filters.parse_common import MAX_CONDITIONS, MAX_DEPTH, MAX_LIST_VALUES

USER, K = Field("user_id"), Field("k", metadata=True)
ALICE, ONE = Compare(USER, Operator.EQ, "alice"), Compare(K, Operator.EQ, 1)


@pytest.mark.parametrize(
    ("raw", "parsed"),
    [
        ({}, EVERYTHING),
        ({"user_id": "alice"}, ALICE),
        ({"user_id": "alice", "k": 1}, And((ALICE, ONE))),
        ({"user_id": {"eq": "*"}}, Compare(USER, Operator.EQ, "*")),
        ({"user_id": "*"}, Compare(USER, Operator.EXISTS)),
        ({"k": None}, Compare(K, Operator.EQ, None)),
        ({"k": {"gte": 1, "lt": 2}}, And((Compare(K, Operator.GTE, 1), Compare(K, Operator.LT, 2)))),
        ({"k": {"in": [1, "a", None]}}, Compare(K, Operator.IN, (1, "a", None))),
        ({"k": {"nin": []}}, Compare(K, Operator.NIN, ())),
        ({"k": {"icontains": "A"}}, Compare(K, Operator.ICONTAINS, "A")),
        ({"AND": [{"user_id": "alice"}, {"k": 1}]}, And((ALICE, ONE))),
        ({"OR": [{"user_id": "alice"}, {"AND": [{"k": 1}]}]}, Or((ALICE, And((ONE,))))),
        ({"NOT": {"user_id": "alice", "k": 1}}, Not(And((ALICE, ONE)))),
        ({"NOT": [{"user_id": "alice"}, {"k": 1}]}, Not(Or((ALICE, ONE)))),
        ({"metadata": {"k": 1}}, ONE),
        ({"metadata": {"user_id": {"ne": 5}}}, Compare(Field("user_id", metadata=True), Operator.NE, 5)),
        ({"metadata": "x"}, Compare(Field("metadata", metadata=True), Operator.EQ, "x")),
        ({"AND": []}, EVERYTHING),
    ],
)
def test_the_grammar_in_full(raw: dict[str, Any], parsed: object) -> None:
    assert parse_filter(raw) == parsed


@pytest.mark.parametrize(
    ("field", "written", "compared"),
    [
        ("created_at", "2026-01-31", "2026-01-31T00:00:00.000000+00:00"),
        ("created_at", "2026-01-31T01:00:00+01:00", "2026-01-31T00:00:00.000000+00:00"),
        ("updated_at", "2026-01-31T00:00:00Z", "2026-01-31T00:00:00.000000+00:00"),
        ("expiration_date", "2026-01-31", "2026-01-31"),
        ("expiration_date", "2026-01-31T23:30:00-01:00", "2026-02-01"),
    ],
)
def test_times_are_compared_in_one_form(field: str, written: str, compared: str) -> None:
    assert parse_filter({field: {"gte": written}}) == Compare(Field(field), Operator.GTE, compared)
    assert parse_filter({field: {"in": [written]}}) == Compare(Field(field), Operator.IN, (compared,))


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ([], "must be an object.*not a list"),
        ({"k": {"regex": "a"}}, "k: unknown operator 'regex'; use one of eq, ne, gt"),
        ({"k": {"exists": True}}, "unknown operator 'exists'"),
        ({"k": {}}, "k: an empty object"),
        ({"k": [1, 2]}, "k: the value must not be a list.*in"),
        ({"k": {"eq": [1]}}, "k: eq compares with.*not a list"),
        ({"k": {"eq": {"a": 1}}}, "not an object"),
        ({"k": {"in": "abc"}}, "k: in needs a list, not text"),
        ({"k": {"nin": None}}, "k: nin needs a list, not null"),
        ({"k": {"in": [[1]]}}, "k: eq compares with"),
        ({"k": {"in": [0] * (MAX_LIST_VALUES + 1)}}, f"at most {MAX_LIST_VALUES} values"),
        ({"k": {"gt": True}}, "k: gt needs text or a number, not true or false"),
        ({"k": {"lte": None}}, "k: lte needs text or a number, not null"),
        ({"k": {"contains": None}}, "k: contains needs a value"),
        ({"k": {"icontains": 1}}, "k: icontains needs text, not a number"),
        ({"k": float("nan")}, "k: numbers must be finite"),
        ({"k": {"lt": float("inf")}}, "k: numbers must be finite"),
        ({"k": 2**63}, "k: whole numbers must lie within 64 bits"),
        ({"k": -(2**63) - 1}, "64 bits"),
        ({"user_id": 5.5}, "user_id is text.*not with a number"),
        ({"user_id": "a\nb"}, "user_id must not contain control characters"),
        ({"run_id": {"in": ["a", "\ud800"]}}, "run_id must not contain control characters"),
        ({"created_at": "yesterday"}, "created_at: 'yesterday' is not an ISO-8601"),
        ({"created_at": 1700000000}, "created_at is text"),
        ({"expiration_date": {"lt": "2026-13-01"}}, "expiration_date: '2026-13-01' is no"),
        ({"updated_at": {"contains": "2026"}}, "updated_at is a time"),
        ({"AND": {"k": 1}}, "AND needs a list.*not an object"),
        ({"OR": "x"}, "OR needs a list"),
        ({"OR": []}, "OR needs at least one"),
        ({"NOT": []}, "NOT needs at least one"),
        ({"NOT": "x"}, "NOT needs a list"),
        ({"AND": ["x"]}, "must be an object.*not text"),
        ({1: 2}, "keys must be text"),
        ({f"k{n}": n for n in range(MAX_CONDITIONS + 1)}, f"more than {MAX_CONDITIONS} conditions"),
    ],
)
def test_whatever_is_outside_the_grammar_is_named(raw: Any, says: str) -> None:
    with pytest.raises(FilterError, match=says):
        parse_filter(raw)


def test_control_characters_are_fine_in_values_of_metadata() -> None:
    assert parse_filter({"k": "a\nb"}) == Compare(K, Operator.EQ, "a\nb")


def test_nesting_ends_at_a_depth_that_the_error_names() -> None:
    raw: dict[str, Any] = {"k": 1}
    for _ in range(MAX_DEPTH - 1):
        raw = {"NOT": raw}
    parse_filter(raw)
    with pytest.raises(FilterError, match=f"deeper than {MAX_DEPTH}"):
        parse_filter({"NOT": raw})
