"""UsageMeter: counts what each key uses, and refuses what a quota does not allow.

Nothing is written or read for one request alone. Adds are counted in their own transactions. All else waits in the
process until 20 requests wait, or until the first request 5 seconds after the last flush; the flush then runs beside
the request (`begin_flush`) and reads the figures of those who have quotas. In between, a process judges by what it read
last and what it has counted since. So it lets through at most 20 requests more than a quota allows, and a process that
is killed loses at most 20. Before it refuses a request, it reads the figures again, at most once a second.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from forgetless.domain.errors import LedgerError, RateLimitedError, StoredQuotaError
from forgetless.domain.keys import ApiKey
from forgetless.domain.quotas import DefaultQuotas, QuotaName
from forgetless.domain.times import seconds_between
from forgetless.domain.usage import UsageKind, Use, day_of, minute_of
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import KeyStore
from forgetless.ports.metrics import THROTTLES
from forgetless.ports.request_ledger import RequestLedger
from forgetless.ports.usage import UsageStore
from forgetless.service.access.limited_ledger import LimitedLedger
from forgetless.service.access.quota_figures import Figures, OwnerQuotas, Snapshot, quotas_of

__all__ = ["FLUSH_S", "MOST_UNSAVED", "Taken", "UsageMeter"]

#: A process that has counted so many requests since its last flush writes them; it counts no more before it has.
MOST_UNSAVED = 20
#: The first request after so many seconds begins a flush, too.
FLUSH_S = 5.0
#: Before a request is refused, figures that are older than this are read again.
REFUSAL_READ_S = 1.0
#: After a flush that failed, no request waits for the next one within this time.
_PAUSE_S = 5.0
#: How many uses one call writes.
_PORTION = 20
#: The figures of at most so many keys and tenants are remembered.
_MOST_OWNERS = 4096
#: What has waited longer than this, in a process that nobody asked, is written only for keys that still exist. It is
#: shorter than the time that a deletion of a tenant waits for late writers.
_STALE_S = 600.0

_logger = logging.getLogger(__name__)

_Waiting = Counter[tuple[str, str, str, UsageKind]]
_Refusal = RateLimitedError | StoredQuotaError


class MeterLedger(UsageStore, KeyStore, RequestLedger, Protocol):
    """The part of the ledger that the meter needs. Memories that wait to be removed count as stored."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Something that was counted for a key, and when."""

    key: ApiKey
    kind: UsageKind
    at: str
    number: int = 1


class UsageMeter:
    """The counters of this process; several threads use it at once."""

    def __init__(self, *, ledger: MeterLedger, clock: Clock, defaults: DefaultQuotas | None = None) -> None:
        self._ledger = ledger
        self._clock = clock
        self._defaults = defaults or DefaultQuotas()
        #: What waits to be written, by tenant, key, period and kind.
        self._waiting: _Waiting = Counter()
        #: The time of the first of them, and whether a later one came long after it.
        self._waits_since, self._waited_long = "", False
        self._unsaved = 0
        self._flushed_at = self._paused_until = float("-inf")
        self._figures: OrderedDict[tuple[str, str], Figures] = OrderedDict()
        #: Those whose figures were used since they were read.
        self._touched: dict[tuple[str, str], OwnerQuotas] = {}
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="usage")

    def quotas_of(self, key: ApiKey) -> list[OwnerQuotas]:
        """The quotas that a key meets."""
        return list(quotas_of(key, self._defaults))

    def take_at_once(self, key: ApiKey, kind: UsageKind) -> Taken | None:
        """Count one use of this kind; None, and nothing is counted, if `take` must be called, which may wait."""
        with self._lock:
            return None if self._is_full(kind) else self._judged(key, kind)[0]

    def take(self, key: ApiKey, kind: UsageKind, number: int = 1) -> Taken:
        """Count uses of this kind; raises RateLimitedError or StoredQuotaError unless a quota allows all of them."""
        while self._is_full(kind):
            with self._flushing:
                if self._is_full(kind):  # others, who waited as well, may have flushed meanwhile
                    self._flush()
        with self._lock:
            taken, refusal = self._judged(key, kind, number)
        if refusal is not None and (old := self._old(key)):
            self.flush(*old)
            with self._lock:
                taken, refusal = self._judged(key, kind, number)
        if taken is None:
            assert refusal is not None
            THROTTLES.count(tenant=key.tenant, limit=_limit_of(refusal))
            raise refusal
        return taken

    def take_request(self, key: ApiKey) -> None:
        """Count a request whose key is known only while it is served, and flush if that is due; raises as `take`."""
        self.take(key, UsageKind.REQUESTS)
        if (flush := self.begin_flush()) is not None:
            flush.result()

    def check(self, key: ApiKey, kind: UsageKind | None) -> None:
        """Raise what `take` would raise, without counting anything.

        Without a kind, it is about something that stores memories and is no add: only StoredQuotaError is raised.
        """
        with self._lock:
            refusal = self._refusal(key, kind, self._clock.now())
        if refusal is not None and (old := self._old(key)):
            self.flush(*old)
            with self._lock:
                refusal = self._refusal(key, kind, self._clock.now())
        if refusal is not None:
            THROTTLES.count(tenant=key.tenant, limit=_limit_of(refusal))
            raise refusal

    def settle(self, taken: Taken, *, done: bool) -> None:
        """Say how what was taken ended; what was refused or failed does not count."""
        self.settle_part(taken, taken.number if done else 0)

    def settle_part(self, taken: Taken, done: int) -> None:
        """Say how many of what was taken were done; only these count."""
        undone = max(0, taken.number - done)
        with self._lock:
            for one in self.quotas_of(taken.key):
                figures = self._figures_of(one)
                if taken.kind is UsageKind.ADDS:
                    figures.open_adds = max(0, figures.open_adds - 1)
                if undone:
                    figures.count(taken.kind, taken.at, -undone)
            if undone and taken.kind is not UsageKind.ADDS:
                self._wait(taken, -undone)

    def note(self, tenant: str, key_id: str, kind: UsageKind, number: int) -> None:
        """Count what is known only afterwards, such as tokens of an LLM."""
        with self._lock:
            now = self._clock.now()
            self._add((tenant, key_id, day_of(now), kind), number, now)

    def note_tokens(self, key: ApiKey, *, waiting: int, counted: int) -> None:
        """Count an LLM's tokens that a request of this key used; the ledger knows those that are `counted`."""
        if waiting:
            self.note(key.tenant, key.id, UsageKind.LLM_TOKENS, waiting)
        with self._lock:
            for one in self.quotas_of(key):
                figures = self._figures_of(one)
                figures.count(UsageKind.LLM_TOKENS, self._clock.now(), waiting + counted)
                figures.unsure = figures.unsure or counted > 0

    def note_stored(self, key: ApiKey, number: int) -> None:
        """Note that a request of this key has stored so many memories."""
        with self._lock:
            for one in self.quotas_of(key):
                figures = self._figures_of(one)
                figures.stored_since += number
                figures.unsure = True

    def forget_stored(self, key: ApiKey) -> None:
        """Note that a request has changed or deleted memories: they are counted again before an add is refused."""
        with self._lock:
            for one in self.quotas_of(key):
                if one.of_stored and one.owner in self._figures:
                    self._figures[one.owner].unsure = True

    def begin_flush(self) -> Future[None] | None:
        """Begin a flush beside the caller, who must wait for its end; None if none is due."""
        with self._lock:
            now = self._clock.monotonic()
            late = now - self._flushed_at >= FLUSH_S or self._unsaved >= MOST_UNSAVED
            if not self._waiting or not late or now < self._paused_until:
                return None
            self._flushed_at = now
        return self._beside.submit(self.flush)

    def flush(self, *also: OwnerQuotas) -> None:
        """Write what waits, and read the figures of those whose quotas were touched since; logs if it fails."""
        with self._flushing:
            self._flush(*also)

    def close(self) -> None:
        """Write what waits, and release the thread."""
        self._beside.shutdown()
        self.flush()

    def _flush(self, *also: OwnerQuotas) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, Counter()
            since, long = self._waits_since, self._waited_long
            self._waits_since, self._waited_long = "", False
            unsaved = self._unsaved
            touched, self._touched = {**self._touched, **{one.owner: one for one in also}}, {}
            before = {owner: self._figures_of(one).snapshot() for owner, one in touched.items()}
            self._flushed_at = self._clock.monotonic()
        try:
            self._write(self._of_standing_keys(waiting) if long else waiting)
            with self._lock:
                self._unsaved -= unsaved
            self._read(touched.values(), before)
        except LedgerError as error:
            _logger.warning("usage was not counted", extra={"reason": error.code})
            with self._lock:
                self._waiting.update(waiting)
                self._waits_since, self._waited_long = since, long
                self._touched = {**touched, **self._touched}
                self._paused_until = self._clock.monotonic() + _PAUSE_S

    def _is_full(self, kind: UsageKind) -> bool:
        """Whether no further request may be counted before a flush has ended."""
        full = kind is UsageKind.REQUESTS and self._unsaved >= MOST_UNSAVED
        return full and self._clock.monotonic() >= self._paused_until

    def _refusal(self, key: ApiKey, kind: UsageKind | None, now: str, number: int = 1) -> _Refusal | None:
        found = (one.refusal(self._figures_of(one), kind, now, number=number) for one in self.quotas_of(key))
        return next((refusal for refusal in found if refusal is not None), None)

    def _judged(self, key: ApiKey, kind: UsageKind, number: int = 1) -> tuple[Taken | None, _Refusal | None]:
        """What was taken, or why it is refused."""
        now = self._clock.now()
        if (refusal := self._refusal(key, kind, now, number)) is not None:
            return None, refusal
        for one in self.quotas_of(key):
            figures = self._figures_of(one)
            figures.count(kind, now, number)
            figures.open_adds += kind is UsageKind.ADDS
            self._touched[one.owner] = one
        taken = Taken(key, kind, now, number)
        if kind is not UsageKind.ADDS:  # an add is counted by its own transaction
            self._wait(taken, number)
        self._unsaved += kind is UsageKind.REQUESTS
        return taken, None

    def _wait(self, taken: Taken, number: int) -> None:
        key, at = taken.key, taken.at
        periods = [day_of(at)]
        if taken.kind is UsageKind.REQUESTS and any(one.by_minute for one in self.quotas_of(key)):
            periods.append(minute_of(at))
        for period in periods:
            self._add((key.tenant, key.id, period, taken.kind), number, at)

    def _add(self, what: tuple[str, str, str, UsageKind], number: int, at: str) -> None:
        self._waits_since = self._waits_since or at
        self._waited_long = self._waited_long or seconds_between(self._waits_since, at) >= _STALE_S
        self._waiting[what] += number

    def _figures_of(self, one: OwnerQuotas) -> Figures:
        figures = self._figures.get(one.owner)
        if figures is None:
            figures = self._figures[one.owner] = Figures()
            if len(self._figures) > _MOST_OWNERS:
                self._figures.popitem(last=False)
        self._figures.move_to_end(one.owner)
        return figures

    def _old(self, key: ApiKey) -> list[OwnerQuotas]:
        """The key's quotas whose figures were not read in the last second, or may have changed since."""
        since = self._clock.monotonic() - REFUSAL_READ_S
        with self._lock:
            held = [(one, self._figures_of(one)) for one in self.quotas_of(key)]
        return [one for one, figures in held if figures.unsure or figures.read_at <= since]

    def _of_standing_keys(self, waiting: _Waiting) -> _Waiting:
        """What waits, without what is of keys that are gone: their tenant may have been deleted."""
        ids: defaultdict[str, set[str]] = defaultdict(set)
        for tenant, key_id, *_ in waiting:
            ids[tenant].add(key_id)
        known = {tenant: self._ledger.keys_by_id(tenant, of_tenant) for tenant, of_tenant in ids.items()}
        for what in [what for what in waiting if what[1] not in known[what[0]]]:
            del waiting[what]
        return waiting

    def _write(self, waiting: _Waiting) -> None:
        """Write these counts in portions, and remove from `waiting` those that are written."""
        for portion in _portions(_uses(waiting)):
            self._ledger.add_usage(portion)
            for use in portion:
                for kind in use.counts:
                    del waiting[use.tenant, use.key_id, use.period, kind]

    def _read(self, quotas: Iterable[OwnerQuotas], before: dict[tuple[str, str], Snapshot]) -> None:
        by_tenant: defaultdict[str, list[OwnerQuotas]] = defaultdict(list)
        for one in quotas:
            by_tenant[one.owner[0]].append(one)
        for tenant, found in by_tenant.items():
            now, read_at = self._clock.now(), self._clock.monotonic()
            used = self._ledger.used(tenant, [one.owner[1] for one in found], now=now)
            stored = {one.owner: self.stored(one) for one in found if one.of_stored}
            with self._lock:
                for one in found:
                    figures = self._figures_of(one)
                    mine = used[one.owner[1]]
                    figures.renew(mine, stored.get(one.owner), before[one.owner], at=now, read_at=read_at)

    def stored(self, one: OwnerQuotas) -> int | None:
        """How many memories are stored that count for this quota; None if the ledger does not know."""
        ledger: RequestLedger = self._ledger if one.reach is None else LimitedLedger(self._ledger, one.reach)
        totals = ledger.kept_totals(one.owner[0], {})
        return None if totals is None else totals.live


def _limit_of(refusal: _Refusal) -> str:
    """How the metric calls the limit."""
    counted = QuotaName(refusal.quota).counted
    return "memories" if counted is None else str(counted[0])


def _uses(waiting: _Waiting) -> list[Use]:
    counts: defaultdict[tuple[str, str, str], dict[UsageKind, int]] = defaultdict(dict)
    for (tenant, key_id, period, kind), number in waiting.items():
        counts[tenant, key_id, period][kind] = number
    return [Use(*place, kinds) for place, kinds in counts.items()]


def _portions(uses: Sequence[Use]) -> Iterator[Sequence[Use]]:
    return (uses[start : start + _PORTION] for start in range(0, len(uses), _PORTION))
