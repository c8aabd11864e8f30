"""The ids that the filters of an add name."""

from __future__ import annotations

from typing import Any

import pytest

from forgetless.domain.errors import FilterError
from forgetless.domain.filters.add_ids import ids_of_add
from forgetless.domain.scope import SCOPE_IDS

A = {"user_id": "a"}


@pytest.mark.parametrize(
    ("filters", "beside", "ids"),
    [
        (A, {}, A),
        ({"user_id": {"eq": "a"}}, {}, A),
        ({"user_id": 42}, {"user_id": "42"}, {"user_id": "42"}),
        ({"AND": [A, {"agent_id": "b", "run_id": None}]}, {}, {**A, "agent_id": "b"}),
        ({"AND": [A, {"app_id": "b"}], "run_id": "c"}, A, {**A, "app_id": "b", "run_id": "c"}),
        ({"AND": []}, A, A),
        ({"user_id": " jose\u0301 "}, {"user_id": "jos\u00e9"}, {"user_id": "jos\u00e9"}),
        ({"agent_id": "b"}, A, {**A, "agent_id": "b"}),
        ({"user_id": None}, {}, {}),
        ({"user_id": "*"}, {}, {"user_id": "*"}),  # what an id may contain is judged later
    ],
)
def test_equality_of_the_ids_flat_or_in_one_and(filters: Any, beside: Any, ids: Any) -> None:
    assert ids_of_add(filters, beside, SCOPE_IDS) == ids


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"OR": [A]}, "'OR'"),
        ({"NOT": A}, "'NOT'"),
        ({**A, "AND": [{"OR": [A]}]}, "'OR'"),
        ({"AND": [{"AND": [A]}]}, "one list of AND"),
        ({"AND": A}, "one list of AND"),
        ({"AND": ["a"]}, "one list of AND"),
        ({"user_id": {"in": ["a"]}}, "user_id"),
        ({"user_id": {"eq": "a", "ne": "b"}}, "user_id"),
        ({"user_id": ["a"]}, "user_id"),
        ({"user_id": True}, "user_id"),
        ({"user_id": 1.5}, "user_id"),
        ({**A, "topic": "food"}, "leave out 'topic'"),
        ({**A, "created_at": {"gte": "2026-01-01"}}, "leave out 'created_at'"),
        ({"AND": [A, {"user_id": "b"}]}, "user_id: filters name another one"),
        ({**A, "AND": [{"user_id": "b"}]}, "user_id: filters name another one"),
        ({"run_id": "s"}, "run_id: filters name another one"),
        ({"app_id": "x"}, "app_id is none of them"),
    ],
)
def test_anything_else_is_refused_and_named(filters: Any, said: str) -> None:
    with pytest.raises(FilterError, match=said):
        ids_of_add(filters, {"run_id": "r"}, ("user_id", "agent_id", "run_id"))
