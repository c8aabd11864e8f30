"""What a text can say about a time: days of the calendar, days counted from today, weekdays, or nothing exact."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["VAGUE", "Calendar", "Mention", "Relative", "Vague", "Weekday", "days_in_month"]


class Calendar(NamedTuple):
    """A year, a month or a day, as far as the text names them."""

    year: int | None = None
    month: int | None = None
    day: int | None = None
    #: The last day of "May 3-5".
    last_day: int | None = None
    #: False for each reading of 8/5/2023, which is 8 May or 5 August.
    certain: bool = True
    #: In place of `year`: how many years before the present one.
    years_back: int | None = None


class Relative(NamedTuple):
    """The days from `first` to `last` units before the present one: yesterday is (day, 1, 1)."""

    unit: str
    first: int
    last: int


class Weekday(NamedTuple):
    """A weekday (0 is Monday): the latest one before today, or that of so many weeks before this one."""

    weekday: int
    weeks_back: int | None = None


class Vague(NamedTuple):
    """A time that is spoken of, but no day to look for: recently, tomorrow, three years."""


Mention = Calendar | Relative | Weekday | Vague
VAGUE = Vague()

_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def days_in_month(month: int, year: int | None = None) -> int:
    """How many days the month has; February has 29 in a year that is not known."""
    leap = year is None or (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
    return 29 if month == 2 and leap else _DAYS[month - 1]
