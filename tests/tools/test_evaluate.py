"""The evaluation: both formats, recall as it is defined, times that are sent, users that are deleted afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.client import ToolError
from local.evaluate.cli import main
from local.evaluate.conversations import Conversation
from local.evaluate.fact_replies import fact_replies
from local.evaluate.files import read_conversations
from local.evaluate.recall import Answer, recall_at
from tests.tools.fake_service import KEY, FakeService

CHAT = [
    {"conversation": "allotment", "group": "chats", "asked": "2025-06-01"},
    {"at": "2025-01-08T19:20"},
    {"user": "I rented an allotment", "name": "Ann"},
    {"assistant": "What will you grow?"},
    {"at": "2025-02-01T08:00"},
    {"user": "The beans froze"},
    {"q": "what froze", "kind": "single fact", "evidence": [3]},
]
FACTS = [
    {"conversation": "facts", "form": "facts"},
    {"at": "2025-01-08T19:20"},
    {"user": "I like tea and my cat is Tom", "name": "Ann", "facts": ["Ann likes tea", "Ann's cat is called Tom"]},
    {"q": "which tea", "kind": "single fact", "evidence": [1]},
]


def answer(evidence: set[str], *found: str) -> Answer:
    return Answer("?", "any", frozenset(evidence), found, (0.5,) * len(found), 0.001)


def write_file(folder: Path, **changes: Any) -> Path:
    turns = [
        {"id": f"D{session}:{place}", "session": session, "speaker": speaker, "text": f"word{session}{place} said"}
        | {"session_time": f"1:5{session} pm on 8 May, 2023"}
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


def write_lines(folder: Path, lines: list[dict[str, Any]]) -> Path:
    file = folder / "own.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


def read_one(path: Path) -> Conversation:
    [conversation] = read_conversations(path)
    return conversation


def arguments(service: FakeService, file: Path, *more: str) -> list[str]:
    return [str(file), "--url", service.url, "--api-key", KEY, *more]


def test_recall_is_the_share_of_evidence_averaged_over_questions() -> None:
    answers = [answer({"a", "b"}, "a", "x", "b"), answer({"c"}, "x", "y", "z")]
    assert [recall_at(answers, k) for k in (1, 3)] == [0.25, 0.5]


def test_recall_counts_a_turn_once_however_often_it_is_found() -> None:
    assert answer({"a", "b"}, "a", "a", "a").recall(3) == 0.5


def test_questions_without_evidence_are_left_out(tmp_path: Path) -> None:
    assert [question.text for question in read_one(write_file(tmp_path)).questions] == ["word12", "word23"]


def test_the_original_file_of_locomo_is_read(tmp_path: Path) -> None:
    talk = {
        "speaker_a": "Ann",
        "speaker_b": "Bob",
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [
            {"speaker": "Bob", "dia_id": "D1:1", "text": "Look", "blip_caption": "a photo of a dog"},
            {"speaker": "Ann", "dia_id": "D1:2", "text": "Nice"},
        ],
    }
    asked = [{"question": "Which photo?", "category": 1, "evidence": ["D1:1; D1:2", "D7:1"]}, {"question": "No?"}]
    file = tmp_path / "locomo10.json"
    file.write_text(json.dumps([{"sample_id": "conv-26", "conversation": talk, "qa": asked}]))
    found = read_one(file)
    assert (found.name, found.turns[0].text) == ("conv-26", "Look [shares a picture: a photo of a dog]")
    assert [turn.role for turn in found.turns] == ["assistant", "user"]
    assert found.questions[0].evidence == {"D1:1", "D1:2"}
    assert found.turns[0].time is not None
    assert found.turns[0].time.isoformat() == "2023-05-08T13:56:00+00:00"


def test_our_own_format_is_read(tmp_path: Path) -> None:
    found = read_one(write_lines(tmp_path, CHAT))
    assert [(turn.id, turn.session, turn.role, turn.speaker) for turn in found.turns] == [
        ("1", 1, "user", "Ann"),
        ("2", 1, "assistant", ""),
        ("3", 2, "user", ""),
    ]
    assert found.questions[0].evidence == {"3"}


@pytest.mark.parametrize(
    "fault",
    [
        {"turns": [{"text": "no id"}]},
        {"questions": [{"question": "?", "evidence": ["D9:9"]}]},
        {"turns": [{"id": "1", "session": 1, "speaker": "A", "text": "", "session_time": "noon"}]},
    ],
)
def test_a_fault_is_named_with_its_file(tmp_path: Path, fault: dict[str, Any]) -> None:
    with pytest.raises(ToolError, match=r"talk.*(no turn|not in|must read)"):
        read_conversations(write_file(tmp_path, **fault))


@pytest.mark.parametrize("line", ["nothing", '{"other": 1}', '{"q": "?", "kind": "any"}', "[]"])
def test_a_fault_in_our_format_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    file = write_lines(tmp_path, CHAT[:3])
    file.write_text(f"{file.read_text()}{line}\n")
    with pytest.raises(ToolError, match=r"own\.jsonl, line 4"):
        read_conversations(file)


def test_every_turn_is_added_in_order_with_speaker_and_time(service: FakeService, tmp_path: Path) -> None:
    main(arguments(service, write_file(tmp_path), "--keep", "--batch", "2"), {})
    said = [(one["run_id"], one["timestamp"], one["memory"]) for one in service.memories]
    assert said[:4] == [
        ("session-1", "2023-05-08T13:51:00+00:00", "Ann: word11 said"),
        ("session-1", "2023-05-08T13:51:00+00:00", "Bob: word12 said"),
        ("session-1", "2023-05-08T13:51:02+00:00", "Ann: word13 said"),
        ("session-2", "2023-05-08T13:52:00+00:00", "Ann: word21 said"),
    ]


def test_questions_say_when_they_are_asked_and_leave_the_threshold_to_the_service(
    service: FakeService, tmp_path: Path
) -> None:
    main(arguments(service, write_lines(tmp_path, CHAT)), {})
    [asked] = service.asked
    assert asked["reference_date"] == "2025-06-01T00:00:00+00:00"
    assert "threshold" not in asked


@pytest.mark.parametrize(
    ("names", "texts", "fields"),
    [("text", "Ann: word11 said", None), ("field", "word11 said", "Ann"), ("none", "word11 said", None)],
)
def test_a_name_stands_where_it_is_asked_for(
    service: FakeService, tmp_path: Path, names: str, texts: str, fields: str | None
) -> None:
    main(arguments(service, write_file(tmp_path), "--keep", "--names", names), {})
    assert (service.memories[0]["memory"], service.memories[0]["name"]) == (texts, fields)


def test_facts_are_stored_as_they_are_each_in_a_run_of_its_own(service: FakeService, tmp_path: Path) -> None:
    main(arguments(service, write_lines(tmp_path, FACTS), "--keep"), {})
    assert [(one["memory"], one["name"], one["run_id"]) for one in service.memories] == [
        ("Ann likes tea", "Ann", "fact-1"),
        ("Ann's cat is called Tom", "Ann", "fact-2"),
    ]


def test_the_llm_of_an_evaluation_answers_with_the_facts_of_each_message(tmp_path: Path) -> None:
    data = {"new_messages": [{"number": 4, "role": "user", "text": FACTS[2]["user"]}, {"number": 5, "text": "Hm"}]}
    prompt = [{"role": "system", "content": "…"}, {"role": "user", "content": f"<data>\n{json.dumps(data)}\n</data>"}]
    with fact_replies(read_conversations(write_lines(tmp_path, FACTS))) as url:
        reply = httpx.post(f"{url}/chat/completions", json={"messages": prompt}, trust_env=False).json()
    facts = json.loads(reply["choices"][0]["message"]["content"])["facts"]
    assert [(fact["text"], fact["sources"]) for fact in facts] == [(text, [4]) for text in FACTS[2]["facts"]]


def test_the_figures_come_as_json(service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(service, write_file(tmp_path), "--json", "--calibrate"), {}) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["all"]["questions"] == 2
    assert figures["all"]["recall@20"] == 1.0
    assert set(figures["categories"]) == {"temporal", "single-hop"}
    assert figures["groups"]["locomo"]["recall@10"] == 1.0
    assert [(one["low"], one["rows"], one["evidence"]) for one in figures["calibration"]["bands"]] == [
        (0.0, 10, 0),
        (1.0, 2, 2),
    ]


def test_its_users_are_deleted_even_after_a_failure(service: FakeService, tmp_path: Path) -> None:
    service.broken["/v3/memories/search/"] = (503, {"detail": "the index is down"})
    with pytest.raises(ToolError, match="the index is down"):
        main(arguments(service, write_file(tmp_path)), {})
    assert service.memories == []
    assert ("POST", "/v3/memories/add/") in service.requests


def test_keep_leaves_the_memories(service: FakeService, tmp_path: Path) -> None:
    main(arguments(service, write_file(tmp_path), "--keep"), {})
    assert len(service.memories) == 6
