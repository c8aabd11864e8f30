"""Dates with the name of a month: in May, May 8, 2023, 8 mai 2023, 5 de mayo, tháng 5 năm ngoái."""

from __future__ import annotations

from forgetless.domain.spoken_time import tables
from forgetless.domain.spoken_time.mentions import VAGUE, Calendar, Mention, days_in_month
from forgetless.domain.spoken_time.numeric import as_day, as_days, as_year, read_numeric
from forgetless.domain.spoken_time.spelling import phrase_set, spellings, word_set
from forgetless.domain.spoken_time.text import CLAUSE_END, TimeText

__all__ = ["MONTH_NUMBERS", "SHORT_MONTH_NUMBERS", "read_month", "read_vietnamese_month"]

SHORT_MONTH_NUMBERS = {
    name: number for number, names in enumerate(tables.SHORT_MONTHS, 1) for name in spellings(names.split())
}
MONTH_NUMBERS = {
    **{name: number for number, names in enumerate(tables.MONTHS, 1) for name in spellings(names.split())},
    **tables.AMBIGUOUS_MONTHS,
    **SHORT_MONTH_NUMBERS,
}
_ENGLISH_AMBIGUOUS = ("may", "march")
_BETWEEN = frozenset((CLAUSE_END, "of", "de", "del", "l", "le", "năm", "nam"))
_YEARS_BACK = {
    phrase: back for (unit, back), phrases in tables.PERIODS.items() if unit == "year" for phrase in phrase_set(phrases)
}
_VIETNAMESE_DAY = word_set("ngày mùng mồng hôm")
_SMALLER_UNITS = word_set("ngày tuần giờ rưỡi")
_VIETNAMESE_MONTHS = {
    **{str(number): number for number in range(1, 13)},
    **{f"0{number}": number for number in range(1, 10)},
    **{
        name: number
        for number, names in enumerate(
            ("một giêng", "hai", "ba", "tư bốn", "năm", "sáu", "bảy bẩy", "tám", "chín", "mười", "", "chạp"), 1
        )
        for name in names.split()
    },
}


def read_month(text: TimeText, index: int) -> tuple[Mention, int] | None:
    """The date around the month's name at `index`, and where it ends; None if the word is no month here."""
    word = text.words[index]
    month = MONTH_NUMBERS[word]
    days, start, end = _days_beside(text, index)
    year, years_back, end = _year_after(text, end)
    if not _is_month(text, index, start, end, dated=bool(days), year_known=year is not None or years_back is not None):
        return (VAGUE, index + 1) if word in tables.NAME_MONTHS else None
    first, last = days or (None, None)
    if first is not None and (last or first) > days_in_month(month, year):
        first = last = None
    return Calendar(year, month, first, last, years_back=years_back), end


def read_vietnamese_month(text: TimeText, index: int) -> tuple[Mention, int] | None:
    """(ngày 3) tháng 5 (năm 2023), from the word "tháng" at `index`."""
    piece = text.word(index + 1)
    month, end = _VIETNAMESE_MONTHS.get(piece), index + 2
    if piece == "mười" and text.word(end) in ("một", "hai"):
        month, end = 10 + ("một", "hai").index(text.word(end)) + 1, end + 1
    if month is None:
        read = read_numeric(piece) if "/" in piece or "-" in piece else []
        return (read[0], end) if len(read) == 1 and read[0].day is None and read[0].month else None
    if text.word(end) in _SMALLER_UNITS:
        return None
    year, years_back, end = _year_after(text, end)
    first, last = _vietnamese_days(text, index, year_known=year is not None)
    if first is not None and (last or first) > days_in_month(month, year):
        first = last = None
    return Calendar(year, month, first, last, years_back=years_back), end


def _vietnamese_days(text: TimeText, index: int, *, year_known: bool) -> tuple[int | None, int | None]:
    """The day or days before "tháng". Without "ngày" and a year they are more likely a number of months."""
    before = text.word(index - 1)
    if text.word(index - 2) not in _VIETNAMESE_DAY | {""} and not year_known:
        return None, None
    return as_days(before) or (as_day(before) or _VIETNAMESE_MONTHS.get(before), None)


def _days_beside(text: TimeText, index: int) -> tuple[tuple[int, int | None] | None, int, int]:
    """The days before or after the month's name, and where the date starts and ends."""
    before = index - 2 if text.word(index - 1) in ("of", "de") else index - 1
    for place, start, end in ((before, before, index + 1), (index + 1, index, index + 2)):
        piece = text.word(place)
        if day := as_day(piece) or tables.DAYS.get(piece):
            return (day, None), start, end
        if days := as_days(piece):
            return days, start, end
    return None, index, index + 1


def _year_after(text: TimeText, end: int) -> tuple[int | None, int | None, int]:
    """The year behind the rest of a date: its number, or how many years before the present one it is."""
    place = end
    while place < end + 3 and text.word(place) in _BETWEEN:
        if _years_back(text, place) is not None:
            break
        place += 1
    if year := as_year(text.word(place)):
        return year, None, place + 1
    back = _years_back(text, place)
    return (None, None, end) if back is None else (None, back, place + 2)


def _years_back(text: TimeText, place: int) -> int | None:
    return _YEARS_BACK.get((text.word(place), text.word(place + 1)))


def _is_month(text: TimeText, index: int, start: int, end: int, *, dated: bool, year_known: bool) -> bool:
    word, before = text.words[index], text.word(index - 1)
    if year_known:
        return True
    if word in tables.AMBIGUOUS_MONTHS and dated:
        return _is_date(text, index, start, end)
    if dated:
        return True
    if word in tables.AMBIGUOUS_MONTHS or word in tables.NAME_MONTHS or word in SHORT_MONTH_NUMBERS:
        return (
            before in tables.MONTH_ANCHORS.get(word, tables.MONTH_ANCHORS[""])
            or (before == "of" and text.word(index - 2) in tables.MONTH_PARTS)
            or (word in _ENGLISH_AMBIGUOUS and text.capital(index) and before in ("last", "next", "this"))
        )
    return True


def _is_date(text: TimeText, index: int, start: int, end: int) -> bool:
    """Whether an ambiguous name beside a number is a date: "March 10", but not "they march 10 miles"."""
    word, day = text.words[index], text.word(start if start < index else index + 1)
    if (word not in ("mars", "mayo") and text.capital(index)) or text.word(index - 1) in ("of", "de"):
        return True
    # "the second march" is no date, "3rd march" is one.
    in_digits = day[:1].isdigit()
    return in_digits and (
        not day.isdecimal() or text.word(start - 1) in tables.DATE_ANCHORS or text.word(end) in ("", CLAUSE_END)
    )
