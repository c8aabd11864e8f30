"""UsageReports: what a tenant or a key has used by day, and how much of its quotas is left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from forgetless.domain.errors import ForbiddenError, InvalidRequestError
from forgetless.domain.keys import ApiKey
from forgetless.domain.quotas import QuotaName
from forgetless.domain.times import later
from forgetless.domain.usage import OF_TENANT, day_of, is_day, month_of
from forgetless.ports.clock import Clock
from forgetless.ports.usage import UsagePage, UsageRow
from forgetless.service.access.quota_figures import OwnerQuotas
from forgetless.service.access.usage_meter import MeterLedger, UsageMeter

__all__ = ["MOST_DAYS", "QuotaState", "UsageReports", "check_days"]

#: The most days of one report.
MOST_DAYS = 366


@dataclass(frozen=True, slots=True)
class QuotaState:
    """A quota that a key meets: whose it is (`key` or `tenant`), the limit, what is used, and when it begins anew."""

    of: str
    name: QuotaName
    limit: int
    used: int | None
    resets_at: str | None


class UsageReports:
    """Reads figures for people; what waits in this process is written first."""

    def __init__(self, *, ledger: MeterLedger, meter: UsageMeter, clock: Clock) -> None:
        self._ledger = ledger
        self._meter = meter
        self._clock = clock

    def days(self, key: ApiKey, *, first: str | None, last: str | None, key_id: str | None = None) -> list[UsageRow]:
        """What the tenant used on each day, or one of its keys. A key that is no administrator's sees only itself.

        Raises InvalidRequestError, and ForbiddenError for another key.
        """
        first, last = check_days(first, last, self._clock.now())
        owner = OF_TENANT if key_id is None else key_id
        if not _sees_tenant(key):
            if key_id not in {None, key.id}:
                raise ForbiddenError("key_id: this key sees only its own usage; leave it out.")
            owner = key.id
        self._meter.flush()
        return self._ledger.usage_of(key.tenant, owner, first=first, last=last)

    def by_key(self, key: ApiKey, *, first: str | None, last: str | None, limit: int, cursor: str | None) -> UsagePage:
        """What each key of the tenant used on each day; for a key that is no administrator's, itself."""
        first, last = check_days(first, last, self._clock.now())
        if not _sees_tenant(key):
            return UsagePage(tuple(self.days(key, first=first, last=last)), None)
        self._meter.flush()
        return self._ledger.usage_by_key(key.tenant, first=first, last=last, limit=limit, cursor=cursor)

    def quotas(self, key: ApiKey) -> list[QuotaState]:
        """The quotas that the key meets, those of its tenant only for an administrator."""
        self._meter.flush()
        shown = [one for one in self._meter.quotas_of(key) if one.owner[1] != OF_TENANT or _sees_tenant(key)]
        return [state for one in shown for state in self._states(one)]

    def _states(self, one: OwnerQuotas) -> list[QuotaState]:
        tenant, owner = one.owner
        now = self._clock.now()
        used = self._ledger.used(tenant, [owner], now=now)[owner]
        of = "tenant" if owner == OF_TENANT else "key"
        found = []
        for name, limit in one.limits:
            if name.counted is None:
                found.append(QuotaState(of, name, limit, self._meter.stored(one), None))
                continue
            kind, window = name.counted
            found.append(QuotaState(of, name, limit, used.within(window, kind), later(now, window.left_s(now))))
        return found


def check_days(first: str | None, last: str | None, now: str) -> tuple[str, str]:
    """The days from and to which a report goes; without any, the present month. Raises InvalidRequestError."""
    last = last or day_of(now)
    first = first or (month_of(last) + "-01" if is_day(last) else day_of(now))
    for name, day in (("from", first), ("to", last)):
        if not is_day(day):
            raise InvalidRequestError(f"{name}: give a day such as 2026-11-28, in UTC.")
    if first > last:
        raise InvalidRequestError("from: this day is after `to`; exchange them.")
    if date.fromisoformat(last) - date.fromisoformat(first) >= timedelta(days=MOST_DAYS):
        raise InvalidRequestError(f"from: at most {MOST_DAYS} days are shown at once; ask for fewer.")
    return first, last


def _sees_tenant(key: ApiKey) -> bool:
    return key.admin and key.limits is None
