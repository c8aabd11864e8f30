"""What a process knows of the figures behind a quota: what it read last, and what it has counted itself since."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from forgetless.domain.errors import RateLimitedError, StoredQuotaError
from forgetless.domain.key_limits import KeyLimits
from forgetless.domain.keys import ApiKey
from forgetless.domain.quotas import DefaultQuotas, QuotaName
from forgetless.domain.usage import OF_TENANT, UsageKind, Used, Window

__all__ = ["Figures", "Owner", "OwnerQuotas", "quotas_of"]

#: Whose figures they are: a tenant, and the id of a key or OF_TENANT.
Owner = tuple[str, str]


@dataclass(frozen=True, slots=True)
class OwnerQuotas:
    """The quotas of a key, or those of its tenant as the key meets them."""

    owner: Owner
    limits: tuple[tuple[QuotaName, int], ...]
    #: Whether the key may know the numbers.
    told: bool
    #: What the key may reach, if these are the key's own quotas and it is limited.
    reach: KeyLimits | None = None

    @property
    def by_minute(self) -> bool:
        """Whether requests must be counted by minute."""
        return any(name is QuotaName.REQUESTS_PER_MINUTE for name, _ in self.limits)

    @property
    def of_stored(self) -> bool:
        """Whether the number of stored memories is limited."""
        return any(name is QuotaName.STORED_MEMORIES for name, _ in self.limits)

    def refusal(
        self, figures: Figures, kind: UsageKind | None, now: str, *, number: int = 1
    ) -> RateLimitedError | StoredQuotaError | None:
        """Why so many more of this kind are refused; None if they are not. A limit that no wait lifts comes first.

        Without a kind, it is about something that stores memories and is no add.
        """
        of = "this key" if self.owner[1] != OF_TENANT else "the tenant"
        waits = []
        for name, limit in self.limits:
            told = limit if self.told else None
            if name.counted is None:
                if kind in {UsageKind.ADDS, None} and figures.stored >= limit:
                    return StoredQuotaError(name, of=of, limit=told)
                continue
            counted, window = name.counted
            if counted is kind and figures.within(window, kind, now) + number > limit:
                wait = max(1, math.ceil(window.left_s(now)))
                waits.append(RateLimitedError(name, of=of, limit=told, retry_after=wait))
        return max(waits, key=lambda error: error.retry_after, default=None)


def quotas_of(key: ApiKey, defaults: DefaultQuotas) -> Iterator[OwnerQuotas]:
    """The quotas that a key meets: its own and those of its tenant. A key that is limited is not told the latter."""
    own = key.quotas.over(defaults.key).in_force()
    if own:
        yield OwnerQuotas((key.tenant, key.id), tuple(own), told=True, reach=key.limits)
    of_tenant = key.tenant_quotas.over(defaults.tenant).in_force()
    if of_tenant:
        yield OwnerQuotas((key.tenant, OF_TENANT), tuple(of_tenant), told=key.limits is None)


@dataclass(slots=True)
class Figures:
    """The figures of one owner. The ledger's were read at `at`; what is counted here since then comes on top."""

    base: Used = field(default_factory=Used)
    at: str = ""
    read_at: float = float("-inf")
    stored_then: int = 0
    #: What this process has counted since, by window.
    own: Counter[tuple[str, UsageKind]] = field(default_factory=Counter)
    stored_since: int = 0
    #: Adds that run: whether they count is not known before they end.
    open_adds: int = 0
    #: Whether an add was counted here and read from the ledger as well: read again before anything is refused.
    unsure: bool = False

    @property
    def stored(self) -> int:
        """How many memories are stored, as far as this process knows."""
        return self.stored_then + self.stored_since

    def within(self, window: Window, kind: UsageKind, now: str) -> int:
        """The figure of the present window."""
        name = window.of(now)
        read = self.base.within(window, kind) if self.at and window.of(self.at) == name else 0
        return read + self.own[name, kind]

    def count(self, kind: UsageKind, at: str, number: int) -> None:
        """Count what the ledger does not count yet, or (a negative number) take it back."""
        for window in Window:
            self.own[window.of(at), kind] += number

    def snapshot(self) -> Snapshot:
        """What is counted here now, without the adds that run: the next reading will contain it."""
        return Snapshot(Counter(self.own), self.open_adds, self.stored_since)

    def renew(self, used: Used, stored: int | None, before: Snapshot, *, at: str, read_at: float) -> None:
        """Take over what was read after the snapshot."""
        self.base, self.at, self.read_at = used, at, read_at
        if stored is not None:
            self.stored_then, self.stored_since = stored, self.stored_since - before.stored
        running, adds = before.open_adds, (Window.MONTH.of(at), UsageKind.ADDS)
        self.unsure = running > 0 or self.own[adds] > before.own[adds]
        self.own.subtract(before.own)
        present = {window.of(at) for window in Window}
        for name, kind in list(self.own):
            if name not in present:
                del self.own[name, kind]
            elif kind is UsageKind.ADDS:
                self.own[name, kind] += running


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a process had counted of an owner at some moment."""

    own: Counter[tuple[str, UsageKind]]
    open_adds: int
    stored: int
