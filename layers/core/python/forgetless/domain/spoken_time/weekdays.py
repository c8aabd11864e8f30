"""Weekdays: last Monday, on Friday, el martes pasado, vendredi dernier, thứ hai tuần trước."""

from __future__ import annotations

from forgetless.domain.spoken_time import tables
from forgetless.domain.spoken_time.mentions import VAGUE, Mention, Weekday
from forgetless.domain.spoken_time.spelling import spellings, word_set
from forgetless.domain.spoken_time.text import CLAUSE_END, TimeText

__all__ = ["SHORT_WEEKDAY_NUMBERS", "WEEKDAY_NUMBERS", "read_short_weekday", "read_vietnamese_weekday", "read_weekday"]

WEEKDAY_NUMBERS = {name: number for number, names in enumerate(tables.WEEKDAYS) for name in spellings(names.split())}
SHORT_WEEKDAY_NUMBERS = {name: number for number, names in enumerate(tables.SHORT_WEEKDAYS) for name in names.split()}
_VIETNAMESE_NUMBERS = {
    name: number for number, names in enumerate(tables.VIETNAMESE_WEEKDAYS) for name in spellings(names.split())
}
_PLURAL = word_set(
    "mondays tuesdays wednesdays thursdays fridays saturdays sundays montags dienstags mittwochs "
    "donnerstags freitags samstags sonntags lundis mardis mercredis jeudis vendredis samedis dimanches "
    "sábados domingos"
)
#: Before or behind the name: the latest such day.
_LATEST_BEFORE = word_set("on last past previous this el este letzten vergangenen vorigen diesen am ce")
_LATEST_AFTER = word_set("pasado dernier passé letzten")
_COMING_AFTER = word_set("prochain próximo")
_SHORT_BEFORE = word_set("on last past next every this")
#: What "thứ hai" stands beside when it is Monday and not "the second".
_VIETNAMESE_BEFORE = word_set("vào hôm sáng trưa chiều tối đêm ngày mỗi từ đến tới mọi các hàng và") | {"", CLAUSE_END}
_VIETNAMESE_AFTER = word_set("tuần này trước vừa rồi vào hàng tới sau ngày")
_BY_THE_WEEK = {"trước": 1, "truoc": 1, "rồi": 1, "roi": 1, "qua": 1, "vừa": 1, "vua": 1, "này": 0, "nay": 0}
_LATEST_VIETNAMESE = word_set("trước vừa rồi")


def read_weekday(text: TimeText, index: int) -> tuple[Mention, int]:
    """The weekday at `index`, with the words that say which one."""
    word, before, after = text.words[index], text.word(index - 1), text.word(index + 1)
    latest = (before in _LATEST_BEFORE or after in _LATEST_AFTER) and after not in _COMING_AFTER
    if latest and word not in _PLURAL:
        return Weekday(WEEKDAY_NUMBERS[word]), index + 1
    return VAGUE, index + 1


def read_short_weekday(text: TimeText, index: int) -> tuple[Mention, int] | None:
    """Mon to Sun, with a capital and after a word such as "on" or "last"."""
    before = text.word(index - 1)
    if not text.capital(index) or before not in _SHORT_BEFORE:
        return None
    latest = before in ("on", "last", "past")
    return (Weekday(SHORT_WEEKDAY_NUMBERS[text.words[index]]) if latest else VAGUE), index + 1


def read_vietnamese_weekday(text: TimeText, index: int) -> tuple[Mention, int] | None:
    """Thứ hai to thứ bảy and chủ nhật, from their first word at `index`."""
    first, second = text.words[index], text.word(index + 1)
    before, after = text.word(index - 1), text.word(index + 2)
    if first in ("chủ", "chúa", "chu", "chua"):
        if second not in ("nhật", "nhat"):
            return None
        number = 6
    else:
        known = _VIETNAMESE_NUMBERS.get(second)
        if known is None or not (before in _VIETNAMESE_BEFORE or after in _VIETNAMESE_AFTER):
            return None
        number = known
    return _vietnamese_weekday(text, index, number)


def _vietnamese_weekday(text: TimeText, index: int, number: int) -> tuple[Mention, int]:
    end = index + 2
    after, then = text.word(end), text.word(end + 1)
    if after in ("tuần", "tuan"):
        weeks_back = _BY_THE_WEEK.get(then)
        return (VAGUE if weeks_back is None else Weekday(number, weeks_back)), end + 2
    if after in ("này", "nay"):
        return Weekday(number, 0), end + 1
    if after in ("tới", "sau"):
        return VAGUE, end + 1
    if after in _LATEST_VIETNAMESE or text.word(index - 1) in ("vào", "vao", "hôm", "hom"):
        return Weekday(number), end + 1
    return VAGUE, end
