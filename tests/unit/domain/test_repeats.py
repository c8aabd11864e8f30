"""What counts as a repeat of an event, and times that never go backwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forgetless.domain.memory import Event, EventKind, Memory, is_repeat
from forgetless.domain.scope import Scope

FIRST = Memory("m", 1, Scope("acme", user_id="anna"), "tea", "2026-01-01", "2026-01-01", "job", event_id="job:0")
ADD = Event(EventKind.ADD, FIRST)


def with_memory(**changes: object) -> Event:
    return replace(ADD, memory=replace(FIRST, **changes))


def test_the_same_event_is_a_repeat_whatever_its_times_and_its_context() -> None:
    later = with_memory(created_at="2026-02-02", updated_at="2026-02-02", recorded_at="2026-02-02")
    assert is_repeat(ADD, later, erased=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "coffee"},
        {"metadata": {"a": 1}},
        {"expiration_date": "2030-01-01"},
        {"superseded_by": "other"},
        {"categories": ("drinks",)},
        {"immutable": True},
    ],
)
@pytest.mark.parametrize("event_id", ["job:0", ""])
def test_another_content_is_no_repeat_with_the_same_id_or_without_one(
    changes: dict[str, object], event_id: str
) -> None:
    held = with_memory(event_id=event_id)
    assert not is_repeat(held, with_memory(event_id=event_id, **changes), erased=False)


def test_another_id_is_no_repeat_though_all_else_agrees() -> None:
    assert not is_repeat(ADD, with_memory(event_id="another"), erased=False)


@pytest.mark.parametrize("ids", [("", "job:0"), ("job:0", ""), ("", "")])
def test_without_an_id_kind_job_and_content_must_agree(ids: tuple[str, str]) -> None:
    held, asked = with_memory(event_id=ids[0]), with_memory(event_id=ids[1])
    assert is_repeat(held, asked, erased=False)
    assert not is_repeat(held, replace(asked, kind=EventKind.UPDATE), erased=False)
    assert not is_repeat(held, replace(asked, memory=replace(asked.memory, job_id="another")), erased=False)


def test_once_its_words_are_erased_the_id_alone_tells() -> None:
    held = Event(EventKind.ADD, FIRST.blanked(deleted=False))
    assert is_repeat(held, ADD, erased=True)
    assert not is_repeat(held, with_memory(event_id="another"), erased=True)


def test_of_older_data_whose_words_are_erased_an_add_of_the_same_job_is_a_repeat() -> None:
    held = Event(EventKind.ADD, replace(FIRST, event_id="").blanked(deleted=False))
    assert is_repeat(held, ADD, erased=True)
    update = replace(ADD, kind=EventKind.UPDATE)
    assert not is_repeat(replace(held, kind=EventKind.UPDATE), update, erased=True)


def test_a_version_is_later_than_the_one_before_though_the_clock_ran_backwards() -> None:
    now = replace(FIRST, version=2, updated_at="2026-01-01T10:00:00.000000+00:00")
    back = now.next_version("2026-01-01T09:00:00.000000+00:00", event_id="e")
    assert back.updated_at == "2026-01-01T10:00:00.000001+00:00"
    on = now.next_version("2026-01-01T11:00:00.000000+00:00", event_id="e")
    assert on.updated_at == "2026-01-01T11:00:00.000000+00:00"


def test_the_end_of_the_calendar_is_no_error() -> None:
    last = replace(FIRST, version=2, updated_at="9999-12-31T23:59:59.999999+00:00")
    assert last.next_version("2026-01-01T09:00:00.000000+00:00", event_id="e").updated_at == last.updated_at


def test_erasing_takes_an_event_id_that_is_a_digest_of_the_words() -> None:
    assert replace(FIRST, event_id="line:abc").blanked(deleted=True).event_id == ""
    assert FIRST.blanked(deleted=True).event_id == "job:0"
