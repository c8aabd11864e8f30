"""The evaluation: files in LoCoMo's format, recall as it is defined, users that are deleted afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local.client import ToolError
from local.evaluate.cli import main
from local.evaluate.locomo import Question, read_conversation
from local.evaluate.recall import Answer, score
from tests.tools.fake_service import KEY, FakeService


def answer(evidence: set[str], *found: str) -> Answer:
    return Answer(Question("?", 1, frozenset(evidence)), found, 0.001)


def write_file(folder: Path, **changes: Any) -> Path:
    turns = [
        {"id": f"D{session}:{place}", "session": session, "speaker": speaker, "text": f"word{session}{place} said"}
        for session in (1, 2)
        for place, speaker in enumerate(("Ann", "Bob", "Ann"), 1)
    ]
    questions = [
        {"question": "word12", "category": 2, "evidence": ["D1:2"]},
        {"question": "word23", "category": 4, "evidence": ["D2:3"]},
        {"question": "no evidence", "category": 5, "evidence": []},
    ]
    file = folder / "talk.json"
    file.write_text(json.dumps({"turns": turns, "questions": questions} | changes))
    return file


def arguments(service: FakeService, file: Path, *more: str) -> list[str]:
    return [str(file), "--url", service.url, "--api-key", KEY, *more]


def test_recall_is_the_share_of_evidence_averaged_over_questions() -> None:
    answers = [answer({"a", "b"}, "a", "x", "b"), answer({"c"}, "x", "y", "z")]
    assert score(answers, cuts=(1, 3)).at == {1: 0.25, 3: 0.5}


def test_recall_counts_a_turn_once_however_often_it_is_found() -> None:
    assert answer({"a", "b"}, "a", "a", "a").recall(3) == 0.5


def test_questions_without_evidence_are_left_out(tmp_path: Path) -> None:
    assert [question.text for question in read_conversation(write_file(tmp_path)).questions] == ["word12", "word23"]


def test_evidence_that_names_no_turn_is_refused(tmp_path: Path) -> None:
    file = write_file(tmp_path, questions=[{"question": "?", "evidence": ["D9:9"]}])
    with pytest.raises(ToolError, match="D9:9"):
        read_conversation(file)


def test_another_format_is_refused_with_the_name_of_the_file(tmp_path: Path) -> None:
    file = write_file(tmp_path, turns=[{"text": "no id"}])
    with pytest.raises(ToolError, match=r"talk\.json"):
        read_conversation(file)


def test_every_turn_is_added_in_order_with_its_speaker(service: FakeService, tmp_path: Path) -> None:
    main(arguments(service, write_file(tmp_path), "--keep", "--batch", "2"), {})
    said = [(one["run_id"], one["memory"]) for one in service.memories]
    assert said[:4] == [
        ("session-1", "Ann: word11 said"),
        ("session-1", "Bob: word12 said"),
        ("session-1", "Ann: word13 said"),
        ("session-2", "Ann: word21 said"),
    ]


def test_the_figures_come_as_json(service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(service, write_file(tmp_path), "--json"), {}) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["all"]["questions"] == 2
    assert figures["all"]["recall@20"] == 1.0
    assert set(figures["categories"]) == {"temporal", "single-hop"}


def test_its_users_are_deleted_even_after_a_failure(service: FakeService, tmp_path: Path) -> None:
    service.broken["/search"] = (503, {"detail": "the index is down"})
    with pytest.raises(ToolError, match="the index is down"):
        main(arguments(service, write_file(tmp_path)), {})
    assert service.memories == []
    assert ("POST", "/memories") in service.requests


def test_keep_leaves_the_memories(service: FakeService, tmp_path: Path) -> None:
    main(arguments(service, write_file(tmp_path), "--keep"), {})
    assert len(service.memories) == 6
