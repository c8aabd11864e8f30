"""Times: ISO-8601 UTC with six decimals, so that text order is time order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["date_of", "later", "seconds_between", "timestamp"]


def timestamp(moment: datetime) -> str:
    """`moment` (aware) as the fixed-width text that the ledger, the index and the wire carry."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def later(time: str, seconds: float) -> str:
    """The timestamp `seconds` after `time` (before it when negative)."""
    return timestamp(datetime.fromisoformat(time) + timedelta(seconds=seconds))


def seconds_between(start: str, end: str) -> float:
    """Seconds from `start` to `end`."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def date_of(time: str) -> str:
    """The UTC date `YYYY-MM-DD` of a timestamp; an expiration date includes its whole day."""
    return time[:10]
