"""JSON values from a stream, whatever the portions in which it is read."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from forgetless.cli.formats import json_values
from forgetless.cli.formats.json_values import JsonValues
from forgetless.domain.errors import InvalidRequestError

ELEMENTS: list[Any] = [
    1234567, -1.5e10, True, None, "", 'quotes " and \\ back', "phở \U0001f600", {"a": {"b": [1, {}, []]}}, [], "x" * 200
]  # fmt: skip


@pytest.fixture(autouse=True, params=[1, 3, 64, 100_000])
def read_chars(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "_READ_CHARS", request.param)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("plain", [True, False])
def test_elements_and_members_are_those_of_the_text(indent: int | None, plain: bool) -> None:
    text = json.dumps(ELEMENTS, indent=indent, ensure_ascii=plain)
    assert list(JsonValues(io.StringIO(text)).elements()) == ELEMENTS
    members = JsonValues(io.StringIO(json.dumps({str(n): one for n, one in enumerate(ELEMENTS)}, indent=indent)))
    assert {key: members.value() for key in members.members()} == {str(n): one for n, one in enumerate(ELEMENTS)}


def test_values_follow_one_another() -> None:
    values = JsonValues(io.StringIO("12 34\n[] {}12"))
    found = []
    while values.next_char():
        found.append(values.value())
    assert found == [12, 34, [], {}, 12]
    assert list(JsonValues(io.StringIO(" [ ] ")).elements()) == []
    assert list(JsonValues(io.StringIO("{ }")).members()) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1,\n2", "line 2: not JSON: expected ,; the file ends too early"),
        ("[1\n\n 2]", "line 3: not JSON: expected ,"),
        ('["a', "line 1: not JSON: Unterminated string"),
        ("[tru]", "line 1: not JSON"),
        ("[1,]", "line 1: not JSON"),
        ("[" * 100_000, "nests too deeply"),
        (f"[1,\n{'9' * 5000}]", "line 2: not JSON: a number in it has too many digits"),
    ],
)
def test_what_is_no_json_is_named_with_its_line(text: str, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        list(JsonValues(io.StringIO(text)).elements())


def test_a_value_without_an_end_is_not_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "LONGEST", 1000)
    with pytest.raises(InvalidRequestError, match="more than 1000 characters"):
        list(JsonValues(io.StringIO('["' + "x" * 1_000_000)).elements())


def test_a_mistake_is_found_before_the_rest_is_read() -> None:
    stream = io.StringIO("[{'a': 1}," + "1," * 400_000)
    with pytest.raises(InvalidRequestError, match="line 1"):
        list(JsonValues(stream).elements())
    assert stream.tell() <= 100_000
