"""Memories in the shape of a JSON schema without an LLM."""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.memory import Memory
from forgetless.domain.scope import Scope
from forgetless.service.transfer.schema_shape import shape

AT = "2026-01-01T00:00:00.000000+00:00"
HOME = Memory("m1", 1, Scope("t", user_id="alice"), "Lives in Porto", AT, AT, "j", metadata={"city": "Porto", "age": 4})
FOOD = Memory("m2", 1, Scope("t", user_id="alice"), "Likes tea", AT, AT, "j", categories=("food_and_drink",))


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


TEXTS = {"type": "array", "items": {"type": "string"}}


@pytest.mark.parametrize(
    ("wanted", "shaped"),
    [
        (schema(city={"type": "string"}), {"city": "Porto"}),
        (schema(age={"type": "integer"}), {"age": 4}),
        (schema(age={"type": "boolean"}), {"age": None}),
        (schema(colour={"type": "string"}), {"colour": None}),
        (schema(user_id={"anyOf": [{"type": "null"}, {"type": "string"}]}), {"user_id": "alice"}),
        (schema(food_and_drink=TEXTS), {"food_and_drink": ["Likes tea"]}),
        (schema(facts=TEXTS), {"facts": ["Lives in Porto", "Likes tea"]}),
        (
            schema(all={"type": "array", "items": schema(id={"type": "string"}, memory={"type": "string"})}),
            {"all": [{"id": "m1", "memory": "Lives in Porto"}, {"id": "m2", "memory": "Likes tea"}]},
        ),
        (
            {**schema(home={"$ref": "#/$defs/Home"}), "$defs": {"Home": schema(city={"type": ["string", "null"]})}},
            {"home": {"city": "Porto"}},
        ),
        ({"type": "object"}, {}),
    ],
)
def test_a_property_gets_what_its_name_says(wanted: dict[str, Any], shaped: dict[str, Any]) -> None:
    assert shape(wanted, [HOME, FOOD]) == shaped


def test_a_schema_that_names_itself_ends() -> None:
    endless = {"type": "object", "properties": {"more": {"$ref": "#"}}}
    value = shape(endless, [HOME])
    for _ in range(20):
        value = value["more"] if value else None
    assert value is None


#: A few hundred bytes whose properties refer to what they are part of: 26 to the power of 8 values.
WIDE = {"$ref": "#/$defs/A", "$defs": {"A": schema(**{letter: {"$ref": "#/$defs/A"} for letter in ascii_lowercase})}}
LONG = schema(**{f"p{number}": {"type": "string"} for number in range(2000)})


@pytest.mark.parametrize("costly", [WIDE, LONG, {"type": "array", "items": LONG}], ids=["wide", "long", "list"])
def test_a_schema_that_would_keep_the_process_busy_is_refused(costly: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=r"^schema: .* name fewer properties, or narrow the filters"):
        shape(costly, [HOME, FOOD] * 500)


def test_a_usual_schema_is_filled_from_as_many_memories_as_an_export_has() -> None:
    usual = {"type": "array", "items": schema(**{f"p{number}": {"type": "string"} for number in range(100)}, city={})}
    assert [one["city"] for one in shape(usual, [HOME, FOOD] * 500)[:2]] == ["Porto", None]


JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | st.sampled_from(["object", "array", "string", "#/x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "properties", "items", "anyOf", "$ref", "a"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(wanted=st.dictionaries(st.sampled_from(["type", "properties", "items", "anyOf", "$ref", "a"]), JSON, max_size=4))
def test_no_schema_breaks_it(wanted: dict[str, Any]) -> None:
    shape(wanted, [HOME, FOOD])
