"""Times in a text: whether it speaks of one, and which days it names.

English, Vietnamese, Spanish, French and German are read word by word, Chinese and Japanese by one expression
(`spoken_time/`). A word that can stand in an expression of time has rules, and a rule looks at a few neighbours, so the
work is linear in the text. Only the first 1,200 characters are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

from forgetless.domain.spoken_time import counts, east_asian, months, phrases, tables, weekdays
from forgetless.domain.spoken_time.mentions import VAGUE, Mention, Relative
from forgetless.domain.spoken_time.numeric import is_clock_time, read_day_and_month, read_numeric
from forgetless.domain.spoken_time.spelling import word_set
from forgetless.domain.spoken_time.text import CLAUSE_END, TimeText, beginning

__all__ = ["has_time", "mentions"]

#: A mention, and the index of the first word behind it.
_Found = tuple[Mention, int]
_Rule = Callable[[TimeText, int], _Found | None]

_WORD = re.compile(r"[^\W\d_]+")
#: Digits that may be a year, a date or a time of the day. Counted times have a unit, which is a word with a rule.
_DIGITS = re.compile(r"(?:19|20)\d\d|\d[/.:-]\d|\d(?:am|pm|h)|['’]\d\d", re.ASCII)
#: What comes before 3/5, whether the day is first there, and what may stand between the two.
_INTRODUCTIONS = {
    **dict.fromkeys(word_set("ngày hôm mùng mồng"), (True, "/-")),
    **dict.fromkeys(word_set("el le du au"), (True, "/")),
    **dict.fromkeys(word_set("am den vom"), (True, "/.")),
    "on": (False, "/"),
}
_FRENCH = word_set("je j tu il elle nous vous ai as avons avez ont est était fait le la les une du qu que c d et")
_NEARBY = 8
_GERMAN = word_set("ist und ich der das wir nicht habe hat ein eine sind war")


def has_time(text: str) -> bool:
    """Whether the text speaks of a time: a date, a weekday, "last week", "three years", "10:30"."""
    return next(_mentions(text), None) is not None


def mentions(text: str) -> list[Mention]:
    """The times that the text speaks of, in their order."""
    return list(_mentions(text))


def _mentions(text: str) -> Iterator[Mention]:
    text = beginning(text)
    if east_asian.is_east_asian(text):
        yield from east_asian.read_east_asian(text)
    rules = _rules()
    if rules.keys().isdisjoint(_WORD.findall(text.lower())) and not _DIGITS.search(text):
        return
    tokens = TimeText(text, joinable=_joinable())
    resume = 0
    for index, word in enumerate(tokens.words):
        if index < resume:
            continue
        if word[0].isdigit():
            yield from _numeric(tokens, index)
            continue
        for rule in rules.get(word, ()):
            found = rule(tokens, index)
            if found:
                mention, resume = found
                yield mention
                break


@cache
def _rules() -> dict[str, tuple[_Rule, ...]]:
    """The rules of each word, in the order in which they are tried; made when the first text comes."""
    rules: dict[str, tuple[_Rule, ...]] = {}
    for words, rule in (
        (("thứ", "thu", "chủ", "chúa", "chu", "chua"), weekdays.read_vietnamese_weekday),
        (("tháng", "thang"), months.read_vietnamese_month),
        (months.MONTH_NUMBERS, months.read_month),
        (weekdays.WEEKDAY_NUMBERS, weekdays.read_weekday),
        (weekdays.SHORT_WEEKDAY_NUMBERS, weekdays.read_short_weekday),
        (counts.UNIT_OF, counts.read_count),
        (phrases.LAST_WORDS, phrases.read_phrase),
        (tables.CLOCK_UNITS, _clock_unit),
        (("hier",), _hier),
    ):
        for word in words:
            rules[word] = (*rules.get(word, ()), rule)
    return rules


@cache
def _joinable() -> frozenset[str]:
    return frozenset((*months.MONTH_NUMBERS, "mid", "early", "late", "pre", "post"))


def _clock_unit(text: TimeText, index: int) -> _Found | None:
    """5 pm, 3 o'clock, 15 Uhr, 7 giờ."""
    number = text.word(index - 2 if text.words[index] == "clock" else index - 1)
    return (VAGUE, index + 1) if number.isdecimal() and len(number) <= 2 and int(number) <= 24 else None


def _hier(text: TimeText, index: int) -> _Found | None:
    """French "yesterday", unless the words around it are German, where it means "here"."""
    words = set(text.words[max(0, index - _NEARBY) : index + _NEARBY])
    french = not words.isdisjoint(_FRENCH) and words.isdisjoint(_GERMAN)
    return (Relative("day", 1, 1), index + 1) if french else None


def _numeric(text: TimeText, index: int) -> list[Mention]:
    """What a piece that begins with a digit says by itself."""
    piece, before, after = text.words[index], text.word(index - 1), text.word(index + 1)
    if is_clock_time(piece):
        return [VAGUE]
    if before in tables.NOT_A_YEAR_BEFORE:
        return []
    day_first, marks = _INTRODUCTIONS.get(before, (False, ""))
    if after in ("tháng", "thang"):
        # ngày 3-5 tháng 6: the days are those of June.
        return []
    read = read_day_and_month(piece, marks=marks, day_first=day_first) or read_numeric(piece, day_first=day_first)
    bare_year = len(piece) == 4
    if bare_year and (after in tables.NOT_A_YEAR_AFTER or after[:1].isdigit() or _ends_with_digit(before)):
        return []
    return list(read)


def _ends_with_digit(word: str) -> bool:
    return word != CLAUSE_END and word[-1:].isdigit()
