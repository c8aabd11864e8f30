"""The evaluation of the extraction: its cases, what counts as wrong, recordings, tokens and cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forgetless.service.writing.prompts import extraction_messages
from local.client import ToolError
from local.evaluate.extraction.cases import CASES, Case, read_cases
from local.evaluate.extraction.command import RECORDED, main
from local.evaluate.extraction.recording import read_replies, write_replies
from tests.unit.servers import Answer, Request, serve

MOVED = {
    "case": "moved",
    "language": "en",
    "at": "2026-03-10T09:00",
    "known": ["Ann lives in Leeds", "Ann has a dog"],
    "messages": [["user", "I moved to York"], ["assistant", "Shall I book a tour of Rome?"]],
    "facts": [{"says": [["york"]], "supersedes": [1]}, {"says": [["moved", "2026"]]}],
    "optional": [[["tour"]]],
    "never": [[["rome"]]],
}


def fact(text: str, *superseded: int, source: int = 1) -> dict[str, Any]:
    return {"text": text, "attributed_to": "user", "supersedes": list(superseded), "sources": [source]}


def evaluated(
    folder: Path, capsys: pytest.CaptureFixture[str], *facts: dict[str, Any], reply: str | None = None
) -> dict[str, Any]:
    """The figures of the case MOVED if the LLM answers so."""
    cases, replies = folder / "cases.jsonl", folder / "replies.jsonl"
    cases.write_text(json.dumps(MOVED))
    write_replies(replies, {"moved": json.dumps({"facts": facts}) if reply is None else reply})
    assert main(["--cases", str(cases), "--replies", str(replies), "--json"], {}) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def is_adversarial(case: Case) -> bool:
    return bool(case.never)


def test_there_are_cases_of_each_language_and_kind() -> None:
    cases = read_cases()
    assert len(cases) >= 40
    assert {case.language for case in cases} == {"en", "vi"}
    assert sum(case.language == "vi" for case in cases) >= 15
    assert len({case.name for case in cases}) == len(cases)
    assert sum(map(is_adversarial, cases)) >= 15
    assert sum(bool(case.superseded) for case in cases) >= 8
    assert sum(not case.facts for case in cases) >= 8


def test_the_recording_that_is_kept_here_meets_every_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--replies", "--json"], {}) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["faults"] == {}
    assert figures["all"]["expected"] == figures["all"]["found"] > 0


def test_what_is_right_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = evaluated(tmp_path, capsys, fact("Ann moved to York", 1), fact("Ann wants a tour"))
    assert figures["faults"] == {}
    assert (figures["all"]["precision"], figures["all"]["recall"]) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        ([fact("Ann lives in York", 1)], "1 of 2 facts missing"),
        ([fact("Ann moved to York", 1), fact("Ann likes cheese")], "not expected: Ann likes cheese"),
        ([fact("Ann moved to York", 1), fact("Ann tours Rome")], "must not be extracted: Ann tours Rome"),
        ([fact("Ann moved to York", 1, 2)], "wrongly superseded: [2]"),
        ([fact("Ann moved to York")], "not superseded: [1]"),
    ],
)
def test_what_is_wrong_or_missing_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], facts: list[dict[str, Any]], fault: str
) -> None:
    figures = evaluated(tmp_path, capsys, *facts)
    assert figures["faults"] == {"moved": [fault]}
    assert figures["all"]["precision"] < 1 or figures["all"]["recall"] < 1 or "superseded" in fault


def test_words_count_from_their_beginning_in_any_case_and_spelling(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluated(tmp_path, capsys, fact("ANN MOVED TO YORKSHIRE", 1))["faults"] == {}
    assert "facts missing" in str(evaluated(tmp_path, capsys, fact("Ann removed to New-yorkish", 1))["faults"])


def test_what_the_rules_of_the_service_stop_is_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = [fact("Ann moved to York", 1), fact("Ann wants a tour", 2, source=2)]
    figures = evaluated(tmp_path, capsys, *facts)["all"]
    assert (figures["wrongly_proposed"], figures["wrongly_superseded"]) == (1, 0)


def test_a_reply_that_cannot_be_read_is_a_failure_of_its_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = evaluated(tmp_path, capsys, reply="Sure, I will remember that!")
    assert figures["all"]["failures"] == 1
    assert figures["tokens"]["calls"] == 2  # it was asked once more


def test_tokens_are_those_of_the_endpoint_and_replies_can_be_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.dumps({"facts": [fact("Ann moved to York", 1)]})

    def answer(_request: Request) -> Answer:
        message = {"role": "assistant", "content": content}
        usage = {"prompt_tokens": 1000, "completion_tokens": 50}
        return Answer(body={"choices": [{"index": 0, "finish_reason": "stop", "message": message}], "usage": usage})

    cases, kept = tmp_path / "cases.jsonl", tmp_path / "kept.jsonl"
    cases.write_text(json.dumps(MOVED))
    with serve(answer) as server:
        given = ["--cases", str(cases), "--url", f"{server.url}/v1", "--model", "m", "--record", str(kept), "--json"]
        assert main([*given, "--prices", "2", "8"], {"OPENAI_API_KEY": "k"}) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["tokens"]["prompt"], figures["tokens"]["completion"]) == (1000, 50)
    assert figures["cost"] == pytest.approx(0.0024)
    assert read_replies(kept) == {"moved": content}


def test_without_an_llm_or_with_a_recording_of_other_cases_nothing_is_measured(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no LLM"):
        main([], {})
    write_replies(tmp_path / "other.jsonl", {"other": "{}"})
    with pytest.raises(ToolError, match="no reply for"):
        main(["--replies", str(tmp_path / "other.jsonl")], {})


@pytest.mark.parametrize("line", ["{}", "no json", json.dumps(MOVED | {"known": []})])
def test_a_line_that_is_no_case_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "cases.jsonl").write_text(line)
    with pytest.raises(ToolError, match=r"cases\.jsonl, line 1"):
        read_cases(tmp_path / "cases.jsonl")


def test_the_instructions_stay_below_2000_tokens() -> None:
    # Every model's tokenizer needs fewer tokens than a third of the bytes for English instructions: of these, OpenAI's
    # o200k makes about a quarter, and BERT's a quarter.
    [instructions, _] = extraction_messages(
        [], [], [], now="2026-01-01T00:00:00+00:00", instructions=None, agent=True, categories={"a": "b"}
    )
    assert len(instructions.content.encode()) / 3 < 2000


def test_the_cases_and_the_recording_stay_small() -> None:
    assert CASES.stat().st_size + RECORDED.stat().st_size < 60_000
