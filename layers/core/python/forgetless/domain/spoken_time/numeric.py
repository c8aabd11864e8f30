"""Dates in digits: 2023-05-08, 8/5/2023, 08.05.2023, 5/2023, 2023.

Which number is the day: if the year comes first, the last one; with dots, the first one; otherwise the one above 12.
If both may be the day, both readings count, but not as certain ones. A piece that has any other character is no date:
prices ($2023), ids (INV-2023-01), phone numbers (555-2023), versions (2.0.23).
"""

from __future__ import annotations

import re

from forgetless.domain.spoken_time.mentions import Calendar, days_in_month

__all__ = ["as_day", "as_days", "as_year", "is_clock_time", "read_day_and_month", "read_numeric"]

# Texts and not compiled expressions: `re` compiles each at its first use, so that the start of a process need not.
_PARTS = r"(\d{1,4})(?:([-/.–—])(\d{1,4})(?:\2(\d{1,4})(?:t\d.*)?)?)?"
_DAY_AND_MONTH = r"(\d{1,2})([-/.])(\d{1,2})\.?"
_DAY = r"(\d{1,2})(?:st|nd|rd|th|er|º|o|\.)?"
_DAYS = r"(\d{1,2})(?:st|nd|rd|th)?[-–—](\d{1,2})(?:st|nd|rd|th)?"
_CLOCK = r"(?:[01]?\d|2[0-4])(?::[0-5]\d(?::[0-5]\d)?(?:am|pm)?|am|pm|h(?:[0-5]\d)?)"


def read_numeric(piece: str, *, day_first: bool = False) -> list[Calendar]:
    """What a piece in lower case says by itself; two mentions where day and month may be either.

    `day_first`: the word before it belongs to a language that writes the day first.
    """
    match = re.fullmatch(_PARTS, piece, re.ASCII)
    if not match:
        return []
    first, mark, second, third = match.groups()
    if third is not None:
        return _three_parts((first, second, third), mark, day_first=day_first)
    if second is not None:
        return _two_parts(first, mark, second)
    return [Calendar(int(first))] if _is_recent_year(first) else []


def _three_parts(parts: tuple[str, str, str], mark: str, *, day_first: bool) -> list[Calendar]:
    first, second, third = parts
    lengths = len(first), len(second), len(third)
    if lengths[0] == 4 and max(lengths[1:]) <= 2:
        # 2023.1.2 is a version; where dates are written with dots and the year first, they have two digits.
        return _days(int(first), [(int(second), int(third))]) if mark != "." or lengths == (4, 2, 2) else []
    if max(lengths[:2]) <= 2 and lengths[2] == 4:
        return _either(first, second, int(third), day_first=day_first or mark == ".")
    if max(lengths) <= 2 and lengths[2] == 2 and mark == "/":
        return _either(first, second, 2000 + int(third), day_first=day_first)
    return []


def _two_parts(first: str, mark: str, second: str) -> list[Calendar]:
    if _is_recent_year(first) and _is_recent_year(second) and mark != ".":
        return [Calendar(int(first)), Calendar(int(second))]
    if _is_recent_year(first) and len(second) == 2 and mark in "-/":
        return _months(first, second)
    if len(first) <= 2 and _is_recent_year(second):
        return _months(second, first)
    return []


def _is_recent_year(number: str) -> bool:
    """Whether a number may be a year without a month beside it."""
    return len(number) == 4 and number[:2] in ("19", "20")


def read_day_and_month(piece: str, *, marks: str, day_first: bool) -> list[Calendar]:
    """8/5 after a word that introduces a date: 8 May, or that and 5 August where it is not known which comes first.

    `marks`: what stands between the two in the language of that word; after others, 8.5 is a version and 8-5 a range.
    """
    match = re.fullmatch(_DAY_AND_MONTH, piece, re.ASCII)
    return _either(match[1], match[3], None, day_first=day_first) if match and match[2] in marks else []


def as_day(piece: str) -> int | None:
    """The day of a month: 8, 8th, 8., 1er."""
    match = re.fullmatch(_DAY, piece, re.ASCII)
    return int(match[1]) if match and 1 <= int(match[1]) <= 31 else None


def as_days(piece: str) -> tuple[int, int] | None:
    """The first and last day of 3-5."""
    match = re.fullmatch(_DAYS, piece, re.ASCII)
    if not match:
        return None
    first, last = int(match[1]), int(match[2])
    return (first, last) if 1 <= first < last <= 31 else None


def as_year(piece: str) -> int | None:
    """The year that stands beside a month."""
    return int(piece) if len(piece) == 4 and piece.isascii() and piece.isdecimal() and piece[0] in "12" else None


def is_clock_time(piece: str) -> bool:
    """Whether the piece is a time of the day: 10:30, 5pm, 15h30."""
    return re.fullmatch(_CLOCK, piece, re.ASCII) is not None


def _either(first: str, second: str, year: int | None, *, day_first: bool) -> list[Calendar]:
    a, b = int(first), int(second)
    if day_first or a == b:
        return _days(year, [(b, a)])
    readings = _days(year, [(b, a), (a, b)])
    return [reading._replace(certain=False) for reading in readings] if len(readings) == 2 else readings


def _days(year: int | None, readings: list[tuple[int, int]]) -> list[Calendar]:
    return [
        Calendar(year, month, day)
        for month, day in readings
        if year != 0 and 1 <= month <= 12 and 1 <= day <= days_in_month(month, year)
    ]


def _months(year: str, month: str) -> list[Calendar]:
    return [Calendar(int(year), int(month))] if 1 <= int(month) <= 12 else []
