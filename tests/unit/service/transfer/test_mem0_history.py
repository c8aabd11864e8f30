"""Memories of mem0 with the rows of its history.db."""

from __future__ import annotations

from typing import Any

import pytest

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.imported_memory import check_imported
from forgetless.domain.memory import EventKind
from forgetless.service.transfer.mem0_history import foreign_events

NOW = "2026-06-01T00:00:00.000000+00:00"
ID = "7f0c1d5e-1111-4222-8333-944445555666"


def day(number: int) -> str:
    return f"2025-01-0{number}T00:00:00.000000+00:00"


def row(event: str, old: str | None, new: str | None, created: int | None, updated: int | None) -> dict[str, Any]:
    times = {"created_at": created and day(created), "updated_at": updated and day(updated)}
    return {"event": event, "old_memory": old, "new_memory": new, **times}


def versions(rows: Any, *, text: str = "tea", **fields: Any) -> list[tuple[str, str, str]]:
    """What became of the memory: kind, text and time of each event."""
    record = {"id": ID, "memory": text, "user_id": "ana", "metadata": {"a": 1}, **fields, "history": rows}
    events = foreign_events("acme", record, now=NOW, most_chars=100)
    again = foreign_events("acme", record, now="2027" + NOW[4:], most_chars=100)
    assert [one.memory.event_id for one in events] == [one.memory.event_id for one in again]
    assert len({one.memory.event_id for one in events}) == len(events)
    assert [one.memory.version for one in events] == list(range(1, len(events) + 1))
    assert {one.memory.created_at for one in events} == {events[0].memory.created_at}
    for event in events:
        check_imported(event.memory, most_chars=200_000)
        assert dict(event.memory.metadata) == {"a": 1}
        assert (event.kind is EventKind.ADD) == (event.memory.version == 1)
    return [(event.kind.value, event.memory.text, event.memory.updated_at) for event in events]


ADDED = row("ADD", None, "coffee", 1, 1)
CHANGED = row("UPDATE", "coffee", "tea", 1, 3)


@pytest.mark.parametrize(
    ("rows", "fields", "expected"),
    [
        ([], {"created_at": day(1)}, [("ADD", "tea", day(1))]),
        ([ADDED, CHANGED], {"created_at": day(1), "updated_at": day(3)}, [("ADD", "coffee", 1), ("UPDATE", "tea", 3)]),
        # The record has changed since, without a new text.
        ([ADDED, CHANGED], {"created_at": day(1), "updated_at": day(5)}, [("ADD", "coffee", 1), ("UPDATE", "tea", 5)]),
        # It has another text than the history says.
        (
            [ADDED],
            {"created_at": day(1), "updated_at": day(4)},
            [("ADD", "coffee", 1), ("UPDATE", "tea", 4)],
        ),
        # The beginning is missing.
        ([CHANGED], {"created_at": day(1), "updated_at": day(3)}, [("ADD", "coffee", 1), ("UPDATE", "tea", 3)]),
        # Deletions and events without effect are no versions.
        (
            [ADDED, row("NONE", "coffee", "coffee", 1, 2), CHANGED, row("DELETE", "tea", None, 1, 4)],
            {"created_at": day(1)},
            [("ADD", "coffee", 1), ("UPDATE", "tea", 3)],
        ),
        # The times of a record without any are those of its history.
        ([row("ADD", None, "tea", 2, None)], {}, [("ADD", "tea", 2)]),
        ([ADDED, CHANGED], {}, [("ADD", "coffee", 1), ("UPDATE", "tea", 3)]),
        ([row("ADD", None, "tea", 2, None)], {"created_at": day(1)}, [("ADD", "tea", 1)]),
    ],
)
def test_each_text_is_a_version_at_its_time(rows: list[Any], fields: dict[str, Any], expected: list[Any]) -> None:
    assert versions(rows, **fields) == [
        (kind, text, day(at) if isinstance(at, int) else at) for kind, text, at in expected
    ]


def test_times_never_run_backwards() -> None:
    rows = [row("ADD", None, "a", 3, 3), row("UPDATE", "a", "b", 3, 1), row("UPDATE", "b", "tea", None, None)]
    times = [at for _, _, at in versions(rows, created_at=day(3), updated_at=day(3))]
    assert times == [day(3), day(3)[:-7] + "1+00:00", day(3)[:-7] + "2+00:00"]


def test_a_point_has_its_history_beside_its_payload() -> None:
    payload = {"data": "tea", "user_id": "ana", "created_at": day(1), "history": "metadata"}
    events = foreign_events(
        "acme", {"id": ID, "payload": payload, "history": [ADDED, CHANGED]}, now=NOW, most_chars=100
    )
    assert [one.memory.text for one in events] == ["coffee", "tea"]
    assert dict(events[0].memory.metadata) == {"history": "metadata"}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("rows", "history: expected a list of objects"),
        ([1], "history: expected a list of objects"),
        ([{**ADDED, "created_at": "soon"}], "history.created_at"),
        ([{**ADDED, "new_memory": "x" * 101}], "101 characters"),
        ([{**ADDED, "new_memory": "\ud800"}], "surrogate"),
        ([{**ADDED, "new_memory": 7}], "history.new_memory: expected a text"),
        ([{**ADDED, "event": {}}], "history.event: expected a text"),
    ],
)
def test_what_is_no_history_is_refused(rows: Any, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        versions(rows)
