"""Schedule expressions of EventBridge: rate(...), cron(...) and at(...), in UTC."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from local.emulator.specs import NotHereError

_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {name: (number + 1) % 7 + 1 for number, name in enumerate(calendar.day_abbr)}
_HORIZON_DAYS = 366 * 5

#: From a time to the next firing after it, or None when there is none.
Next = Callable[[datetime], datetime | None]


def parse_expression(text: str) -> Next:
    """Return the function that gives the next firing.

    Raises:
        ValueError: no expression of EventBridge.
        NotHereError: one with L, W or #, which are not emulated.
    """
    if match := _RATE.fullmatch(text):
        step = timedelta(**{f"{match[2]}s": int(match[1])})
        if not step:
            raise ValueError(f"{text}: the rate must be 1 or more")
        return lambda now: now + step
    if match := _AT.fullmatch(text):
        moment = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
        return lambda now: moment if moment > now else None
    if match := _CRON.fullmatch(text):
        return _Cron(text, match.groups()).next
    raise ValueError(f"{text}: not rate(...), cron(...) or at(...)")


class _Cron:
    """A cron expression of six fields: minutes, hours, day of month, month, day of week, year."""

    def __init__(self, text: str, fields: tuple[str, ...]) -> None:
        minutes, hours, days, months, weekdays, years = fields
        try:
            self._minutes = _field(minutes, 0, 59)
            self._hours = _field(hours, 0, 23)
            self._days = _field(days, 1, 31)
            self._months = _field(months, 1, 12, _MONTHS)
            self._weekdays = _field(weekdays, 1, 7, _DAYS)
            self._years = _field(years, 1970, 2199)
        except ValueError as error:
            raise ValueError(f"{text}: {error}") from None
        except NotHereError as error:
            raise NotHereError(f"{text}: {error}") from None

    def next(self, now: datetime) -> datetime | None:
        """Return the next minute that fits."""
        moment = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        for _ in range(_HORIZON_DAYS):
            if self._fits_day(moment):
                for hour in range(moment.hour, 24):
                    if hour in self._hours:
                        first = moment.minute if hour == moment.hour else 0
                        for minute in range(first, 60):
                            if minute in self._minutes:
                                return moment.replace(hour=hour, minute=minute)
            moment = moment.replace(hour=0, minute=0) + timedelta(days=1)
        return None

    def _fits_day(self, moment: datetime) -> bool:
        weekday = moment.isoweekday() % 7 + 1
        day_fits = moment.day in self._days and weekday in self._weekdays
        return day_fits and moment.month in self._months and moment.year in self._years


def _field(text: str, least: int, most: int, names: dict[str, int] | None = None) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if span in {"*", "?"}:
            first, last = least, most
        else:
            low, dash, high = span.partition("-")
            first = _value(low, names)
            last = _value(high, names) if dash else (most if step else first)
        if not least <= first <= last <= most:
            raise ValueError(f"{part} lies outside of {least}-{most}")
        values |= set(range(first, last + 1, int(step or 1)))
    return frozenset(values)


def _value(text: str, names: dict[str, int] | None) -> int:
    if names and text.capitalize() in names:
        return names[text.capitalize()]
    if re.fullmatch(r"[0-9]*[LW]+|[0-9A-Za-z]+#[1-5]", text):
        raise NotHereError(f"{text} is not emulated")
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no value of its field")
    return int(text)
