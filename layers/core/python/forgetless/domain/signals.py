"""Signals of a memory and of a question that count in the score beside the vector and the words.

A memory's signals stand in one column of its row in the index (`RowSignals.pack`) and come back with every hit, so that
a score needs no other read. What each one is worth stands where scores are made.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Final, NamedTuple

from forgetless.domain.addressed_assistant import asks_assistant
from forgetless.domain.question_dates import AskedDate, asked_dates, best_fit, day_number
from forgetless.domain.said import Said
from forgetless.domain.time_words import has_time
from forgetless.domain.when_questions import asks_when

__all__ = [
    "DAY_BITS",
    "FLAG_BITS",
    "QuestionSignals",
    "RowSignals",
    "date_part",
    "masses",
    "question_signals",
    "row_signals",
    "time_order",
]

#: Texts from this length on are no questions, even if they end with one.
QUESTION_CHARS: Final = 350

# The bits of a packed row, from the lowest: form (4), assistant, question, has_time (1 each), one that is not used,
# mass (16), second (17), day (22). A later form has another number in the first four.
_FORM: Final = 1
_FORM_MASK: Final = 0xF
_ASSISTANT, _QUESTION, _HAS_TIME = 1 << 4, 1 << 5, 1 << 6
_MASS_AT: Final = 8
_MASS_MOST: Final = 0xFFFF
_SECOND_AT: Final = 24
_SECOND_MASK: Final = 0x1FFFF
_DAY_AT: Final = 41
_DAY_MASK: Final = 0x3FFFFF
#: Added to the days since 1970: the calendar's first day (year 1) is stored as 1, and an unknown day as 0.
_DAY_OFFSET: Final = date(1970, 1, 1).toordinal()
#: The bits of a packed row that hold its form and flags, and those that hold its day.
FLAG_BITS: Final = (1 << _MASS_AT) - 1
DAY_BITS: Final = _DAY_MASK << _DAY_AT


class RowSignals(NamedTuple):
    """What a memory's row says beside its vector and words. A tuple, because a search makes hundreds of them."""

    #: The assistant said it.
    assistant: bool = False
    #: It is a short text that asks something.
    question: bool = False
    #: It speaks of a time.
    has_time: bool = False
    #: How much it says, from 0 to 1.
    mass: float = 0.0
    #: When it was said: days since 1970-01-01 in UTC, and the second of that day.
    day: int | None = None
    second: int = 0

    def pack(self) -> int:
        """The signals as one number from 0 to 2^63 - 1; the mass is kept to 1/131,070."""
        mass = round(min(1.0, max(0.0, self.mass)) * _MASS_MOST)
        day = 0 if self.day is None else self.day + _DAY_OFFSET
        if not (0 <= day <= _DAY_MASK and 0 <= self.second <= _SECOND_MASK):
            raise ValueError(f"second {self.second} of day {self.day} is outside of the calendar")
        flags = (
            (_ASSISTANT if self.assistant else 0)
            | (_QUESTION if self.question else 0)
            | (_HAS_TIME if self.has_time else 0)
        )
        return _FORM | flags | mass << _MASS_AT | self.second << _SECOND_AT | day << _DAY_AT

    @classmethod
    def unpack(cls, packed: int) -> RowSignals:
        """The signals in a packed number; ValueError if it has another form than `pack` gives."""
        if packed & _FORM_MASK != _FORM:
            raise ValueError(f"signals {packed} have form {packed & _FORM_MASK}; this version reads form {_FORM}")
        day = packed >> _DAY_AT & _DAY_MASK
        return cls(
            packed & _ASSISTANT != 0,
            packed & _QUESTION != 0,
            packed & _HAS_TIME != 0,
            (packed >> _MASS_AT & _MASS_MOST) / _MASS_MOST,
            day - _DAY_OFFSET if day else None,
            packed >> _SECOND_AT & _SECOND_MASK,
        )


class QuestionSignals(NamedTuple):
    """What a question asks for beside its meaning and words."""

    asks_when: bool = False
    dates: tuple[AskedDate, ...] = ()
    #: It asks for what the assistant said, so that the assistant's memories count in full.
    asks_assistant: bool = False


def row_signals(own: Said, *, mass: float, created_at: str) -> RowSignals:
    """The signals of a message that was said at `created_at`, a timestamp of `domain/times.py`.

    Who has a name is no assistant: messages know two sides only, so the second of two people stands on the assistant's.
    """
    day, second = _moment(created_at)
    return RowSignals(
        assistant=own.role == "assistant" and own.speaker is None,
        question=_is_question(own.text),
        has_time=has_time(own.text),
        mass=mass,
        day=day,
        second=second,
    )


def question_signals(question: str, *, reference: date, agent_alone: bool) -> QuestionSignals:
    """The signals of a question asked on the day `reference`. `agent_alone`: the filter has an agent id alone."""
    return QuestionSignals(
        asks_when=asks_when(question),
        dates=asked_dates(question, reference=reference),
        asks_assistant=agent_alone or asks_assistant(question),
    )


def date_part(question: QuestionSignals, row: RowSignals) -> float:
    """How well the memory's day fits the dates of the question, from 0 to 1 (`question_dates.py` has the rule)."""
    return best_fit(question.dates, row.day) if question.dates else 0.0


def time_order(packed: int) -> int:
    """A number that grows with the time of a packed row, to the second."""
    return packed >> _SECOND_AT


def masses(rows: Iterable[int]) -> list[float]:
    """The masses of packed rows alone: no two rows share one, and they share most of the rest."""
    return [(packed >> _MASS_AT & _MASS_MOST) / _MASS_MOST for packed in rows]


def _is_question(text: str) -> bool:
    return len(text) < QUESTION_CHARS and text.rstrip(" \t\r\n\"'”’»)*_").endswith(("?", "？", "؟"))


def _moment(created_at: str) -> tuple[int | None, int]:
    """The day and the second of a timestamp; no day if it is none."""
    try:
        moment = datetime.fromisoformat(created_at)
    except ValueError:
        return None, 0
    return day_number(moment.date()), moment.hour * 3600 + moment.minute * 60 + moment.second
