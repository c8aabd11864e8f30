"""Usage: what the keys of a tenant have used, counted by day, month and, where a quota needs it, by minute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

__all__ = [
    "MINUTES_KEPT_S",
    "OF_TENANT",
    "USAGE_KEPT_DAYS",
    "UsageKind",
    "Use",
    "Used",
    "Window",
    "day_of",
    "is_day",
    "minute_of",
    "month_of",
    "months",
]

#: Instead of a key's id: all keys of the tenant together.
OF_TENANT = ""
#: How long the figures of a month are kept after its end, and those of a minute.
USAGE_KEPT_DAYS = 400
MINUTES_KEPT_S = 3600.0


class UsageKind(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    ADDS = "adds"
    UPDATES = "updates"
    SEARCHES = "searches"
    LLM_TOKENS = "llm_tokens"


class Window(StrEnum):
    """The time after which a count begins again at 0, in UTC."""

    MINUTE = "minute"
    DAY = "day"
    MONTH = "month"

    def of(self, now: str) -> str:
        """The window that a timestamp lies in: `2026-11-28T02:15`, `2026-11-28` or `2026-11`."""
        return now[: _LENGTHS[self]]

    def left_s(self, now: str) -> float:
        """The seconds until the next window begins."""
        at = datetime.fromisoformat(now).astimezone(UTC)
        start = at.replace(second=0, microsecond=0)
        if self is Window.MINUTE:
            return (start + timedelta(minutes=1) - at).total_seconds()
        start = start.replace(hour=0, minute=0)
        if self is Window.DAY:
            return (start + timedelta(days=1) - at).total_seconds()
        following = (start.replace(day=28) + timedelta(days=4)).replace(day=1)
        return (following - at).total_seconds()


_LENGTHS = {Window.MINUTE: 16, Window.DAY: 10, Window.MONTH: 7}


def minute_of(now: str) -> str:
    """The minute of a timestamp."""
    return Window.MINUTE.of(now)


def day_of(now: str) -> str:
    """The day of a timestamp."""
    return Window.DAY.of(now)


def month_of(now: str) -> str:
    """The month of a timestamp, a day or a minute."""
    return Window.MONTH.of(now)


def months(first: str, last: str) -> Iterator[str]:
    """The months from one day to another."""
    month, end = month_of(first), month_of(last)
    while month < end:
        yield month
        month = month_of((date.fromisoformat(f"{month}-01") + timedelta(days=32)).isoformat())
    if month == end:
        yield month


def is_day(text: str) -> bool:
    """Whether the text is a day such as 2026-11-28."""
    with suppress(ValueError):
        return date.fromisoformat(text).isoformat() == text
    return False


@dataclass(frozen=True, slots=True)
class Use:
    """What one key has used in a period, which is a day or a minute. It counts for the key and for its tenant."""

    tenant: str
    key_id: str
    period: str
    counts: Mapping[UsageKind, int]

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose figures it raises: those of the key (a use without one is the tenant's alone) and of the tenant."""
        return (OF_TENANT, self.key_id) if self.key_id != OF_TENANT else (OF_TENANT,)

    @property
    def of_minute(self) -> bool:
        """Whether the period is a minute."""
        return len(self.period) == _LENGTHS[Window.MINUTE]


@dataclass(frozen=True, slots=True)
class Used:
    """The figures of a key or a tenant for the present day and month, and the requests of the present minute."""

    day: Mapping[UsageKind, int] = field(default_factory=Counter)
    month: Mapping[UsageKind, int] = field(default_factory=Counter)
    minute: int = 0

    def within(self, window: Window, kind: UsageKind) -> int:
        """The figure of one kind in one window."""
        if window is Window.MINUTE:
            return self.minute
        return (self.day if window is Window.DAY else self.month).get(kind, 0)
