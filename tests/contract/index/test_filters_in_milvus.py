"""Compiled filters on a real Milvus Lite: no match is lost, and conditions on ids admit nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, pi, sin
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forgetless.adapters.index_milvus import MilvusIndex
from forgetless.domain.errors import FilterError
from forgetless.domain.filters.ast import And, Compare, Field, Filter, Not, Operator, Or
from forgetless.domain.filters.evaluate import evaluate
from forgetless.domain.filters.parse import parse_filter
from forgetless.domain.filters.parse_common import MAX_CONDITIONS, MAX_LIST_VALUES
from forgetless.domain.memory import Memory
from tests.contract.index.builders import DIMENSIONS, NORTH, ids, memory, row
from tests.contract.index.strategies import filters, memories

pytestmark = pytest.mark.slow

#: Memories of one round of the property; many filters are tried on each.
CROWD = 120
_IDS = [Field(name) for name in ("user_id", "agent_id", "app_id", "run_id")]
_EXPRESSED = [Operator.EQ, Operator.NE, Operator.IN, Operator.NIN, Operator.EXISTS]


class Room:
    """A Milvus with a crowd of random memories, and one of another tenant beside each."""

    def __init__(self, index: MilvusIndex) -> None:
        self.index = index
        self.members: dict[str, Memory] = {}

    def fill(self, members: list[Memory]) -> None:
        self.members |= {member.id: member for member in members}
        self.index.insert([row(member) for member in members])

    def check(self, where: Filter) -> None:
        found = set(ids(self.index.search_vector("acme", NORTH, where, 16_384)))
        expected = {name for name, member in self.members.items() if evaluate(where, member)}
        assert found <= set(self.members), "a row of another tenant"
        assert expected <= found, "lost"
        assert not _asks_for_ids_alone(where) or found == expected, "more than was asked for"
        self.index.ping()


def _asks_for_ids_alone(where: Filter) -> bool:
    """Whether Milvus can express all of the filter, so that it must find nothing else."""
    match where:
        case Compare(field, operator, _):
            return field in _IDS and operator in _EXPRESSED
        case Not(item):
            return _asks_for_ids_alone(item)
        case And(items) | Or(items):
            return all(map(_asks_for_ids_alone, items))
    raise AssertionError(where)


@pytest.fixture(scope="module")
def room(milvus_uri: str) -> Iterator[Room]:
    index = MilvusIndex(milvus_uri, collection="filters", dimensions=DIMENSIONS, timeout_s=20)
    room = Room(index)
    crowd: list[Memory] = []

    @settings(max_examples=CROWD, database=None, derandomize=True)
    @given(memories())
    def gather(member: Memory) -> None:
        crowd.append(member)

    gather()
    room.fill(crowd)
    index.insert([row(memory(tenant="globex", user_id="a", metadata={"k": "a"}))])
    yield room
    index.drop_all()
    index.close()


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(raw=filters)
def test_a_search_loses_nothing_and_filters_ids_exactly(room: Room, raw: dict[str, Any]) -> None:
    try:
        where = parse_filter(raw)
    except FilterError:
        return
    room.check(where)


anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()


@settings(max_examples=150, deadline=None)
@given(
    st.builds(
        Compare,
        st.builds(Field, st.text() | st.sampled_from(["user_id", "categories", "created_at", "id"]), st.booleans()).map(
            lambda field: (
                field if field.name in {"user_id", "categories", "created_at", "id"} else Field(field.name, True)
            )
        ),
        st.sampled_from([Operator.EQ, Operator.NE, Operator.GT, Operator.LTE, Operator.CONTAINS]),
        anything,
    )
)
def test_whatever_values_an_ast_holds_reach_milvus_as_data(room: Room, where: Filter) -> None:
    room.check(where)
    room.check(Not(where))


def test_the_largest_filter_of_the_grammar_is_answered(room: Room) -> None:
    many = {"OR": [{"k": {"in": [str(n), n]}} for n in range(MAX_CONDITIONS)]}
    long = {"user_id": {"in": [f"u{n}" for n in range(MAX_LIST_VALUES - 1)] + ["a"]}}
    deep: dict[str, Any] = {"user_id": "a"}
    for level in range(14):
        deep = {"NOT" if level % 2 else "OR": [deep, {"role": "b"}]}
    for raw in (many, long, deep, {"AND": [long, deep]}):
        room.check(parse_filter(raw))


def test_an_expression_too_long_for_a_parser_falls_back_to_the_tenant(room: Room) -> None:
    wide = Or(tuple(Compare(Field("user_id"), Operator.EQ, f"{n:0200}") for n in range(500)))
    assert set(ids(room.index.search_vector("acme", NORTH, And((wide,)), 16_384))) == set(room.members)


def test_the_few_rows_of_a_filter_are_found_and_scored_among_many(milvus: MilvusIndex) -> None:
    """They lie opposite to the question: whoever walks from its neighbours to theirs gives up before it is there."""
    many = [memory(f"m{n}", user_id="few" if n % 100 == 0 else "many") for n in range(1000)]
    angles = [pi * (1 + n / 1000) if one.scope.user_id == "few" else n / 1000 for n, one in enumerate(many)]
    milvus.insert([row(one, [cos(a), sin(a), 0.0, 0.0]) for one, a in zip(many, angles, strict=True)])
    few = sorted(one.id for one in many if one.scope.user_id == "few")
    assert sorted(ids(milvus.search_vector("acme", NORTH, parse_filter({"user_id": "few"}), 10))) == few
    assert sorted(ids(milvus.score_vector("acme", NORTH, [(one, 1) for one in few]))) == few
