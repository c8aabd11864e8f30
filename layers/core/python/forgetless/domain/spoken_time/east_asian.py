"""Times in Chinese and Japanese, which have no spaces between words: 2023年5月8日, 昨天, 上周, 三天前, 先週, 月曜日."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from forgetless.domain.spoken_time.mentions import VAGUE, Calendar, Mention, Relative, Weekday, days_in_month

__all__ = ["is_east_asian", "read_east_asian"]

#: The first and last letter of kana and Han. Compared, because an expression with such a range takes 1 ms to compile.
_FIRST_LETTER, _LAST_LETTER = "\u3040", "\u9fff"
_DIGITS = {
    "〇": 0,
    "零": 0,
    "一": 1,
    "二": 2,
    "两": 2,
    "兩": 2,
    "三": 3,
    "四": 4,
    "五": 5,
    "六": 6,
    "七": 7,
    "八": 8,
    "九": 9,
}
_UNITS = {
    **dict.fromkeys(("天", "日"), "day"),
    **dict.fromkeys(("周", "週", "周间", "週間", "星期", "个星期", "個星期", "礼拜", "个礼拜"), "week"),
    **dict.fromkeys(("个月", "個月", "ヶ月", "か月", "カ月", "ヵ月", "ケ月", "箇月"), "month"),
    "年": "year",
}
_PERIODS: dict[tuple[str, int], str] = {
    ("day", 0): "今天|今日|今早|今晚|今晩|今朝|今夜|今夕",
    ("day", 1): "昨天|昨日|昨晚|昨晩|昨夜|きのう",
    ("day", 2): "前天|一昨日|おととい",
    ("week", 0): "这周|這周|这星期|这个星期|這個星期|本周|今週",
    ("week", 1): "上周|上週|上星期|上个星期|上個星期|上礼拜|上个礼拜|先週",
    ("week", 2): "上上周|先々週|先先週",
    ("weekend", 0): "这个周末|這個週末|这周末|本周末|今週末",
    ("weekend", 1): "上周末|上週末|上个周末|上個週末|先週末",
    ("month", 0): "这个月|這個月|本月|今月",
    ("month", 1): "上个月|上個月|上月|先月",
    ("month", 2): "上上个月|先々月",
    ("year", 0): "今年",
    ("year", 1): "去年|昨年",
    ("year", 2): "前年|一昨年|おととし",
}
_EVIDENT = (
    "明天|后天|後天|明日|明後日|下周|下週|下个星期|下个月|下個月|明年|来週|来月|来年|周末|週末|最近|生日|圣诞|聖誕|春节|春節"
    "|誕生日|クリスマス|記念日"
)
_MEANING: dict[str, Mention] = {
    **dict.fromkeys(_EVIDENT.split("|"), VAGUE),
    **{
        phrase: Relative(unit, back, back)
        for (unit, back), phrases in _PERIODS.items()
        for phrase in phrases.split("|")
    },
}
_WEEKDAYS = {**{letter: number for number, letter in enumerate("一二三四五六")}, "日": 6, "天": 6}
_JAPANESE_WEEKDAYS = {letter: number for number, letter in enumerate("月火水木金土日")}
_WEEKS_BACK = {"上上": 2, "上": 1, "这": 0, "這": 0, "本": 0, "先週": 1, "今週": 0}
_NUMBER = "[0-9]{1,3}|[一二两兩三四五六七八九十]{1,3}"


@cache
def _times() -> re.Pattern[str]:
    """One expression for all forms, compiled when the first such text comes."""
    phrases = "|".join(sorted(map(re.escape, _MEANING), key=len, reverse=True))
    units = "|".join(sorted(_UNITS, key=len, reverse=True))
    return re.compile(
        rf"(?P<week>上上|上|这|這|本|下)?(?:个|個)?(?:周|週|星期|礼拜|禮拜)(?P<weekday>[一二三四五六日天])"
        rf"|(?P<jweek>先週|今週|来週)?の?(?P<jweekday>[月火水木金土日])曜"
        rf"|(?P<relyear>今年|去年|昨年|前年)の?(?P<relmonth>[0-9]{{1,2}}|十[一二]?|[一二三四五六七八九])月"
        rf"(?:(?P<relday>[0-9]{{1,2}}|[一二三十][一二三四五六七八九十]{{0,2}})[日号號])?"
        rf"|(?P<phrase>{phrases})"
        rf"|(?P<number>{_NUMBER})(?P<unit>{units})(?:以)?(?P<ago>前)"
        rf"|(?<![0-9])(?P<year>[12][0-9]{{3}}|[一二][〇零一二三四五六七八九]{{3}})年(?:の)?"
        rf"(?:(?P<month>[0-9]{{1,2}}|十[一二]?|[一二三四五六七八九])月(?:の)?"
        rf"(?:(?P<day>[0-9]{{1,2}}|[一二三十][一二三四五六七八九十]{{0,2}})[日号號])?)?"
        rf"|(?<![0-9])(?P<month2>[0-9]{{1,2}}|十[一二]?|[一二三四五六七八九])月(?!間)"
        rf"(?:(?P<day2>[0-9]{{1,2}}|[一二三十][一二三四五六七八九十]{{0,2}})[日号號])?"
        rf"|(?P<length>(?:{_NUMBER})(?:{units})(?:间|間)?)"
    )


def is_east_asian(text: str) -> bool:
    """Whether the text has letters of these languages."""
    if text.isascii() or max(text) < _FIRST_LETTER:
        return False
    return any(_FIRST_LETTER <= letter <= _LAST_LETTER for letter in text)


def read_east_asian(text: str) -> Iterator[Mention]:
    """The times that the text speaks of."""
    for match in _times().finditer(text):
        mention = _meaning(match)
        if mention is not None:
            yield mention


def _meaning(match: re.Match[str]) -> Mention | None:
    found = match.groupdict()
    if phrase := found["phrase"]:
        return _MEANING[phrase]
    if number := found["number"]:
        count = _value(number)
        return Relative(_UNITS[found["unit"]], count, count) if count else None
    if found["length"]:
        return VAGUE
    return _named_weekday(found) or _named_date(found)


def _named_weekday(found: dict[str, str | None]) -> Mention | None:
    if day := found["weekday"]:
        return _weekday(_WEEKDAYS[day], found["week"])
    if day := found["jweekday"]:
        return _weekday(_JAPANESE_WEEKDAYS[day], found["jweek"])
    return None


def _named_date(found: dict[str, str | None]) -> Mention | None:
    if relative_year := found["relyear"]:
        years_back = {"今年": 0, "前年": 2}.get(relative_year, 1)
        return _calendar(None, found["relmonth"], found["relday"], years_back=years_back)
    if year := found["year"]:
        return _calendar(_value(year), found["month"], found["day"])
    return _calendar(None, found["month2"], found["day2"])


def _weekday(number: int, week: str | None) -> Mention:
    if week is None:
        return Weekday(number)
    weeks_back = _WEEKS_BACK.get(week)
    return VAGUE if weeks_back is None else Weekday(number, weeks_back)


def _calendar(year: int | None, month: str | None, day: str | None, *, years_back: int | None = None) -> Mention | None:
    if month is None:
        return Calendar(year)
    month_number = _value(month)
    if not 1 <= month_number <= 12:
        return None
    day_number = _value(day) if day else None
    if day_number is not None and not 1 <= day_number <= days_in_month(month_number, year):
        day_number = None
    return Calendar(year, month_number, day_number, years_back=years_back)


def _value(number: str) -> int:
    """A number in digits or in Chinese numerals: 23, 二十三, 二〇二三."""
    if number.isdecimal():
        return int(number)
    if "十" in number:
        tens, _, ones = number.partition("十")
        return 10 * (_DIGITS.get(tens, 0) if tens else 1) + _DIGITS.get(ones, 0)
    return int("".join(str(_DIGITS[letter]) for letter in number))
