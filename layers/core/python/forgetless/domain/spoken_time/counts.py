"""Counted times: three days ago, cách đây 3 ngày, vor drei Tagen, in the last two weeks, six months."""

from __future__ import annotations

from forgetless.domain.spoken_time import tables
from forgetless.domain.spoken_time.mentions import VAGUE, Mention, Relative
from forgetless.domain.spoken_time.spelling import spellings, word_set
from forgetless.domain.spoken_time.text import TimeText

__all__ = ["UNIT_OF", "read_count"]

UNIT_OF = {name: unit for unit, names in tables.UNITS.items() for name in spellings(names.split())}
_NUMBER_OF = {name: number for number, names in tables.NUMBERS.items() for name in spellings(names.split())}
_ABOUT = word_set("about around roughly over almost nearly khoảng chừng hơn gần unos casi environ etwa fast")
#: 3 ngày trước khi …, 3 ngày trước đó: before something else than now.
_BEFORE_ELSE = word_set("khi đó do")
#: What "a few" may be.
_FEW_FROM, _FEW_TO = 2, 7
_MOST = 999


def read_count(text: TimeText, index: int) -> tuple[Mention, int] | None:
    """The counted time whose unit stands at `index`; None if it has no number or says nothing of a time."""
    unit, start, few = UNIT_OF[text.words[index]], index - 1, False
    number = _number(text.word(start))
    if text.word(start) == "of" and text.word(start - 1) == "couple":
        number, start = 2, start - 1
    elif text.word(start) in tables.PAST_BEFORE and _number(text.word(start - 1)):
        number, start = _number(text.word(start - 1)), start - 1
        return _up_to_now(unit, number or 1), index + 1
    elif text.word(start) in tables.FEW:
        number, few = 3, True
    if number is None:
        return None
    return _counted(text, index, start, unit, number, few=few)


def _counted(
    text: TimeText, index: int, start: int, unit: str, number: int, *, few: bool
) -> tuple[Mention, int] | None:
    before = start - 1 if text.word(start - 1) in _ABOUT else start
    after = text.word(index + 1)
    if after in tables.AGO_AFTER and text.word(index + 2) not in _BEFORE_ELSE:
        return _ago(unit, number, few=few), index + 2
    if any(text.ends_with(phrase, before - 1) for phrase in tables.AGO_BEFORE):
        return _ago(unit, number, few=few), index + 1
    if text.word(before - 1) in tables.PAST_BEFORE or _past_after(text, index):
        return _up_to_now(unit, _FEW_TO if few else number), index + 1
    duration = number > 1 or few or text.word(start).isdecimal()
    return (VAGUE, index + 1) if duration and unit != "hour" else None


def _past_after(text: TimeText, index: int) -> bool:
    return any(
        text.ends_with(phrase, index + len(phrase)) for phrase in tables.PAST_AFTER if index + len(phrase) < len(text)
    )


def _number(word: str) -> int | None:
    if word.isascii() and word.isdecimal():
        return int(word) if len(word) <= 3 and 0 < int(word) <= _MOST else None
    return _NUMBER_OF.get(word)


def _ago(unit: str, number: int, *, few: bool) -> Mention:
    if unit == "hour":
        return _up_to_now(unit, number)
    return Relative(unit, _FEW_TO, _FEW_FROM) if few else Relative(unit, number, number)


def _up_to_now(unit: str, number: int) -> Mention:
    if unit == "hour":
        return Relative("day", -(-number // 24), 0)
    return Relative("day", 7 * number, 0) if unit == "week" else Relative(unit, number, 0)
