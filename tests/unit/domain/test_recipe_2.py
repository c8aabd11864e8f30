"""Recipe 2: BM25 over prepared words, a fused score, and no names."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetless.domain.names import NO_NAMES
from forgetless.domain.recipe import Told
from forgetless.domain.recipe_2 import Recipe2
from forgetless.domain.said import LONG_TEXT_CHARS, Said

RECIPE = Recipe2()
AT = "2026-01-02T03:04:05.000006+00:00"
SCORER = RECIPE.scorer("When?", reference=date(2026, 1, 1), agent_alone=False)


def told(text: str, *previous: str, following: str | None = None) -> Told:
    after = None if following is None else Said(following)
    return Told(Said(text), AT, tuple(map(Said, previous)), after)


def test_a_question_is_embedded_as_it_is() -> None:
    assert not RECIPE.knows_speakers
    assert RECIPE.query_text("What does Anna drink?", NO_NAMES) == "What does Anna drink?"


def test_a_short_text_weighs_three_times_in_its_words_beside_two_messages_before() -> None:
    assert RECIPE.row(told("tea", "early", "hi", "you " * 49 + "milk sugar", following="later"))[0] == " ".join(
        ["tea"] * 3 + ["hi", "milk"]
    ), "of each message before, 200 characters count"
    long = "word " * 300
    assert RECIPE.row(told(long, "hi"))[0].count("word") == LONG_TEXT_CHARS // 5


def test_words_match_by_rarity() -> None:
    asked = RECIPE.query_words("sushi like")
    rare, common, none = RECIPE.matches(asked, ["like sushi", "like tea", "walk"])
    assert rare > common > none == 0.0
    assert RECIPE.matches(asked, []) == []


@given(st.floats(-1, 1), st.floats(0, 200))
def test_a_score_lies_within_0_and_1_and_is_the_sum_of_meaning_and_words(cosine: float, bm25: float) -> None:
    parts = SCORER.parts(cosine, bm25, 0)
    assert 0 <= SCORER.scores([(cosine, bm25, *SCORER.added([0]))])[0] == pytest.approx(parts.meaning + parts.words)
    assert SCORER.scores([(cosine, bm25, 0)])[0] <= 1


def test_the_score_is_that_of_the_formula() -> None:
    assert SCORER.scores([(0.6, 10.0, 0.0)])[0] == pytest.approx(0.5 * 0.6 + 0.5 * 0.5)
    assert SCORER.probability(0.6) is None, "nobody has measured it"
