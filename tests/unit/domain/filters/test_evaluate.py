"""The meaning of filters, on one memory at a time."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.filters.ast import Not
from forgetless.domain.filters.evaluate import Matcher, evaluate
from forgetless.domain.filters.parse import parse_filter
from forgetless.domain.heavy_work import HEAVY_WORK
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


def test_each_condition_is_a_step_for_each_memory() -> None:
    few, many = (Matcher(parse_filter({"OR": [{f"k{n}": "x"} for n in range(size)]})) for size in (10, 300))
    for _ in range(5):
        assert not few(MEMORY)
        assert not many(MEMORY)
    assert many.steps - few.steps == 5 * 290


def searched(text: object, operator: str, *words: object) -> int:
    """The steps of conditions that search a text or a list, without those of the conditions themselves."""
    matches = Matcher(parse_filter({"OR": [{"k": {operator: word}} for word in words]}))
    assert not matches(replace(MEMORY, metadata={"k": "" if isinstance(text, str) else []}))
    before = matches.steps
    assert not matches(replace(MEMORY, metadata={"k": text}))
    return matches.steps - 2 * before


def test_what_is_searched_counts_by_its_length_and_short_texts_by_that_of_the_word_too() -> None:
    assert searched("a" * 50_000, "contains", *["b"] * 20) == 20 * 200
    # Without differences of case it is made once, however many conditions ask for it.
    assert searched("a" * 50_000, "icontains", *["b"] * 20) == 20 * 200 + 200
    # CPython compares each character with each of the word, in texts up to some length.
    assert searched("a" * 20_000, "contains", "a" * 40 + "b") == 80 + 205
    assert searched("a" * 20_000, "contains", "a" * 200 + "b") == 80
    assert searched("a" * 2000, "contains", "a" * 999 + "b") == 8 + 500


def test_a_list_is_walked_once_whatever_is_looked_for_in_it() -> None:
    ones = [1] * 32_000
    assert searched(ones, "contains", 5) == searched(ones, "contains", *range(2, 400)) == 6400
    assert searched(ones, "icontains", *["x"] * 100) == 2 * 6400, "once folded, once sorted out"


def test_categories_count_by_their_number() -> None:
    many = replace(MEMORY, categories=tuple(map(str, range(1000))))
    for condition in ({"ne": "x"}, {"in": ["x", "y"]}, {"eq": "x"}, {"nin": ["x"]}):
        matches = Matcher(parse_filter({"AND": [{"categories": condition}] * 2}))
        matches(many)
        assert matches.steps >= 200


@pytest.mark.parametrize("entry", ["a", "A", "1", 1, 1.0, 0, 0.5, True, False, None, [], {}, ["a"], {"a": 1}])
def test_an_entry_of_a_list_is_compared_as_a_value_alone_is(entry: object) -> None:
    alone, within = (replace(MEMORY, metadata={"k": value}) for value in (entry, [entry, [9], {"x": 9}]))
    for value in ("a", "1", 1, 1.0, 0, 0.5, True, False):
        equal = evaluate(parse_filter({"k": {"eq": value}}), alone)
        assert evaluate(parse_filter({"k": {"contains": value}}), within) is equal


def test_a_filter_that_has_cost_much_waits_for_others_that_do_and_light_ones_do_not() -> None:
    """Thirty threads that work at once would hold up everybody at each step."""
    light, heavy = (Matcher(parse_filter({"OR": [{f"k{n}": "x"} for n in range(300)]})) for _ in range(2))
    while heavy.steps < 30_000:
        heavy(MEMORY)
    judged = threading.Event()

    def judge() -> None:
        heavy(MEMORY)
        judged.set()

    thread = threading.Thread(target=judge)
    with HEAVY_WORK.of_owner(may_fail=False):
        thread.start()
        assert not light(MEMORY)
        assert not judged.wait(0.2)
    thread.join(10)
    assert judged.is_set()


def test_one_memory_costs_no_more_than_a_request_may_spend() -> None:
    """Many conditions on one long text, such as an import may have."""
    long = replace(MEMORY, metadata={"k": "a" * 4_000_000})
    matches = Matcher(parse_filter({"OR": [{"k": {"contains": f"b{n}"}} for n in range(390)]}))
    with pytest.raises(InvalidRequestError, match=r"^filters: .*one of the memories"):
        matches(long)
    assert matches.exhausted
    assert not matches(MEMORY), "what each of the others costs is judged by itself"


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
