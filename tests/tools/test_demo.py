"""The demo: a story that is long enough, questions that it answers, and data that stays to be looked at, or goes."""

from __future__ import annotations

import pytest

from local.client import Client, Connection
from local.demo.cli import main
from local.demo.replay import Replay
from local.demo.story import DAYS, QUESTIONS
from tests.tools.fake_service import KEY, FakeService


def test_the_story_has_two_people_several_days_and_sixty_messages() -> None:
    assert len({day.user for day in DAYS}) == 2
    assert len({day.date for day in DAYS}) >= 5
    assert sum(len(day.said) for day in DAYS) >= 60
    assert [day.date for day in DAYS] == sorted(day.date for day in DAYS)


def test_every_question_has_an_answer_in_the_story_of_its_person() -> None:
    assert len(QUESTIONS) == 10
    for question in QUESTIONS:
        told = " ".join(text for day in DAYS if day.user == question.user for text in day.said)
        assert question.expected.casefold() in told.casefold(), question.text


def test_it_asks_everything_and_its_memories_stay_for_the_console(
    service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--url", service.url, "--api-key", KEY], {}) == 0
    shown = capsys.readouterr().out
    assert all(question.text in shown for question in QUESTIONS)
    assert "of 10 questions answered" in shown
    assert "No LLM is configured" in shown
    assert f"{service.url}/console#/entities" in shown
    assert {one["timestamp"][:10] for one in service.memories} == {day.date for day in DAYS}


def test_it_leaves_nothing_behind_if_it_shall_not(service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", service.url, "--api-key", KEY, "--forget"], {}) == 0
    assert "/console" not in capsys.readouterr().out
    assert service.memories == []


def test_with_an_llm_it_shows_what_was_superseded(service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    service.settings = {"settings": {"FORGETLESS_LLM_MODEL": "some-model"}}
    main(["--url", service.url, "--api-key", KEY], {})
    assert "0 facts were superseded" in capsys.readouterr().out


def test_superseded_memories_are_those_that_lists_hide(service: FakeService) -> None:
    with Client(Connection(service.url, KEY)) as client:
        replay = Replay(client, "demo", infer=True)
        first = next(replay.tell()).results[0]["id"]
        service.superseded.add(first)
        assert [events[0]["new_memory"] for events in replay.superseded()] == [f"history of /memories/{first}/history"]
