"""The filter compiler without a Milvus: the expressions that it sends, and those that it never sends."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetless.adapters.index_milvus.bm25_words import MAX_WORDS_BYTES, Bm25Words
from forgetless.adapters.index_milvus.compiler import compile_filter, lit
from forgetless.adapters.index_milvus.rows import key_text
from forgetless.domain.filters.ast import EVERYTHING, And, Compare, Field, Filter, Operator, Or
from forgetless.domain.filters.parse import parse_filter
from forgetless.domain.key_limits import KeyLimits

T = 'tenant == "acme"'


def compiled(raw: dict[str, Any]) -> str:
    return compile_filter(parse_filter(raw), "acme")


@pytest.mark.parametrize(
    ("raw", "expression"),
    [
        ({}, T),
        ({"user_id": "alice"}, f'{T} and user_id == "alice"'),
        ({"id": {"in": ["a", "b", "a"]}}, f'{T} and memory_id in ["a", "b"]'),
        ({"user_id": {"ne": "a"}}, f'{T} and user_id != "a"'),
        ({"NOT": {"user_id": "a", "run_id": "b"}}, f'{T} and (user_id != "a" or run_id != "b")'),
        ({"NOT": [{"user_id": "a"}, {"run_id": "b"}]}, f'{T} and (user_id != "a" and run_id != "b")'),
        ({"user_id": None}, f'{T} and user_id == ""'),
        ({"user_id": "*"}, f'{T} and user_id != ""'),
        ({"user_id": {"in": []}}, f"{T} and version < 0"),
        ({"user_id": {"eq": ""}}, f"{T} and version < 0"),
        ({"user_id": {"nin": []}}, T),
        (
            {"expiration_date": {"gte": "2026-01-01"}},
            f'{T} and (expiration_date != "" and expiration_date >= "2026-01-01")',
        ),
        (
            {"NOT": {"expiration_date": {"gte": "2026-01-01"}}},
            f'{T} and (expiration_date == "" or expiration_date < "2026-01-01")',
        ),
    ],
)
def test_what_milvus_expresses_is_sent(raw: dict[str, Any], expression: str) -> None:
    assert compiled(raw) == expression


@pytest.mark.parametrize(
    ("raw", "expression"),
    [
        ({"k": 1}, f'{T} and (complete == false or metadata["k"] == 1)'),
        ({"k": {"gt": 0.5}}, f'{T} and (complete == false or metadata["k"] > 0.5)'),
        ({"k": True}, f'{T} and (complete == false or metadata["k"] == true)'),
        ({'q"': "\\"}, f'{T} and (complete == false or metadata["q\\""] == "\\\\")'),
        ({"categories": "food"}, f'{T} and (complete == false or array_contains_any(categories, ["food"]))'),
        ({"k": {"ne": 1}}, T),
        ({"k": "*"}, T),
        ({"k": None}, T),
        ({"k": "a\nb"}, T),
        ({"a[0]": 1}, T),
        ({"k": -(2**63)}, T),
        ({"k": {"contains": "%"}}, T),
        ({"user_id": {"contains": "a"}}, T),
        ({"user_id": "a", "k": {"ne": 1}}, f'{T} and user_id == "a"'),
        ({"OR": [{"user_id": "a"}, {"k": {"ne": 1}}]}, T),
        ({"NOT": {"OR": [{"user_id": "a"}, {"k": 1}]}}, f'{T} and user_id != "a"'),
    ],
)
def test_what_it_cannot_express_is_left_out(raw: dict[str, Any], expression: str) -> None:
    assert compiled(raw) == expression


def test_an_expression_stays_shallow_however_many_conditions_it_has() -> None:
    expression = compiled({"OR": [{"user_id": f"u{n}"} for n in range(400)]})
    depth = most = 0
    for sign in re.sub(r'"[^"]*"', "", expression):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        most = max(most, depth)
    assert most <= 10


@given(st.text())
def test_a_literal_is_closed_by_its_own_quote_only(text: str) -> None:
    try:
        literal = lit(text)
    except ValueError:
        assert not text.isprintable()
        return
    assert re.fullmatch(r'"(?:[^"\\]|\\["\\])*"', literal)
    assert re.sub(r"\\(.)", r"\1", literal[1:-1]) == text


@given(st.text(), st.text())
def test_a_tenant_or_an_id_of_any_letters_is_compiled_as_data(tenant: str, user: str) -> None:
    expression = compile_filter(Compare(Field("user_id"), Operator.NE, user), tenant)
    assert expression.startswith(f"tenant == {lit(key_text(tenant))} and user_id != ") or not user
    assert compile_filter(EVERYTHING, tenant) == f"tenant == {lit(key_text(tenant))}"


@given(st.text(max_size=300), st.text(max_size=300))
def test_different_ids_stay_different_in_the_index(one: str, other: str) -> None:
    assert (key_text(one) == key_text(other)) is (one == other)
    assert len(key_text(one).encode()) <= 256


def test_words_are_cut_between_words_at_the_end_of_a_varchar() -> None:
    words = str(Bm25Words().query("nước " * 20_000))
    assert MAX_WORDS_BYTES - 10 < len(words.encode()) <= MAX_WORDS_BYTES
    assert set(words.split()) == {"nước"}


@pytest.mark.parametrize("operator", [Operator.EQ, Operator.EXISTS, Operator.ICONTAINS])
def test_conditions_on_the_text_are_left_to_the_evaluator(operator: Operator) -> None:
    where = Compare(Field("text"), operator, None if operator is Operator.EXISTS else "tea")
    assert compile_filter(where, "t") == compile_filter(And(()), "t")


def test_a_long_filter_does_not_cost_the_limits_of_a_key() -> None:
    limits = KeyLimits(("anna",), ("helper",)).condition()
    long = parse_filter({"id": {"nin": [f"{'x' * 200}{number}" for number in range(1000)]}, "agent_id": "helper"})
    expression = compile_filter(And((limits, long)), "acme")
    assert 'user_id == "anna"' in expression
    assert expression.count('agent_id == "helper"') == 2  # the key's and the client's
    assert len(expression) < 1000
    deep: Filter = Compare(Field("run_id"), Operator.EQ, "r")
    for _ in range(45):
        deep = Or((And((deep, Compare(Field("run_id"), Operator.EQ, "s"))), Compare(Field("app_id"), Operator.EQ, "a")))
    assert 'user_id == "anna"' in compile_filter(And((limits, deep)), "acme")
    assert compile_filter(deep, "acme") == 'tenant == "acme"'


@pytest.mark.parametrize(
    "long",
    [
        {"id": {"nin": [f"{number:0200}" for number in range(1000)]}},
        {"OR": [{"user_id": {"in": [f"{number:0200}" for number in range(1000)]}}, {"run_id": "r"}]},
    ],
)
def test_a_long_condition_of_a_client_does_not_displace_the_limits_of_its_key(long: dict[str, Any]) -> None:
    asked = And((parse_filter(long), parse_filter({"agent_id": "bot"})))
    where = And((parse_filter({"user_id": {"in": ["bob"]}}), asked))
    assert compile_filter(where, "acme") == f'{T} and (user_id == "bob" and agent_id == "bot")'


def test_more_conditions_on_metadata_than_milvus_should_look_at_are_left_to_the_evaluator() -> None:
    limits = parse_filter({"user_id": "bob"})
    few = parse_filter({"OR": [{f"k{number}": number} for number in range(40)]})
    many = parse_filter({"OR": [{f"k{number}": number} for number in range(51)]})
    listed = parse_filter({name: {"in": list(range(25))} for name in ("a", "b", "c")})
    assert compile_filter(And((limits, few)), "acme").count("metadata[") == 40
    assert compile_filter(And((limits, many)), "acme") == f'{T} and user_id == "bob"'
    expression = compile_filter(And((limits, few, listed)), "acme")
    assert 'user_id == "bob"' in expression
    assert expression.count("metadata[") <= 50
    assert compile_filter(And((limits, listed)), "acme").count("metadata[") == 50
