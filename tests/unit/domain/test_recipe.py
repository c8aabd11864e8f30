"""The index recipe: short texts take context, long ones count by their beginning."""

from __future__ import annotations

import math

import pytest

from forgetless.domain.recipe import EMPTY, LONG_TEXT_CHARS, combine, embedding_texts, word_text


def test_a_short_text_is_embedded_alone_with_one_and_with_two_before_it() -> None:
    assert embedding_texts("c", ["a", "b"]) == ["c", "b\nc", "a\nb\nc"]
    assert embedding_texts("c", ["b"]) == ["c", "b\nc"]
    assert embedding_texts("c", []) == ["c"]


def test_no_more_than_two_previous_messages_count() -> None:
    assert embedding_texts("d", ["a", "b", "c"]) == embedding_texts("d", ["b", "c"])
    assert "a" not in word_text("d", ["a", "b", "c"])


def test_a_long_text_needs_no_context_and_counts_by_its_beginning() -> None:
    long = "x" * 2000
    assert embedding_texts(long, ["a"]) == [long[:LONG_TEXT_CHARS]]
    assert word_text(long, ["a"]) == long[:LONG_TEXT_CHARS]


def test_a_short_text_weighs_three_times_in_its_words() -> None:
    assert word_text("tea", ["hi", "y" * 300]).split("\n") == ["tea", "tea", "tea", "hi", "y" * 200]


def test_a_text_without_a_word_has_a_stand_in() -> None:
    assert embedding_texts(" \n", ["before"]) == [EMPTY]


def test_combining_gives_the_normalised_mean() -> None:
    assert combine([[1.0, 0.0], [0.0, 1.0]]) == pytest.approx([math.sqrt(0.5), math.sqrt(0.5)])
    assert combine([[0.6, 0.8]]) == [0.6, 0.8]
    assert combine([[1.0, 0.0], [-1.0, 0.0]]) == [1.0, 0.0]
