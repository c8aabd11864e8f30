"""The log of erasures: which of its lines are of after a moment, whatever was restored from whatever copy."""

from __future__ import annotations

import pytest

from forgetless.domain.erasure_log import (
    LoggedErasure,
    LoggedRestore,
    LogLine,
    Moment,
    are_related,
    dump_header,
    dump_line,
    erased_since,
    load_header,
    load_line,
    logged,
    markers_of,
)
from forgetless.domain.erasures import Erasure, Target
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.scope import Scope

AT = "2026-11-01T10:00:00.000000+00:00"
KEY = b"k" * 32


def line(incarnation: str, number: int) -> LoggedErasure:
    return LoggedErasure(incarnation, "t", number, f"{incarnation}{number}", ())


#: B was restored from a copy of A, and C from a copy of B; X belongs to another ledger.
LOG: list[LogLine] = [
    line("A", 1),
    line("A", 2),
    LoggedRestore("B", "A"),
    line("B", 3),
    LoggedRestore("C", "B"),
    line("C", 4),
    line("A", 2),
    line("X", 9),
]


@pytest.mark.parametrize(
    ("moment", "found"),
    [
        (Moment("A", 0), ["A1", "A2", "B3", "C4"]),
        (Moment("A", 1), ["A2", "B3", "C4"]),
        (Moment("A", 2), ["B3", "C4"]),
        (Moment("B", 2), ["B3", "C4"]),
        (Moment("B", 3), ["C4"]),
        (Moment("C", 4), []),
        (Moment("X", 0), ["X9"]),
        (Moment("unknown", 0), []),
        (None, ["A1", "A2", "B3", "C4", "X9"]),
    ],
)
def test_what_was_erased_since(moment: Moment | None, found: list[str]) -> None:
    assert sorted(one.id for one in erased_since(LOG, moment)) == found


def test_restores_in_a_circle_end() -> None:
    lines: list[LogLine] = [LoggedRestore("B", "A"), LoggedRestore("A", "B"), line("A", 1)]
    assert [one.id for one in erased_since(lines, Moment("B", 0))] == ["A1"]


def test_markers_of_the_log_cover_and_reveal_what_matches() -> None:
    targets = (Target({"user_id": "anna"}, ("run_id",)), Target({"agent_id": "bot", "user_id": "bob"}))
    markers = markers_of(KEY, [logged(KEY, "A", Erasure("acme", 5, targets, AT, "id"))])
    run = Scope("acme", user_id="anna", run_id="r")
    assert markers.revealed(run) == [Target({"user_id": "anna"}, ("run_id",))]
    assert markers.revealed(Scope("acme", user_id="anna")) == []
    assert markers.revealed(Scope("acme", user_id="bob", agent_id="bot", app_id="a")) == [targets[1]]
    assert markers.cover(Job("j", run, JobState.PENDING, AT, AT))


@pytest.mark.parametrize("one", LOG)
def test_a_line_and_its_text(one: LogLine) -> None:
    assert load_line(dump_line(one)) == one


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format":"forgetless-erasures","version":2}', dump_line(LOG[0])])
def test_what_is_no_header_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        load_header(text)


def test_a_header_says_whether_it_is_about_one_tenant() -> None:
    assert load_header(dump_header(KEY)) == (KEY, False)
    assert load_header(dump_header(KEY, tenant=True)) == (KEY, True)


@pytest.mark.parametrize(
    ("one", "other", "related"),
    [
        ("first", "first", True),
        ("second", "first", True),
        ("second", "branch", True),
        ("second", "stranger", False),
        ("of-old", "of-old", True),
        ("of-old", "of-old-too", False),
        ("", "", False),
        ("", "of-old", False),
    ],
)
def test_ledgers_are_related_if_restores_lead_to_one(one: str, other: str, *, related: bool) -> None:
    restores = [
        LoggedRestore("second", "first"),
        LoggedRestore("branch", "first"),
        # Two ledgers that an earlier version made, whose names are empty.
        LoggedRestore("of-old", ""),
        LoggedRestore("of-old-too", ""),
    ]
    assert are_related(restores, one, other) is are_related(restores, other, one) is related
