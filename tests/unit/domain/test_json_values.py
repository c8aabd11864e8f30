"""JSON values in any text: which are found, and that no text costs more than a few looks at each character."""

from __future__ import annotations

import json
import random

import pytest

from forgetless.domain.json_values import DEEPEST, JsonScan, JsonSpan


def json_spans(text: str, *, python: bool = False) -> tuple[list[JsonSpan], bool]:
    scan = JsonScan(text, python)
    cut = scan.run()
    return scan.spans, cut


def values_of(text: str) -> list[object]:
    return [span.value() for span in json_spans(text)[0]]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('{"a": [1, -2.5e3, true, false, null, "x"]}', [{"a": [1, -2500.0, True, False, None, "x"]}]),
        ('a {"b": 1} c [2] d', [{"b": 1}, [2]]),
        ('{"a": {"b": 1}}', [{"a": {"b": 1}}]),
        ('{"a": "}{", "b\\"": "\\\\"}', [{"a": "}{", 'b"': "\\"}]),
        ('{"a": [1, 2,], }', [{"a": [1, 2]}]),
        ("[,] {,} [1,,2] {1: 2} {a: 1}", []),
        ('[1 2] {"a" 1} {"a": 1 "b": 2} [}', []),
        ("{x {} y", [{}]),
        ('[{"a": 1} and {"b": 2}]', [{"b": 2}]),
        ("[truex] [1a] [--1] [01] [.5]", [None]),
        ("[" * DEEPEST + "]" * DEEPEST + " [1]", [json.loads("[" * DEEPEST + "]" * DEEPEST), [1]]),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1) + " [1]", [[1]]),
        ("", []),
    ],
)
def test_balanced_values_are_found_in_their_order(text: str, values: list[object]) -> None:
    assert values_of(text) == values


@pytest.mark.parametrize(
    ("text", "cut"), [('{"a": 1', True), ('{"a', True), ("[1] [", True), ("{a", False), ("[1]", False), ("x", False)]
)
def test_a_text_that_ends_within_a_value_says_so(text: str, cut: bool) -> None:
    assert json_spans(text)[1] is cut


def test_whatever_json_is_written_is_read_the_same_among_prose() -> None:
    chance = random.Random(7)

    def value(depth: int) -> object:
        kind = chance.randrange(6 if depth else 3)
        if kind == 0:
            return chance.choice([None, True, False, 0, -7, 1.5, 1e-9])
        if kind in {1, 2}:
            return "".join(chance.choices('ab{}[]",:\\\n\u00e9<', k=chance.randrange(8)))
        if kind == 3:
            return [value(depth - 1) for _ in range(chance.randrange(4))]
        return {str(value(0)): value(depth - 1) for _ in range(chance.randrange(4))}

    for _ in range(300):
        one = [value(3)]
        assert values_of(f"so: {json.dumps(one)} is it") == [one]
        assert [span.value() for span in json_spans(f"so: {one!r} is it", python=True)[0]] == [one]


@pytest.mark.parametrize(
    "piece",
    [
        *['{"a":', "[", '{"', "{'", "{'a': '", "{'\\'", "['a' ", "'", "[None", '{"\\"', "[1,", '{"a":1}', '"', "{x"],
        *["[[]", '["a" ', "\\", "[1[", '{"a":"', "[-", "]"],
    ],
)
def test_the_steps_grow_no_faster_than_the_text(piece: str) -> None:
    for text in (piece * 2000, piece * 2000 + "x", "[" + piece * 2000 + '"', '{"a":' + piece * 2000 + "}"):
        for python in (False, True):
            scan = JsonScan(text, python)
            scan.run()
            assert scan.read <= 3 * len(text) + 8


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"{'a': 'it\'s \"so\"'}", [{"a": 'it\'s "so"'}]),
        ("{'a': \"it's\"}", [{"a": "it's"}]),
        (r"['\x41\n\u00e9', True, False, None,]", [["A\n\u00e9", True, False, None]]),
        ("{'a': 'it's'}", []),
        ("{'a': Nothing}", []),
        (r"['\U0001f600']", [None]),
        ("it's {not} and 'tis {'a': 1}", [{"a": 1}]),
        ("{'a", []),
    ],
)
def test_what_python_prints_is_read_if_asked(text: str, value: list[object]) -> None:
    assert [span.value() for span in json_spans(text, python=True)[0]] == value
