"""The usage port: what keys and tenants have used, in counters that adds and flushes raise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from forgetless.domain.usage import UsageKind, Use, Used

__all__ = ["UsagePage", "UsageRow", "UsageStore"]


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What one key, or with OF_TENANT all keys of the tenant, used on one day."""

    day: str
    key_id: str
    counts: Mapping[UsageKind, int]


@dataclass(frozen=True, slots=True)
class UsagePage:
    """Some rows in order, and the cursor of the next page (None at the end)."""

    rows: tuple[UsageRow, ...]
    cursor: str | None


class UsageStore(Protocol):
    """The counters of usage. `append` and `put_job` raise them as well, in their own transactions."""

    def add_usage(self, uses: Sequence[Use]) -> None:
        """Count these uses, all or none of them, and once also if the answer of the store is lost."""

    def used(self, tenant: str, owners: Sequence[str], *, now: str) -> dict[str, Used]:
        """The figures of keys of the tenant (OF_TENANT: of all together) at this time; consistent."""

    def usage_of(self, tenant: str, owner: str, *, first: str, last: str) -> list[UsageRow]:
        """What one key, or with OF_TENANT the tenant, used on each day from `first` to `last`; days without use lack.

        The work grows with the number of months.
        """

    def usage_by_key(self, tenant: str, *, first: str, last: str, limit: int, cursor: str | None = None) -> UsagePage:
        """What each key used on each day from `first` to `last`: by month, by key, by day.

        A page has the days of up to `limit` keys of a month. It may be empty although a cursor says that more follow.
        """

    def expire_usage(self, *, months_before: str, minutes_before: str, limit: int) -> int:
        """Remove up to `limit` figures of months and of minutes before these; a ledger where they end by themselves
        removes none.
        """
