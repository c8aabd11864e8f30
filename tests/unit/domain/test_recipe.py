"""What recipes have in common: short texts take context, and long ones count with their beginning."""

from __future__ import annotations

import math

import pytest

from forgetless.domain.recipe import EMPTY, combine, embedded, embedding_texts
from forgetless.domain.said import LONG_TEXT_CHARS


def test_a_short_text_is_embedded_beside_what_was_said_before_it() -> None:
    assert embedding_texts("c", ["a", "b"]) == ["c", "b", "a"]
    assert embedding_texts("c", ["b"]) == ["c", "b"]
    assert embedding_texts("c", []) == ["c"]
    assert embedding_texts("c", ["a", " ", "b"]) == ["c", "b", "a"], "a message without a word says nothing"


def test_a_message_is_embedded_in_the_same_words_as_context_and_by_itself() -> None:
    for said in ("tea", "y" * (LONG_TEXT_CHARS + 1)):
        assert embedding_texts(said, [])[0] == embedding_texts("c", [said])[1] == embedded(said)


def test_no_more_than_two_previous_messages_count() -> None:
    assert embedding_texts("d", ["a", "b", "c"]) == embedding_texts("d", ["b", "c"])


def test_a_long_text_needs_no_context_and_counts_by_its_beginning() -> None:
    long = "x" * 2000
    assert embedding_texts(long, ["a"]) == [long[:LONG_TEXT_CHARS]]


def test_a_text_without_a_word_has_a_stand_in() -> None:
    assert embedding_texts(" \n", ["before"]) == [EMPTY]


def test_a_previous_message_counts_half_of_the_next() -> None:
    found = combine([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert math.hypot(*found) == pytest.approx(1.0)
    assert [value / found[0] for value in found] == pytest.approx([1.0, 0.5, 0.25])


def test_what_stands_alone_or_cancels_itself_out_keeps_its_own_vector() -> None:
    assert combine([[0.6, 0.8]]) == [0.6, 0.8]
    assert combine([[0.5, 0.0], [-1.0, 0.0]]) == [0.5, 0.0]
