"""The Platform's filter language: what clients may write, what each refusal says, and what it means."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetless.domain.errors import FilterError
from forgetless.domain.filters.evaluate import evaluate
from forgetless.domain.filters.parse_platform import parse_moment, parse_platform_filter
from forgetless.domain.filters.scope_ids import named_entities, pinned_ids
from forgetless.domain.memory import Memory
from forgetless.domain.scope import Scope

MEMORY = Memory(
    id="m1",
    version=1,
    scope=Scope("t", user_id="alice", run_id="r"),
    text="Alice likes Green tea",
    created_at="2024-03-10T08:30:00.000000+00:00",
    updated_at="2024-03-11T00:00:00.000000+00:00",
    job_id="j",
    metadata={"topic": "drinks", "stars": 4, "tags": ["a", "b"]},
    categories=("Food", "misc"),
    expiration_date="2030-01-31",
)


def holds(raw: Any, memory: Memory = MEMORY) -> bool:
    return evaluate(parse_platform_filter(raw), memory)


MATCHES: list[dict[str, Any]] = [
    {"user_id": "alice"},
    {"user_id": {"eq": "alice"}},
    {"user_id": "*"},
    {"user_id": {"in": ["bob", "alice"]}},
    {"user_id": {"ne": "bob"}},
    {"agent_id": {"ne": "robot"}},  # ne matches where there is none
    {"user_id": "alice", "run_id": "r"},
    {"AND": [{"user_id": "alice"}], "OR": [{"run_id": "r"}, {"run_id": "x"}]},
    {"NOT": {"user_id": "bob"}},
    {"NOT": [{"user_id": "bob"}, {"run_id": "x"}]},
    {"OR": [{"user_id": "bob"}, {"AND": [{"NOT": {"agent_id": "*"}}, {"run_id": "r"}]}]},
    {"created_at": "2024-03-10"},
    {"created_at": {"gte": "2024-03-10", "lt": "2024-03-11"}},
    {"created_at": {"gt": "2024-03-10T08:29:59Z", "lte": "2024-03-10T09:30:00+01:00"}},
    {"created_at": {"in": ["2024-01-01", "2024-03-10"]}},
    {"created_at": {"ne": "2024-03-11"}},
    {"timestamp": {"gte": 1_710_000_000}},
    {"updated_at": "2024-03-11T00:00:00Z"},
    {"expiration_date": {"gte": "2030-01-31"}},
    {"expiration_date": "2030-01-31"},
    {"expiration_date": {"in": ["2030-01-31"]}},
    {"categories": {"in": ["Food", "x"]}},
    {"categories": {"contains": "food"}},
    {"categories": "*"},
    {"metadata": {"topic": "drinks", "stars": 4}},
    {"metadata": {"topic": {"ne": "food"}}},
    {"metadata": {"topic": {"contains": "rin"}}},
    {"metadata": {"tags": {"contains": "a"}}},
    {"metadata": {"nothing": {"ne": 1}}},
    {"metadata": {"topic": "*"}},
    {"keywords": {"contains": "Green"}},
    {"keywords": {"icontains": "GREEN"}},
    {"keywords": "green"},
    {"text": {"icontains": "likes"}},
    {"memory_ids": ["m1", "m2"]},
    {"memory_ids": {"in": ["m1"]}},
    {},
]


@pytest.mark.parametrize("raw", MATCHES)
def test_a_condition_that_holds(raw: dict[str, Any]) -> None:
    assert holds(raw)
    assert not holds({"NOT": raw})


@pytest.mark.parametrize(
    "raw",
    [
        {"AND": [{"user_id": "alice"}], "OR": [{"run_id": "x"}]},  # the Platform loses the OR
        {"user_id": {"in": []}},
        {"created_at": {"gt": "2024-03-10T09:00:00Z"}},
        {"created_at": "2024-03-09"},
        {"keywords": {"contains": "green"}},
        {"categories": {"in": ["food"]}},
        {"agent_id": "*"},
    ],
)
def test_a_condition_that_does_not_hold(raw: dict[str, Any]) -> None:
    assert not holds(raw)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"color": "red"}, "Top-level key must be a logical operator or an allowed field"),
        ({"user_id": {"nin": ["a"]}}, "unsupported operator 'nin'"),
        ({"user_id": {"in": "a"}}, "in needs a list"),
        ({"user_id": {"in": ["*"]}}, "stands alone"),
        ({"user_id": True}, "user_id must be text"),
        ({"user_id": None}, "user_id must be text"),
        ({"user_id": ""}, "not empty"),
        ({"user_id": {}}, "empty object"),
        ({"created_at": {"eq": "2024-01-01"}}, "unsupported operator 'eq'"),
        ({"created_at": {"gte": "yesterday"}}, "created_at must be Unix seconds or an ISO-8601"),
        ({"expiration_date": 5}, "expiration_date must be a date"),
        ({"categories": {"eq": "food"}}, "unsupported operator 'eq'"),
        ({"categories": {"ne": "food"}}, "unsupported operator 'ne'"),
        ({"categories": "food"}, "bare value"),
        ({"metadata": {"stars": {"gt": 3}}}, "metadata.stars: unsupported operator 'gt'"),
        ({"metadata": {"a": [1]}}, "nested values"),
        ({"metadata": "x"}, "metadata must be an object"),
        ({"OR": []}, "at least one condition"),
        ({"AND": {"user_id": "a"}}, "AND needs a list"),
        ({"AND": ["x"]}, "filters must be an object"),
        ([], "filters must be an object"),
        ({"memory_ids": "m"}, "needs a list"),
        ({"user_id": "a\nb"}, "control characters"),
    ],
)
def test_a_refusal_names_the_field_and_the_fix(raw: Any, said: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_platform_filter(raw)
    assert said in caught.value.message


def test_depth_and_size_are_limited() -> None:
    deep: dict[str, Any] = {"user_id": "a"}
    for _ in range(40):
        deep = {"NOT": deep}
    with pytest.raises(FilterError, match="nest deeper"):
        parse_platform_filter(deep)
    with pytest.raises(FilterError, match="more than"):
        parse_platform_filter({"OR": [{"user_id": str(number)} for number in range(500)]})


@pytest.mark.parametrize("value", [True, None, "2024-13-01", float("nan"), 10**20, [1]])
def test_what_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(FilterError, match="timestamp must be"):
        parse_moment("timestamp", value)


IDS = st.sampled_from(["alice", "bob", "r", "x"])
CONDITIONS = st.one_of(
    st.builds(lambda name, value: {name: value}, st.sampled_from(["user_id", "agent_id", "run_id"]), IDS),
    st.builds(lambda value: {"user_id": {"ne": value}}, IDS),
    st.builds(lambda values: {"run_id": {"in": values}}, st.lists(IDS, max_size=3)),
    st.builds(
        lambda op, day: {"created_at": {op: f"2024-03-{day:02}"}}, st.sampled_from(["gt", "lte"]), st.integers(8, 12)
    ),
    st.builds(lambda value: {"metadata": {"topic": value}}, st.sampled_from(["drinks", "food"])),
    st.just({"agent_id": "*"}),
)
FILTERS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    CONDITIONS,
    lambda inner: st.one_of(
        st.builds(lambda items: {"AND": items}, st.lists(inner, max_size=3)),
        st.builds(lambda items: {"OR": items}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda item: {"NOT": item}, inner),
        st.builds(lambda left, right, more: {"AND": [left], "OR": [right], **more}, inner, inner, CONDITIONS),
    ),
    max_leaves=8,
)
MEMORIES = st.builds(
    lambda user, agent, run, day, topic: replace(
        MEMORY,
        scope=Scope("t", user_id=user, agent_id=agent, run_id=run),
        created_at=f"2024-03-{day:02}T00:00:00.000000+00:00",
        metadata=topic,
    ),
    st.sampled_from(["", "alice", "bob"]),
    st.sampled_from(["", "x"]),
    st.sampled_from(["", "r"]),
    st.integers(8, 12),
    st.sampled_from([{}, {"topic": "drinks"}, {"topic": "food"}]),
)


def meant(raw: dict[str, Any], memory: Memory) -> bool:
    """The meaning by the words of the documentation, on the raw JSON and without the AST."""
    return all(_means(key, value, memory) for key, value in raw.items())


def _means(key: str, value: Any, memory: Memory) -> bool:
    if key == "AND":
        return all(meant(item, memory) for item in value)
    if key == "OR":
        return any(meant(item, memory) for item in value)
    if key == "NOT":
        return not meant(value, memory)
    if key == "metadata":
        return all(memory.metadata.get(name) == one for name, one in value.items())
    found = memory.created_at[:10] if key == "created_at" else getattr(memory.scope, key) or None
    if not isinstance(value, dict):
        return found is not None if value == "*" else found == value
    ((operator, operand),) = value.items()
    compare = {"ne": found != operand, "in": isinstance(operand, list) and found in operand}
    if key == "created_at":  # at midnight in these memories
        return bool(found > operand if operator == "gt" else found <= operand)
    return bool(compare[operator])


@given(raw=FILTERS, memory=MEMORIES)
def test_the_compiled_filter_means_what_the_words_say(raw: dict[str, Any], memory: Memory) -> None:
    assert holds(raw, memory) == meant(raw, memory)


@given(raw=FILTERS, memory=MEMORIES)
def test_whatever_matches_has_the_pinned_ids(raw: dict[str, Any], memory: Memory) -> None:
    where = parse_platform_filter(raw)
    if evaluate(where, memory):
        assert pinned_ids(where).items() <= memory.scope.ids().items()


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ({"OR": [{"user_id": "a"}, {"run_id": "*"}]}, 2),
        ({"NOT": {"user_id": "a"}}, 0),
        ({"user_id": {"ne": "a"}}, 0),
        ({"user_id": {"in": []}}, 0),
        ({"metadata": {"user_id": "a"}}, 0),
        ({"AND": [{"app_id": {"in": ["a"]}}]}, 1),
    ],
)
def test_only_positive_conditions_name_somebody(raw: dict[str, Any], named: int) -> None:
    assert len(list(named_entities(parse_platform_filter(raw)))) == named
