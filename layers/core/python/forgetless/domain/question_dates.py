"""The dates that a question names, and how well the day of a memory fits them.

The value of a fit: 1 for a day that is named, and for the 7 days after it, because people also tell of things later;
0.7 for a month, 0.3 for a year, 0 for no fit. Of several dates, the one that fits best counts. The rules beside this:

- A few days count as one day does: "last week", "last weekend", "May 3-5", "in the last three days". So do "two weeks
  ago" (the whole week) and a weekday ("on Monday" is the latest one before the present day).
- 8/5/2023 is 8 May or 5 August: both days count, with the value of a month. With dots the day is first.
- A day or a month without a year is that of any year: in full of the latest year until the present day, and by 0.1 less
  of other years, so that "in May" finds the latest May first.
- What is said relative to the present day is counted from `reference`. What lies in the future ("tomorrow") is no date.
"""

from __future__ import annotations

from datetime import date
from typing import Final, NamedTuple

from forgetless.domain.spoken_time.mentions import Calendar, Mention, Relative, Weekday, days_in_month
from forgetless.domain.time_words import mentions

__all__ = ["AskedDate", "asked_dates", "best_fit", "day_number"]

DAY_VALUE: Final = 1.0
MONTH_VALUE: Final = 0.7
YEAR_VALUE: Final = 0.3
#: How much less a date without a year counts in another year than the likely one.
OTHER_YEAR_LESS: Final = 0.1
#: For how many days after it a day still fits.
DAYS_AFTER: Final = 7
#: More dates than this in a question say nothing more.
MOST_DATES: Final = 8

_EPOCH = date(1970, 1, 1).toordinal()
#: A year, and by how many days a whole number of them may miss the same date because of leap years.
_YEAR_DAYS, _LEAP_MARGIN = 365.2425, 3
_UNIT_VALUE = {"day": DAY_VALUE, "week": DAY_VALUE, "weekend": DAY_VALUE, "month": MONTH_VALUE, "year": YEAR_VALUE}


class AskedDate(NamedTuple):
    """The days from `first` to `last` (since 1970-01-01), and the value of a memory of one of them."""

    first: int
    last: int
    value: float
    #: Whether the same days of other years fit, too.
    any_year: bool = False

    def fit(self, day: int) -> float:
        """How well a day fits: `value`, a little less in another year, or 0."""
        if self.first <= day <= self.last:
            return self.value
        if self.any_year and self._fits_in_another_year(day):
            return self.value - OTHER_YEAR_LESS
        return 0.0

    def _fits_in_another_year(self, day: int) -> bool:
        length = self.last - self.first
        if _LEAP_MARGIN + length < (day - self.first) % _YEAR_DAYS < _YEAR_DAYS - _LEAP_MARGIN:
            # Most rows of a search end here, which costs a tenth of the exact answer.
            return False
        first, asked = _date(self.first), _date(day)
        for year in (asked.year, asked.year - 1):
            start = _day_of(year, first.month, first.day)
            if start is not None and 0 <= day - start <= length:
                return True
        return False


def day_number(day: date) -> int:
    """The days from 1970-01-01 to the date."""
    return day.toordinal() - _EPOCH


def best_fit(dates: tuple[AskedDate, ...], day: int | None) -> float:
    """The value of the date that the day fits best; 0 for a day that is not known."""
    if not dates or day is None:
        return 0.0
    return max([asked.fit(day) for asked in dates])


def asked_dates(question: str, *, reference: date) -> tuple[AskedDate, ...]:
    """The dates that the question names, each once. `reference` is the day on which it is asked."""
    resolved = (_resolve(mention, reference) for mention in mentions(question))
    return tuple(dict.fromkeys(found for found in resolved if found is not None))[:MOST_DATES]


def _resolve(mention: Mention, reference: date) -> AskedDate | None:
    if isinstance(mention, Calendar):
        return _calendar(mention, reference)
    if isinstance(mention, Relative):
        return _relative(mention, reference)
    if isinstance(mention, Weekday):
        return _weekday(mention, reference)
    return None


def _calendar(mention: Calendar, reference: date) -> AskedDate | None:
    year = mention.year if mention.years_back is None else reference.year - mention.years_back
    any_year = year is None
    if year is None:
        year = _latest_year(mention, reference)
    if not date.min.year <= year <= date.max.year:
        return None
    if mention.month is None:
        return AskedDate(_number(year, 1, 1), _number(year, 12, 31), YEAR_VALUE)
    if mention.day is None:
        last_day = days_in_month(mention.month, year)
        return AskedDate(_number(year, mention.month, 1), _number(year, mention.month, last_day), MONTH_VALUE, any_year)
    first = _day_of(year, mention.month, mention.day)
    if first is None:
        return None
    length = (mention.last_day or mention.day) - mention.day
    return AskedDate(
        first, first + length + DAYS_AFTER, DAY_VALUE if mention.certain else MONTH_VALUE, any_year=any_year
    )


def _latest_year(mention: Calendar, reference: date) -> int:
    """The latest year in which the date begins no later than the present day; for 29 February, a leap year."""
    month, day = mention.month or 1, mention.day or 1
    year = reference.year if (month, day) <= (reference.month, reference.day) else reference.year - 1
    while day > days_in_month(month, year):
        year -= 1
    return year


def _relative(mention: Relative, reference: date) -> AskedDate | None:
    unit = mention.unit
    first, last = _unit_start(unit, mention.first, reference), _unit_end(unit, mention.last, reference)
    if first is None or last is None:
        return None
    value = _UNIT_VALUE[unit]
    return AskedDate(first, last + DAYS_AFTER if value == DAY_VALUE else last, value)


def _unit_start(unit: str, back: int, reference: date) -> int | None:
    """The first day of the day, week, weekend, month or year so many of them before the present one."""
    today = day_number(reference)
    if unit == "day":
        return today - back
    if unit in ("week", "weekend"):
        return today - reference.weekday() - 7 * back + (5 if unit == "weekend" else 0)
    if unit == "month":
        year, month = divmod(reference.year * 12 + reference.month - 1 - back, 12)
        return _day_of(year, month + 1, 1)
    return _day_of(reference.year - back, 1, 1)


def _unit_end(unit: str, back: int, reference: date) -> int | None:
    if unit == "weekend":
        return _unit_end("week", back, reference)
    following = _unit_start(unit, back - 1, reference)
    return None if following is None else following - 1


def _weekday(mention: Weekday, reference: date) -> AskedDate:
    today, weekday = day_number(reference), reference.weekday()
    if mention.weeks_back is None:
        day = today - ((weekday - mention.weekday - 1) % 7 + 1)
    else:
        day = today - weekday + mention.weekday - 7 * mention.weeks_back
    return AskedDate(day, day + DAYS_AFTER, DAY_VALUE)


def _number(year: int, month: int, day: int) -> int:
    return day_number(date(year, month, day))


def _day_of(year: int, month: int, day: int) -> int | None:
    """The number of a day; None if the calendar has no such day."""
    if not date.min.year <= year <= date.max.year or day > days_in_month(month, year):
        return None
    return _number(year, month, day)


def _date(day: int) -> date:
    return date.fromordinal(day + _EPOCH)
