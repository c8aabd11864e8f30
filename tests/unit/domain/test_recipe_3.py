"""Recipe 3: vectors and words without the names of those who talk, and the other signals of a memory."""

from __future__ import annotations

from datetime import date

import pytest

from forgetless.domain.names import NameSet, name_digest
from forgetless.domain.recipe import Told
from forgetless.domain.recipe_3 import Recipe3
from forgetless.domain.said import Said
from forgetless.domain.signals import RowSignals
from forgetless.domain.sparse_words import RESERVED_ID, term_id

RECIPE = Recipe3()
AT = "2026-01-02T03:04:05.000006+00:00"
KEY = b"k"


def known(*names: str) -> NameSet:
    return NameSet(KEY, frozenset(name_digest(KEY, name) for name in names))


def by(speaker: str, text: str) -> Said:
    return Said(text, speaker, "user")


def test_each_text_is_embedded_without_its_speaker_and_the_two_before_it() -> None:
    talk = Told(
        by("Anna", "Anna told Ben and Carl and Dora"), AT, (by("Dora", "x"), by("Carl", "Carl, Anna!"), by("Ben", "y"))
    )
    assert RECIPE.texts(talk) == ["told and and Dora", "y", "Anna!"]


def test_a_message_has_the_same_text_as_context_and_by_itself() -> None:
    """Otherwise each message of an add would be embedded twice."""
    talk = [by(("Anna", "Ben")[place % 2], f"Anna asks Ben for {place} apples") for place in range(8)]
    texts = [RECIPE.texts(Told(said, AT, tuple(talk[max(0, place - 3) : place]))) for place, said in enumerate(talk)]
    assert len({text for some in texts[3:] for text in some}) == 5 + 2
    assert all("Anna" not in text and "Ben" not in text for some in texts[3:] for text in some)


def test_words_leave_the_speakers_out_and_keep_what_stands_around() -> None:
    row = RECIPE.row(Told(by("Anna", "Ben drinks tea"), AT, (by("Ben", "coffee"),), by("Ben", "sugar")))[0]
    weights = {word: row.get(term_id(word), 0.0) for word in ("tea", "coffe", "sugar", "anna", "ben")}
    assert weights["tea"] > weights["coffe"] > weights["sugar"] > 0
    assert (weights["anna"], weights["ben"]) == (pytest.approx(0.3), 0.0)
    assert row[RESERVED_ID] == 1.0


def test_a_fact_is_about_the_known_names_in_it() -> None:
    fact = Told(Said("Anna likes tea with Eve"), AT, (by("Anna", "I like tea"),), known=known("Anna", "Ben"))
    assert RECIPE.texts(fact)[0] == "likes tea with Eve"
    row = RECIPE.row(fact)[0]
    assert row[term_id("anna")] == pytest.approx(0.3)
    assert row[term_id("eve")] > 0.3


def test_signals_are_those_of_the_text() -> None:
    asked = RowSignals.unpack(RECIPE.row(Told(Said("Shall we go there in May?", None, "assistant"), AT))[1])
    assert (asked.assistant, asked.question, asked.has_time) == (True, True, True)
    assert asked.day == (date(2026, 1, 2) - date(1970, 1, 1)).days
    long = RowSignals.unpack(RECIPE.row(Told(Said("tea harvest " * 40), AT))[1])
    assert long.mass > asked.mass > 0


def test_a_question_is_embedded_without_the_names_known_in_its_scope() -> None:
    assert RECIPE.query_text("What tea does Anna drink?", known("Anna")) == "What tea does drink?"
    assert RECIPE.query_text("Who is Anna?", known("Anna")) == "Who is Anna?"
    assert RECIPE.query_text("What tea does Eve drink?", known("Anna")) == "What tea does Eve drink?"


def test_words_match_by_their_inner_product_and_the_probe_finds_any_row() -> None:
    rows = [RECIPE.row(Told(Said(text), AT))[0] for text in ("green tea", "Anna", "")]
    asked = RECIPE.query_words("tea")
    assert RECIPE.matches(asked, rows) == [pytest.approx(asked[term_id("tea")] * rows[0][term_id("tea")]), 0, 0]
    assert RECIPE.matches(RECIPE.probe("anything"), rows) == [1.0, 1.0, 1.0]
