"""Times: ISO-8601 text in UTC with six decimals, so that sorting the text sorts by time."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

__all__ = [
    "date_of",
    "far_after",
    "is_timestamp",
    "just_after",
    "later",
    "read_time",
    "seconds_between",
    "timestamp",
    "wait_s",
]


_LOST_PLUS = re.compile(r" (\d\d:?\d\d)$", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d|\d{8}", re.ASCII)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", re.ASCII)


def timestamp(moment: datetime) -> str:
    """An aware `moment` as the fixed-width text that the ledger, the index and the APIs use."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def is_timestamp(text: str) -> bool:
    """Whether the text has the form of a timestamp."""
    return _TIMESTAMP.fullmatch(text) is not None


def later(time: str, seconds: float) -> str:
    """The timestamp `seconds` after `time`, or before it when `seconds` is negative; at most an end of the calendar."""
    try:
        return timestamp(datetime.fromisoformat(time) + timedelta(seconds=seconds))
    except OverflowError:
        return timestamp((datetime.max if seconds > 0 else datetime.min).replace(tzinfo=UTC))


def far_after(time: str) -> str:
    """Two hours after `time`, a time of our clocks. What lies beyond is none of theirs: somebody stated it."""
    return later(time, 7200.0)


def just_after(time: str) -> str:
    """The timestamp one microsecond after `time`; `time` itself at the end of the calendar."""
    try:
        return timestamp(datetime.fromisoformat(time) + timedelta(microseconds=1))
    except OverflowError:
        return time


def seconds_between(start: str, end: str) -> float:
    """Seconds from `start` to `end`."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def wait_s(now: str, end: str, *, at_most: float) -> int:
    """Whole seconds until `end`, at least 1, and at most `at_most` in case another machine's clock is far ahead."""
    return max(1, math.ceil(min(seconds_between(now, end), at_most)))


def read_time(text: str) -> str:
    """The timestamp of ISO-8601 text. Without an offset it is in UTC; a date alone means the end of that day.

    A blank before the offset is read as a plus sign, because query strings turn "+" into a blank. Raises ValueError.
    """
    text = _LOST_PLUS.sub(r"+\1", text.strip())
    moment = datetime.fromisoformat(text)
    if _DAY.fullmatch(text):
        moment += timedelta(days=1, microseconds=-1)
    try:
        return timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except OverflowError:
        raise ValueError(f"{text!r} is not a valid date or time") from None


def date_of(time: str) -> str:
    """The UTC date `YYYY-MM-DD` of a timestamp; an expiration date includes its whole day."""
    return time[:10]
