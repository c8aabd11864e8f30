"""The meter of a process: what it counts, what it refuses, and by how much several processes together overshoot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.errors import LedgerError, RateLimitedError, StoredQuotaError
from forgetless.domain.keys import ApiKey, Role
from forgetless.domain.quotas import DefaultQuotas, Quotas
from forgetless.domain.usage import OF_TENANT, UsageKind, Use
from forgetless.service.access.usage_meter import FLUSH_S, MOST_UNSAVED, UsageMeter
from tests.contract.ledger.making import a_memory, add, delete
from tests.fakes.clock import FakeClock
from tests.fakes.counting_ledger import CountingLedger

REQUESTS, ADDS, _, SEARCHES, TOKENS = UsageKind
KEY = ApiKey("h1", "acme", Role.WRITE, "2026-01-01T00:00:00.000000+00:00")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    yield ledger
    ledger.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def new_meter(ledger: SqliteLedger, clock: FakeClock) -> Callable[..., UsageMeter]:
    """Makes the meter of another process."""

    def make(on: Any = ledger, **defaults: Quotas) -> UsageMeter:
        return UsageMeter(ledger=on, clock=clock, defaults=DefaultQuotas(**defaults))

    return make


class HeldLedger:
    """A ledger that writes no usage before it is told to go on."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger
        self.writing, self.go_on = threading.Event(), threading.Event()
        self.writes = 0

    def add_usage(self, *args: Any, **options: Any) -> None:
        self.writes += 1
        self.writing.set()
        assert self.go_on.wait(10)
        self._ledger.add_usage(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


def with_quota(**limits: int) -> ApiKey:
    return replace(KEY, quotas=Quotas.of(limits))


def of_tenant(ledger: SqliteLedger, clock: FakeClock, kind: UsageKind = REQUESTS) -> int:
    return ledger.used("acme", [OF_TENANT], now=clock.now())[OF_TENANT].day.get(kind, 0)


def ask(meter: UsageMeter, key: ApiKey, kind: UsageKind | None = None) -> bool:
    """One request as the API makes it; whether it was let through."""
    try:
        meter.take_at_once(key, REQUESTS) or meter.take(key, REQUESTS)
        taken = None if kind is None else meter.take_at_once(key, kind) or meter.take(key, kind)
    except RateLimitedError:
        return False
    flush = meter.begin_flush()
    if flush is not None:
        flush.result()
    if taken is not None:
        meter.settle(taken, done=True)
    return True


def test_without_a_quota_nothing_is_read_and_one_write_serves_twenty_requests(
    ledger: SqliteLedger, clock: FakeClock, new_meter: Callable[..., UsageMeter]
) -> None:
    counting = CountingLedger(ledger)
    meter = new_meter(counting)
    assert all(ask(meter, KEY, SEARCHES) for _ in range(1 + 3 * MOST_UNSAVED))
    assert counting.calls == {"add_usage": 4}, "the first request begins a flush, and each twentieth after it"
    clock.advance(FLUSH_S)
    ask(meter, KEY)
    assert counting.calls == {"add_usage": 5}
    assert of_tenant(ledger, clock) == 2 + 3 * MOST_UNSAVED


def test_those_who_wait_for_a_flush_do_not_flush_once_more_each(
    ledger: SqliteLedger, clock: FakeClock, new_meter: Callable[..., UsageMeter]
) -> None:
    held = HeldLedger(ledger)
    meter = new_meter(held)
    for _ in range(MOST_UNSAVED):
        assert meter.take_at_once(KEY, REQUESTS)
    with ThreadPoolExecutor(12) as threads:
        waiting = [threads.submit(meter.take, KEY, REQUESTS) for _ in range(12)]
        assert held.writing.wait(10)
        time.sleep(0.2)  # for the others to wait
        held.go_on.set()
        assert all(one.result(10) for one in waiting)
    assert held.writes == 1
    meter.flush()
    assert of_tenant(ledger, clock) == MOST_UNSAVED + 12


def test_a_quota_is_read_beside_the_flush_alone(ledger: SqliteLedger, new_meter: Callable[..., UsageMeter]) -> None:
    counting = CountingLedger(ledger)
    meter = new_meter(counting)
    key = with_quota(requests_per_minute=1000, stored_memories=1000)
    assert all(ask(meter, key) for _ in range(1 + MOST_UNSAVED))
    assert counting.calls == {"add_usage": 2, "used": 2, "kept_totals": 2}


@pytest.mark.parametrize("processes", [1, 3, 8])
@pytest.mark.parametrize("limits", [{"requests_per_minute": 90}, {"searches_per_day": 90}, {"searches_per_month": 90}])
def test_each_process_lets_through_at_most_twenty_too_many(
    new_meter: Callable[..., UsageMeter], processes: int, limits: dict[str, int]
) -> None:
    meters = [new_meter() for _ in range(processes)]
    key = with_quota(**limits)
    let_through = sum(ask(meter, key, SEARCHES) for _ in range(120) for meter in meters)
    assert 90 <= let_through <= 90 + processes * MOST_UNSAVED
    if processes == 1:
        assert let_through == 90


def test_a_process_that_is_killed_loses_at_most_twenty(
    ledger: SqliteLedger, clock: FakeClock, new_meter: Callable[..., UsageMeter]
) -> None:
    for made in range(1, 70):
        killed = new_meter()
        before = of_tenant(ledger, clock)
        for _ in range(made):
            ask(killed, KEY)
        assert made - MOST_UNSAVED <= of_tenant(ledger, clock) - before <= made


def test_many_threads_count_each_request_once_and_keep_to_the_quota(
    ledger: SqliteLedger, clock: FakeClock, new_meter: Callable[..., UsageMeter]
) -> None:
    meter = new_meter()
    key = with_quota(requests_per_minute=150)
    with ThreadPoolExecutor(8) as pool:
        let_through = sum(pool.map(lambda _: ask(meter, key, SEARCHES), range(300)))
    meter.close()
    assert let_through == 150
    assert (of_tenant(ledger, clock), of_tenant(ledger, clock, SEARCHES)) == (150, 150)


def test_a_window_that_begins_anew_opens_again(clock: FakeClock, new_meter: Callable[..., UsageMeter]) -> None:
    meter, key = new_meter(), with_quota(requests_per_minute=3, searches_per_day=5)
    assert [ask(meter, key, SEARCHES) for _ in range(4)] == [True, True, True, False]
    with pytest.raises(RateLimitedError, match="3 requests per 1 minute") as refused:
        meter.take(key, REQUESTS)
    assert (refused.value.limit, refused.value.retry_after) == (3, 60)
    clock.advance(60)
    assert [ask(meter, key, SEARCHES) for _ in range(3)] == [True, True, False], "the day allows two more"
    with pytest.raises(RateLimitedError, match="5 searches per 1 day") as refused:
        meter.take(key, SEARCHES)
    assert refused.value.retry_after == 24 * 3600 - 60
    clock.advance(24 * 3600)
    assert ask(meter, key, SEARCHES)


def test_what_fails_does_not_count(
    ledger: SqliteLedger, clock: FakeClock, new_meter: Callable[..., UsageMeter]
) -> None:
    meter, key = new_meter(), with_quota(requests_per_minute=2, adds_per_day=1)
    for kind in (REQUESTS, SEARCHES, ADDS):
        for _ in range(5):
            meter.settle(meter.take(key, kind), done=False)
    assert ask(meter, key, ADDS)
    meter.flush()
    assert of_tenant(ledger, clock) == 1


def test_adds_count_in_the_ledger_by_their_own_transaction(
    ledger: SqliteLedger, clock: FakeClock, new_meter: Callable[..., UsageMeter]
) -> None:
    one, other = new_meter(), new_meter()
    key = with_quota(adds_per_day=3)
    for number in range(3):
        taken = one.take(key, ADDS)
        ledger.append(add(a_memory(f"{number}")), used=[Use("acme", key.id, clock.now()[:10], {ADDS: 1})])
        one.flush()  # the figures are read while the add still runs
        one.settle(taken, done=True)
    for meter in (one, other):
        meter.flush(*meter.quotas_of(key))
        with pytest.raises(RateLimitedError, match="adds_per_day"):
            meter.take(key, ADDS)


def test_an_add_that_was_counted_twice_for_a_moment_refuses_nobody(
    ledger: SqliteLedger, clock: FakeClock, new_meter: Callable[..., UsageMeter]
) -> None:
    meter, key = new_meter(), with_quota(adds_per_day=2)
    taken = meter.take(key, ADDS)
    ledger.append(add(a_memory("1")), used=[Use("acme", key.id, clock.now()[:10], {ADDS: 1})])
    meter.flush()
    meter.settle(taken, done=True)
    assert meter.take(key, ADDS)


def test_stored_memories(ledger: SqliteLedger, new_meter: Callable[..., UsageMeter]) -> None:
    meter, key = new_meter(), with_quota(stored_memories=2)
    memories = [a_memory("a", place) for place in range(2)]
    meter.take(key, ADDS)
    ledger.append(add(*memories))
    meter.note_stored(key, 2)
    for refused in (lambda: meter.take(key, ADDS), lambda: meter.check(key, None)):
        with pytest.raises(StoredQuotaError, match="stored_memories of 2 of this key is full"):
            refused()
    assert ask(meter, key, SEARCHES), "it may be searched"
    ledger.append([delete(memories[0])])
    meter.forget_stored(key)
    assert meter.take(key, ADDS)


def test_a_refusal_reads_at_most_once_a_second(
    ledger: SqliteLedger, clock: FakeClock, new_meter: Callable[..., UsageMeter]
) -> None:
    counting = CountingLedger(ledger)
    meter, key = new_meter(counting), with_quota(searches_per_day=1)
    ask(meter, key, SEARCHES)
    for _ in range(50):
        with pytest.raises(RateLimitedError):
            meter.take(key, SEARCHES)
    assert counting.calls["used"] <= 2
    clock.advance(1)
    with pytest.raises(RateLimitedError):
        meter.take(key, SEARCHES)
    assert counting.calls["used"] <= 3


def test_the_tenants_quota_is_shared_by_its_keys_and_told_only_to_those_that_see_it(
    new_meter: Callable[..., UsageMeter],
) -> None:
    quotas = Quotas.of({"searches_per_day": 3, "stored_memories": 0})
    one = replace(KEY, tenant_quotas=quotas)
    limited = replace(one, hash="h2", users=("alice",))
    meter = new_meter()
    assert [ask(meter, key, SEARCHES) for key in (one, limited, one, limited)] == [True, True, True, False]
    with pytest.raises(RateLimitedError, match=r"3 searches per 1 day, the quota searches_per_day of the tenant"):
        meter.take(one, SEARCHES)
    for kind, error in ((SEARCHES, RateLimitedError), (ADDS, StoredQuotaError)):
        with pytest.raises(error, match="of the tenant") as refused:
            meter.take(limited, kind)
        assert refused.value.limit is None
        assert "3" not in refused.value.message.split("try again")[0]
    assert ask(meter, replace(limited, tenant="other", tenant_quotas=Quotas()), SEARCHES)


def test_a_quota_of_its_own_goes_before_that_of_the_settings(new_meter: Callable[..., UsageMeter]) -> None:
    meter = new_meter(key=Quotas.of({"searches_per_day": 1}))
    lifted = replace(KEY, quotas=Quotas.of({"searches_per_day": None}))
    assert [ask(meter, KEY, SEARCHES) for _ in range(2)] == [True, False]
    other = replace(lifted, hash="h2")
    assert [ask(meter, other, SEARCHES) for _ in range(3)] == [True] * 3


def test_while_the_ledger_does_not_answer_requests_go_on_and_are_counted_later(
    ledger: SqliteLedger, clock: FakeClock, new_meter: Callable[..., UsageMeter]
) -> None:
    class Broken(CountingLedger):
        out = True

        def add_usage(self, uses: Any) -> None:
            self.calls["tried"] += 1
            if self.out:
                raise LedgerError("out")
            ledger.add_usage(uses)

    broken = Broken(ledger)
    meter = new_meter(broken)
    assert all(ask(meter, KEY) for _ in range(100))
    assert broken.calls["tried"] == 1, "no request waits for the next try"
    broken.out = False
    clock.advance(FLUSH_S)
    assert ask(meter, KEY)
    meter.flush()
    assert of_tenant(ledger, clock) == 101


def test_what_waits_is_written_at_the_end(
    ledger: SqliteLedger, clock: FakeClock, new_meter: Callable[..., UsageMeter]
) -> None:
    meter = new_meter()
    for _ in range(3):
        ask(meter, KEY)
    meter.note("acme", KEY.id, TOKENS, 120)
    meter.close()
    assert (of_tenant(ledger, clock), of_tenant(ledger, clock, TOKENS)) == (3, 120)


def test_a_process_that_nobody_asked_for_long_writes_nothing_of_a_tenant_that_was_deleted(
    ledger: SqliteLedger, clock: FakeClock, new_meter: Callable[..., UsageMeter]
) -> None:
    meter, kept = new_meter(), replace(KEY, hash="h2", tenant="kept")
    for key in (KEY, kept):
        ledger.put_key(key)
        ask(meter, key)  # the first one is written at once
        meter.take(key, REQUESTS)
    ledger.remove_keys("acme", limit=9)
    clock.advance(601)
    ask(meter, kept)
    figures = {tenant: ledger.used(tenant, [OF_TENANT], now=clock.now())[OF_TENANT].day for tenant in ("acme", "kept")}
    assert figures == {"acme": {REQUESTS: 1}, "kept": {REQUESTS: 3}}
