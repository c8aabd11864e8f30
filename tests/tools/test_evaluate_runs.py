"""Runs of the evaluation: stored and read again, compared, intervals, and what scores mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from local.client import ToolError
from local.evaluate.calibration import bands, cuts, fit
from local.evaluate.cli import main
from local.evaluate.comparison import comparison_table
from local.evaluate.intervals import interval
from local.evaluate.recall import Answer, Scores
from local.evaluate.runs import AnsweredConversation, Run


def asked(question: str, *found: str, kind: str = "fact", scores: Scores | None = None) -> Answer:
    return Answer(question, kind, frozenset({"a", "b"}), found, (0.9, 0.4)[: len(found)], 0.01, scores)


def run_of(*conversations: Sequence[Answer], group: str = "chats") -> Run:
    return Run([AnsweredConversation(f"talk-{place}", group, answers) for place, answers in enumerate(conversations)])


def test_a_stored_run_is_read_as_it_was(tmp_path: Path) -> None:
    scores = Scores.of([("a", 0.91), ("x", 0.407), ("y", 0.4), ("z", 0.0)], frozenset({"a", "b"}))
    run = Run([AnsweredConversation("talk", "chats", [asked("q?", "a", "x", scores=scores)])], {"batch": 50})
    run.save(tmp_path / "run.json")
    assert Run.read(tmp_path / "run.json") == run


def test_a_file_that_is_no_run_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ToolError, match=r"other\.json"):
        Run.read(tmp_path / "other.json")


def test_the_interval_holds_the_mean_and_widens_with_what_differs_between_conversations() -> None:
    alike = interval([[0.0, 1.0]] * 6)
    apart = interval([[0.0, 0.0], [1.0, 1.0]] * 3)
    assert alike == (0.5, 0.5)
    assert apart[0] < 0.25
    assert apart[1] > 0.75


def test_of_a_single_conversation_the_questions_are_drawn() -> None:
    low, high = interval([[0.0, 1.0] * 20])
    assert 0.3 < low < 0.5 < high < 0.7
    assert all(map(math.isnan, interval([[]])))


def test_a_comparison_pairs_the_questions_of_both_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = run_of([asked("one", "x"), asked("gone", "a", "b")], [asked("two", "a", kind="when")])
    after = run_of([asked("one", "a", "b"), asked("new", "x")], [asked("two", "a", kind="when")])
    rows = {row[0]: row[1:] for row in comparison_table(before, after).rows}
    assert rows["talk-0"][:3] == ("1", "0.000 → 1.000", "0.000 → 1.000")
    assert rows["chats: all"][2] == "0.250 → 0.750"
    assert rows["all"][-1] == "+0.500 [+0.000, +1.000]"
    assert rows["when"][-1] == "+0.000 [+0.000, +0.000]"
    for name, run in (("before", before), ("after", after)):
        run.save(tmp_path / name)
    assert main(["--compare", str(tmp_path / "before"), str(tmp_path / "after")], {}) == 0
    assert "Before and after" in capsys.readouterr().out


def test_runs_without_a_common_question_are_not_compared() -> None:
    with pytest.raises(ToolError, match="no question in common"):
        comparison_table(run_of([asked("one")]), run_of([asked("two")]))


def test_bands_and_thresholds_count_all_rows() -> None:
    scores = Scores.of([("a", 0.95), ("b", 0.35), ("x", 0.41), *((f"n{n}", 0.0) for n in range(7))], frozenset("ab"))
    answers = [asked("q", "a", "x", scores=scores)]
    assert [(round(band.low, 1), band.rows, band.evidence) for band in bands(answers)] == [
        (0.0, 7, 0),
        (0.3, 1, 1),
        (0.4, 1, 0),
        (0.9, 1, 1),
    ]
    kept = {cut.threshold: cut for cut in cuts(answers)}
    assert (kept[0.4].rows, kept[0.4].recall, kept[0.4].precision) == (2, 0.5, 0.5)
    assert (kept[0.6].recall_shown, kept[0.6].precision_shown) == (0.5, 1.0)
    assert kept[0.0].rows == 10


def test_the_fitted_curve_is_the_one_that_the_rows_were_made_by() -> None:
    answers = []
    for step in range(5, 100, 10):
        score = step / 100
        evidence = round(1000 / (1 + math.exp(6 - 10 * score)))
        answers.append(asked("q", scores=Scores((score,) * evidence, {step: 1000 - evidence})))
    curve = fit(answers)
    assert curve is not None
    # A bin's rows count at its middle, half a hundredth above the evidence.
    assert curve.intercept == pytest.approx(-6, abs=0.2)
    assert curve.slope == pytest.approx(10, abs=0.2)


def test_a_curve_is_found_where_a_whole_step_leaps_too_far() -> None:
    # Nearly all rows are far from the few that are evidence: Newton's method alone leaps away from this curve.
    rows = {10: 100_000, 20: 300, 30: 20}
    curve = fit([asked("q", scores=Scores((0.305,) * 30, rows))])
    assert curve is not None
    assert curve.at(0.105) < 0.001
    assert 0.5 < curve.at(0.305) < 0.7


def test_without_evidence_or_other_rows_there_is_no_curve() -> None:
    assert fit([asked("q")]) is None
    assert fit([asked("q", scores=Scores((0.5,)))]) is None
