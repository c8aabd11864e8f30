"""Signals: packed into one number and back, and read from messages and questions."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgetless.domain.said import Said
from forgetless.domain.signals import (
    QuestionSignals,
    RowSignals,
    date_part,
    question_signals,
    row_signals,
    time_order,
)
from forgetless.domain.times import read_time

REFERENCE = date(2026, 11, 28)
CREATED_AT = "2026-11-20T23:59:59.999999+00:00"
#: 1 January of year 1, and 31 December of year 9999.
FIRST_DAY, LAST_DAY = -719_162, 2_932_896

ROWS = st.builds(
    RowSignals,
    assistant=st.booleans(),
    question=st.booleans(),
    has_time=st.booleans(),
    mass=st.floats(0, 1),
    day=st.none() | st.integers(FIRST_DAY, LAST_DAY),
    second=st.integers(0, 86_399),
)


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_packed_signals_come_back(row: RowSignals) -> None:
    packed = row.pack()
    back = RowSignals.unpack(packed)
    assert 0 <= packed < 2**63
    assert back._replace(mass=row.mass) == row
    # The score weighs the mass with 0.05, and may move by less than 0.0001.
    assert abs(back.mass - row.mass) * 0.05 < 1e-6
    assert back.pack() == packed


def test_each_signal_has_bits_of_its_own() -> None:
    rows = [
        RowSignals(),
        RowSignals(assistant=True),
        RowSignals(question=True),
        RowSignals(has_time=True),
        RowSignals(mass=1.0),
        RowSignals(day=0),
        RowSignals(day=FIRST_DAY),
        RowSignals(second=86_399),
    ]
    assert [RowSignals.unpack(row.pack()) for row in rows] == rows


def test_packed_rows_have_the_order_of_their_times() -> None:
    times = ["0001-01-01T00:00:00", "1969-12-31T23:59:59", "1970-01-01T00:00:00", "2026-11-20T09:00:01"]
    rows = [
        row_signals(Said("tea?", role="assistant"), mass=0.9 - place / 10, created_at=f"{time}.000000+00:00").pack()
        for place, time in enumerate(times)
    ]
    assert [time_order(row) for row in rows] == sorted({time_order(row) for row in rows})


@pytest.mark.parametrize(("mass", "kept"), [(-0.5, 0.0), (1.5, 1.0)])
def test_a_mass_outside_of_the_scale_is_kept_as_its_end(mass: float, kept: float) -> None:
    assert RowSignals.unpack(RowSignals(mass=mass).pack()).mass == kept


@pytest.mark.parametrize("packed", [0, 2, 15])
def test_another_form_is_told_apart(packed: int) -> None:
    with pytest.raises(ValueError, match="this version reads form 1"):
        RowSignals.unpack(packed)


def test_a_day_that_no_calendar_has_is_refused() -> None:
    with pytest.raises(ValueError, match="outside of the calendar"):
        RowSignals(day=FIRST_DAY - 2).pack()


@pytest.mark.parametrize(
    ("created_at", "day"),
    [
        ("1970-01-01T00:00:00.000000+00:00", 0),
        ("1969-12-31T23:59:59.999999+00:00", -1),
        (CREATED_AT, 20_777),
        (read_time("0001-01-01T00:00:00"), FIRST_DAY),
        (read_time("9999-12-31"), LAST_DAY),
        ("", None),
    ],
)
def test_the_day_is_that_of_the_timestamp(created_at: str, day: int | None) -> None:
    row = row_signals(Said("Hello."), mass=0.5, created_at=created_at)
    assert row.day == day
    assert RowSignals.unpack(row.pack()).day == day


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Where is the cat?", True),
        ('She asked: "Where is the cat?"  \n', True),
        ("¿Dónde está el gato?", True),
        ("猫はどこですか？", True),
        ("Where is the cat? I miss it.", False),
        ("The cat is here.", False),
        ("?" + "a" * 348 + "?", False),
        ("a" * 348 + "?", True),
        ("", False),
    ],
)
def test_a_short_text_that_ends_with_a_question_mark_is_a_question(text: str, question: bool) -> None:
    assert row_signals(Said(text), mass=0.0, created_at=CREATED_AT).question is question


@pytest.mark.parametrize(("role", "assistant"), [("assistant", True), ("user", False), ("tool", False), (None, False)])
def test_the_role_tells_who_is_the_assistant(role: str | None, assistant: bool) -> None:
    assert row_signals(Said("Hello.", role=role), mass=0.0, created_at=CREATED_AT).assistant is assistant


def test_a_speaker_with_a_name_is_no_assistant_whatever_the_role() -> None:
    # Of two people who talk, one has the assistant's role, because there are only two. Counted as an assistant's, half
    # of LoCoMo's turns fell behind: recall@10 was 0.81 instead of 0.85.
    said = Said("Hello.", speaker="Melanie", role="assistant")
    assert not row_signals(said, mass=0.0, created_at=CREATED_AT).assistant


def test_a_row_keeps_its_mass_and_whether_it_speaks_of_a_time() -> None:
    row = row_signals(Said("We moved to Huế last week."), mass=0.25, created_at=CREATED_AT)
    assert (row.mass, row.has_time) == (0.25, True)
    assert not row_signals(Said("We moved to Huế."), mass=0.25, created_at=CREATED_AT).has_time


def test_a_question_has_its_signals() -> None:
    asked = question_signals("When did you recommend it, in May 2026?", reference=REFERENCE, agent_alone=False)
    assert asked.asks_when
    assert asked.asks_assistant
    assert date_part(asked, RowSignals(day=date(2026, 5, 31).toordinal() - date(1970, 1, 1).toordinal())) == 0.7
    assert question_signals("Where do I live?", reference=REFERENCE, agent_alone=False) == QuestionSignals()


def test_a_filter_with_the_agent_alone_asks_for_the_assistant() -> None:
    assert question_signals("Where do I live?", reference=REFERENCE, agent_alone=True).asks_assistant


def test_a_row_without_a_day_and_a_question_without_a_date_have_no_date_part() -> None:
    asked = question_signals("What did I eat yesterday?", reference=REFERENCE, agent_alone=False)
    assert date_part(asked, RowSignals(day=None)) == 0.0
    assert date_part(QuestionSignals(), RowSignals(day=20_000)) == 0.0


#: Parts of times, in any order.
FRAGMENTS = (
    "may May 0 9 31 99 2023 0000-01-01 29/02/1900 1/1/0001 '23 3rd 3-5 of , . ngày tháng mười năm thứ hai trước last "
    "ago week days hours 999 Sun in on year 年 月 日 十 三 上 周 前 9999年 you said "
    "² ٣ İ \u0301 \ufdfa when? khi nào hier vor il y a"
)
TEXTS = st.lists(st.sampled_from(FRAGMENTS.split()) | st.text(max_size=4), max_size=12).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.dates(), st.dates())
def test_any_text_has_signals(text: str, reference: date, said: date) -> None:
    row = row_signals(Said(text), mass=0.5, created_at=f"{said.isoformat()}T00:00:00.000000+00:00")
    asked = question_signals(text, reference=reference, agent_alone=False)
    assert 0.0 <= date_part(asked, row) <= 1.0
    # What names a date speaks of a time.
    assert row.has_time or not asked.dates
