"""Scores: absolute, between 0 and 1, and the sum of their parts."""

from __future__ import annotations

from dataclasses import fields
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetless.domain.scoring import (
    DEFAULT_THRESHOLD,
    WORD_MIDPOINT,
    AddedScore,
    ScoreParts,
    probability,
    saturate,
)
from forgetless.domain.signals import QuestionSignals, RowSignals, question_signals

cosines = st.floats(-1, 1)
words = st.floats(0, 200)
days = st.none() | st.integers(-700_000, 2_900_000)
rows = st.builds(RowSignals, st.booleans(), st.booleans(), st.booleans(), st.floats(0, 1), days, st.integers(0, 86_399))
questions = st.sampled_from(
    [
        QuestionSignals(),
        QuestionSignals(asks_when=True),
        QuestionSignals(asks_assistant=True),
        question_signals("When did we meet in May 2023?", reference=date(2026, 1, 1), agent_alone=False),
        question_signals("What happened on 7 May 2023?", reference=date(2026, 1, 1), agent_alone=True),
    ]
)


def score_of(scorer: AddedScore, cosine: float, matched: float, row: RowSignals) -> float:
    return scorer.scores([(cosine, matched, *scorer.added([row.pack()]))])[0]


@given(questions, cosines, words, rows)
def test_a_score_is_the_sum_of_its_parts_within_0_and_1(
    question: QuestionSignals, cosine: float, matched: float, row: RowSignals
) -> None:
    scorer = AddedScore(question)
    parts = scorer.parts(cosine, matched, row.pack())
    assert score_of(scorer, cosine, matched, row) == pytest.approx(min(1.0, max(0.0, parts.sum)), abs=1e-12)
    assert parts.sum == pytest.approx(sum(getattr(parts, field.name) for field in fields(parts)), abs=1e-12)


@given(questions, cosines, words, rows, st.floats(0, 1), st.floats(0, 50))
def test_more_of_either_never_lowers_a_score(
    question: QuestionSignals, cosine: float, matched: float, row: RowSignals, nearer: float, worded: float
) -> None:
    scorer = AddedScore(question)
    assert score_of(scorer, cosine + nearer, matched, row) >= score_of(scorer, cosine, matched, row)
    assert score_of(scorer, cosine, matched + worded, row) >= score_of(scorer, cosine, matched, row)


@given(questions, rows)
def test_no_row_gains_more_by_its_signals_than_is_said(question: QuestionSignals, row: RowSignals) -> None:
    scorer = AddedScore(question)
    assert scorer.added([row.pack()])[0] <= scorer.most_added + 1e-12


def test_each_part_weighs_what_the_formula_says() -> None:
    asked = question_signals("When was I in Rome in May 2023?", reference=date(2026, 1, 1), agent_alone=False)
    in_may = (date(2023, 5, 20) - date(1970, 1, 1)).days
    row = RowSignals(assistant=True, question=True, has_time=True, mass=1.0, day=in_may)
    expected = ScoreParts(
        meaning=0.6 * 0.8, words=0.6 * 0.6, mass=0.06, asks_when=0.12, date=0.3 * 0.7, question=-0.07, assistant=-0.1
    )
    assert AddedScore(asked).parts(0.8, 30.0, row.pack()) == expected
    plain = AddedScore(QuestionSignals())
    assert plain.parts(-0.5, 0.0, RowSignals(has_time=True, day=in_may).pack()) == ScoreParts()
    assert plain.most_added == 0.06, "a question that names no date and asks for none: mass alone is left"


def test_what_the_assistant_said_is_worth_as_much_if_the_question_asks_for_it() -> None:
    row = RowSignals(assistant=True).pack()
    for question, agent_alone in (("What did you recommend?", False), ("What is my plan?", True)):
        asked = question_signals(question, reference=date(2026, 1, 1), agent_alone=agent_alone)
        assert AddedScore(asked).added([row]) == [0.0]
    asked = question_signals("What is my plan?", reference=date(2026, 1, 1), agent_alone=False)
    assert AddedScore(asked).added([row]) == [-0.1]


def test_the_midpoint_counts_one_half() -> None:
    assert saturate(WORD_MIDPOINT) == 0.5
    assert saturate(0) == saturate(-3) == 0


def test_the_probability_grows_with_the_score_and_is_that_of_the_curve() -> None:
    assert [round(probability(score), 3) for score in (0.0, 0.45, 0.65, 0.8, 1.0)] == [0.0, 0.019, 0.157, 0.5, 0.904]


def test_the_default_threshold_is_that_of_mem0() -> None:
    assert DEFAULT_THRESHOLD == 0.1
