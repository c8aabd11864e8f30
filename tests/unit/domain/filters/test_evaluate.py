"""The meaning of filters, on one memory at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetless.domain.filters.ast import Not
from forgetless.domain.filters.evaluate import Matcher, evaluate
from forgetless.domain.filters.parse import parse_filter
from forgetless.domain.memory import Memory, text_hash
from forgetless.domain.scope import Scope

AT = "2026-01-02T03:04:05.000006+00:00"
MEMORY = Memory(
    id="m1",
    version=1,
    scope=Scope("acme", user_id="alice", run_id="r1"),
    text="Alice likes tea",
    created_at=AT,
    updated_at=AT,
    job_id="j1",
    role="user",
    categories=("food", "Habits"),
    expiration_date="2026-06-30",
    metadata={
        "text": "Green Tea",
        "one": 1,
        "half": 0.5,
        "yes": True,
        "none": None,
        "list": ["a", 1, True],
        "object": {"x": 1},
        "user_id": "shadow",
        "empty": "",
    },
)


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"id": "m1", "user_id": "alice", "role": "user", "hash": text_hash("Alice likes tea")},
        {"user_id": {"in": ["bob", "alice"]}},
        {"metadata": {"user_id": "shadow"}},
        {"user_id": "*", "run_id": "*", "text": "*"},
        {"agent_id": None, "missing": None, "none": None},
        {"agent_id": {"ne": "x"}, "missing": {"ne": 1}, "none": {"nin": [1]}},
        {"agent_id": {"in": [None, "x"]}},
        {"text": {"ne": None}},
        {"empty": ""},
        {"one": 1.0, "half": {"gt": 0, "lt": 1}},
        {"one": {"in": [1.0]}},
        {"text": {"gt": "Green", "lt": "H"}},
        {"text": {"contains": "Tea"}},
        {"text": {"icontains": "TEA"}},
        {"list": {"contains": "a"}},
        {"list": {"icontains": "A"}},
        {"list": {"ne": "a"}},
        {"categories": "food"},
        {"categories": {"in": ["travel", "food"]}},
        {"categories": {"contains": "Habits"}},
        {"categories": {"icontains": "habits"}},
        {"categories": {"nin": ["travel"]}},
        {"created_at": {"gte": "2026-01-02", "lt": "2026-01-03T00:00:00Z"}},
        {"created_at": "2026-01-02T04:04:05.000006+01:00"},
        {"expiration_date": {"gte": "2026-06-30"}},
        {"OR": [{"user_id": "bob"}, {"NOT": [{"user_id": "bob"}, {"missing": 1}]}]},
        {"one": {"nin": []}},
    ],
)
def test_matches(raw: dict[str, Any]) -> None:
    assert evaluate(parse_filter(raw), MEMORY)


@pytest.mark.parametrize(
    "raw",
    [
        {"user_id": "bob"},
        {"user_id": {"eq": "*"}},
        {"agent_id": "*"},
        {"agent_id": ""},
        {"missing": "*"},
        {"none": "*"},
        {"yes": 1},
        {"one": True},
        {"one": "1"},
        {"yes": {"gt": 0}},
        {"one": {"gt": "0"}},
        {"text": {"gt": 0}},
        {"missing": {"lt": 5}},
        {"one": {"in": []}},
        {"one": {"in": ["1", True]}},
        {"text": {"contains": "tea"}},
        {"one": {"contains": 1}},
        {"list": {"contains": "1"}},
        {"list": "a"},
        {"object": {"contains": "x"}},
        {"categories": "habits"},
        {"categories": {"ne": "food"}},
        {"actor_id": {"contains": ""}},
        {"user_id": "alice", "one": 2},
        {"NOT": {"user_id": "alice"}},
        {"NOT": [{"user_id": "alice"}, {"user_id": "bob"}]},
        {"created_at": {"gt": "2026-01-03"}},
    ],
)
def test_does_not_match(raw: dict[str, Any]) -> None:
    assert not evaluate(parse_filter(raw), MEMORY)


@given(
    st.sampled_from(["text", "one", "list", "missing", "user_id", "categories"]),
    st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=3),
)
def test_ne_nin_and_not_are_exact_complements(name: str, value: str) -> None:
    equal = parse_filter({name: {"eq": value}})
    for complement in (parse_filter({name: {"ne": value}}), parse_filter({name: {"nin": [value]}}), Not(equal)):
        assert evaluate(complement, MEMORY) is not evaluate(equal, MEMORY)


def test_each_condition_is_a_step_for_each_memory_and_so_are_a_thousand_characters() -> None:
    few, many = (Matcher(parse_filter({"OR": [{f"k{n}": "x"} for n in range(size)]})) for size in (10, 300))
    for _ in range(5):
        assert not few(MEMORY)
        assert not many(MEMORY)
    assert many.steps - few.steps == 5 * 290
    long = replace(MEMORY, metadata={"text": "a" * 50_000})
    plain, folded = (Matcher(parse_filter({"OR": [{"text": {op: "b"}}] * 20})) for op in ("contains", "icontains"))
    assert not plain(long)
    assert not folded(long)
    assert 20 * 50 <= plain.steps < 20 * 50 + 50
    # Without differences of case it is made once, however many conditions ask for it.
    assert folded.steps == plain.steps + 50


def test_a_list_of_any_length_is_one_step() -> None:
    matches = Matcher(parse_filter({"one": {"in": list(range(1000))}}))
    assert matches(MEMORY)
    assert matches.steps < 10


def test_a_filter_is_exhausted_when_it_has_taken_all_steps_of_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forgetless.domain.filters.evaluate.MOST_FILTER_STEPS", 25)
    matches = Matcher(parse_filter({"OR": [{f"k{n}": "x"} for n in range(9)]}))
    matches(MEMORY)
    matches(MEMORY)
    assert not matches.exhausted
    matches(MEMORY)
    assert matches.exhausted
