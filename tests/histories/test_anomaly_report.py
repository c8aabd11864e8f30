"""A report names seed and fault and shows the shortest history, a line for an operation; the command replays a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.histories.anomaly_report import report
from tests.histories.check import main
from tests.histories.checker import check
from tests.histories.history import Fault, History, load, save
from tests.histories.history_script import Script, state
from tests.histories.random_histories import Shape, run


def stale() -> History:
    script = Script()
    script.add((0, 1), "m", "tea")
    script.get((1, 2), "m", state("m", "tea", 1))
    script.update((2, 3), "m", 2, text="milk")
    script.get((4, 5), "m", state("m", "tea", 1))
    script.get((6, 7), "m", state("m", "milk", 2))
    faults = (Fault(3.5, "kill", "functions"), Fault(100.0, "pause", "index"))
    return replace(script.history(), faults=faults)


def test_a_report_shows_what_a_person_needs() -> None:
    history = stale()

    lines = list(report(history, check(history)))

    assert lines == [
        "5 operations on 1 memories, 2 faults, 7 steps tried: 1 anomalies, 0 undecided",
        "",
        'ANOMALY: an old state was shown after a newer one was acknowledged (seed 7, {"today": "2026-11-27"})',
        "  memory m: #3 cannot be explained; possible was version 2 'milk' {}",
        '  at first         id="m" scope={"user_id": "zoe"} version=1 text="tea" metadata={} expiration=null '
        "superseded_by=null",
        '  #2 client 2      [0.000, 1.000]     update id="m" text="milk" -> ok 200 memory={"version": 2}',
        '  #3 client 0      [2.000, 3.000]     get id="m" -> ok 200 memory={"id": "m", "text": "tea", "metadata": {}, '
        '"expiration": null, "superseded_by": null, "version": 1}',
        '  #4 client 1      [4.000, 5.000]     get id="m" -> ok 200 memory={"id": "m", "text": "milk", "metadata": {}, '
        '"expiration": null, "superseded_by": null, "version": 2}',
        "  nemesis          [1.500]            kill functions",
    ]


def test_a_saved_file_is_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    save(run(1, Shape(100)), good)
    save(stale(), bad)

    assert main([str(good)]) == 0
    assert "0 anomalies, 0 undecided" in capsys.readouterr().out
    assert main([str(good), str(bad)]) == 1
    assert "an old state was shown" in capsys.readouterr().out
    assert main([str(good), "--budget", "3"]) == 3
    assert "undecided: memory" in capsys.readouterr().out


def test_a_file_that_ends_in_the_middle_of_a_line_is_read_up_to_it(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    save(stale(), whole)
    text = whole.read_text()
    cut = tmp_path / "cut.jsonl"
    cut.write_text(text[: text.rindex("pause")])

    assert load(cut) == replace(load(whole), faults=stale().faults[:1])
