"""Counters of usage and the quotas beside keys: the same in both ledgers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from forgetless.domain.errors import ErasedError, VersionConflictError
from forgetless.domain.keys import ApiKey, Role
from forgetless.domain.quotas import Quotas, read_quotas
from forgetless.domain.usage import OF_TENANT, UsageKind, Use, Used
from forgetless.ports.ledger import Ledger
from forgetless.ports.usage import UsageRow
from tests.contract.ledger.making import ANNA, a_job, a_memory, a_message, add, update

ADDS, REQUESTS, TOKENS = UsageKind.ADDS, UsageKind.REQUESTS, UsageKind.LLM_TOKENS
NOW = "2026-11-28T02:15:31.000000+00:00"


def use(key_id: str = "k1", period: str = "2026-11-28", *, tenant: str = "acme", **counts: int) -> Use:
    return Use(tenant, key_id, period, {UsageKind(kind): number for kind, number in counts.items()})


def test_uses_count_for_their_key_and_its_tenant(ledger: Ledger) -> None:
    assert ledger.used("acme", ["k1"], now=NOW) == {"k1": Used()}
    ledger.add_usage([use(requests=3, adds=1), use(period="2026-11-27", requests=10), use("k2", requests=1)])
    ledger.add_usage([use(requests=2), use(period="2026-10-31", requests=100), use(tenant="other", requests=7)])
    ledger.add_usage([use(period="2026-11-28T02:15", requests=2), use(period="2026-11-28T02:14", requests=9)])
    ledger.add_usage([])
    found = ledger.used("acme", ["k1", OF_TENANT, "k9"], now=NOW)
    assert found == {
        "k1": Used({REQUESTS: 5, ADDS: 1}, {REQUESTS: 15, ADDS: 1}, 2),
        OF_TENANT: Used({REQUESTS: 6, ADDS: 1}, {REQUESTS: 16, ADDS: 1}, 2),
        "k9": Used(),
    }
    assert ledger.used("nobody", [OF_TENANT], now=NOW) == {OF_TENANT: Used()}


def test_what_was_counted_too_much_is_taken_back(ledger: Ledger) -> None:
    ledger.add_usage([use(requests=3)])
    ledger.add_usage([use(requests=-1)])
    assert ledger.used("acme", ["k1"], now=NOW)["k1"].day == {REQUESTS: 2}


def test_many_writers_lose_nothing(ledger: Ledger) -> None:
    for number in range(12):
        ledger.add_usage([use(f"k{number % 3}", requests=1, searches=2)])
    assert ledger.used("acme", [OF_TENANT], now=NOW)[OF_TENANT].month == {REQUESTS: 12, UsageKind.SEARCHES: 24}


def test_the_days_of_one_key_and_of_the_tenant(ledger: Ledger) -> None:
    ledger.add_usage([use(period=day, requests=1) for day in ("2025-12-31", "2026-01-01", "2026-01-31", "2026-02-01")])
    ledger.add_usage([use("k2", period="2026-01-01", adds=4)])
    days = ledger.usage_of("acme", "k1", first="2025-12-31", last="2026-01-31")
    assert days == [UsageRow(day, "k1", {REQUESTS: 1}) for day in ("2025-12-31", "2026-01-01", "2026-01-31")]
    of_tenant = ledger.usage_of("acme", OF_TENANT, first="2026-01-01", last="2026-01-02")
    assert of_tenant == [UsageRow("2026-01-01", OF_TENANT, {REQUESTS: 1, ADDS: 4})]
    assert ledger.usage_of("acme", "k1", first="2026-01-02", last="2026-01-30") == []


def test_the_days_of_all_keys_come_in_pages(ledger: Ledger) -> None:
    keys = [f"k{number}" for number in range(5)]
    ledger.add_usage([use(key, period=day, requests=1) for key in keys for day in ("2026-01-30", "2026-01-31")])
    ledger.add_usage([use(key, period="2026-02-01", adds=1) for key in keys])
    ledger.add_usage([use(period="2026-03-01", adds=1), use("~", tenant="other", period="2026-01-31", adds=1)])
    rows: list[UsageRow] = []
    cursor: str | None = None
    for _ in range(20):
        page = ledger.usage_by_key("acme", first="2026-01-31", last="2026-02-28", limit=2, cursor=cursor)
        rows, cursor = [*rows, *page.rows], page.cursor
        assert len(page.rows) <= 4
        if cursor is None:
            break
    assert rows == [
        *(UsageRow("2026-01-31", key, {REQUESTS: 1}) for key in keys),
        *(UsageRow("2026-02-01", key, {ADDS: 1}) for key in keys),
    ]


def test_an_append_counts_once(ledger: Ledger) -> None:
    memory = a_memory("a")
    for _ in range(2):
        ledger.append(add(memory), messages=[a_message("a")], used=[use(adds=1)])
    assert ledger.used("acme", ["k1"], now=NOW)["k1"].day == {ADDS: 1}
    with pytest.raises(VersionConflictError):
        ledger.append([update(replace(memory, version=7))], used=[use(adds=1)])
    assert ledger.used("acme", [OF_TENANT], now=NOW)[OF_TENANT].day == {ADDS: 1}


def test_an_append_that_ends_a_job_counts_once(ledger: Ledger) -> None:
    job = a_job("a")
    ledger.put_job(job, [a_message("a")], used=[use(adds=1)])
    ledger.put_job(job, [a_message("a")], used=[use(adds=1)])
    claimed = ledger.claim_job("acme", job.id, owner="w", now=job.created_at, until="2027")
    assert claimed is not None
    done = replace(claimed, state=type(job.state).SUCCEEDED)
    for _ in range(2):
        ledger.append(add(a_memory("a")), completing=done, used=[use(llm_tokens=120)])
    assert ledger.used("acme", ["k1"], now=NOW)["k1"].day == {ADDS: 1, TOKENS: 120}


def test_a_large_append_counts_with_all_that_it_writes(ledger: Ledger) -> None:
    memories = [a_memory("a", place) for place in range(40)]  # more items than one transaction of DynamoDB takes
    for _ in range(2):
        ledger.append(add(*memories), messages=[a_message("a", place) for place in range(40)], used=[use(adds=1)])
    assert ledger.used("acme", ["k1"], now=NOW)["k1"].day == {ADDS: 1}


def test_what_an_erasure_refuses_does_not_count(ledger: Ledger) -> None:
    from forgetless.domain.erasures import Target  # noqa: PLC0415

    ledger.begin_erasure("acme", [Target({"user_id": "anna"})], at=NOW)
    with pytest.raises(ErasedError):
        ledger.append(add(a_memory("a", scope=ANNA)), used=[use(adds=1)])
    assert ledger.used("acme", ["k1"], now=NOW)["k1"] == Used()


def test_figures_end(ledger: Ledger) -> None:
    ledger.add_usage([use(period=period, adds=1) for period in ("2025-01-31", "2025-02-01", "2026-11-28T02:15")])
    while ledger.expire_usage(months_before="2025-02", minutes_before="2026-11-28T03:00", limit=1):
        pass
    left = [row.day for row in ledger.usage_of("acme", "k1", first="2025-01-01", last="2025-12-31")]
    if hasattr(ledger, "back_up"):  # in DynamoDB they end by themselves
        assert (left, ledger.used("acme", ["k1"], now=NOW)["k1"].minute) == (["2025-02-01"], 0)


def test_a_key_keeps_its_quotas_and_a_copy_of_its_tenants(ledger: Ledger, reopen: Callable[[], Ledger]) -> None:
    plain = ApiKey("h1", "acme", Role.WRITE, NOW)
    limited = replace(
        plain,
        quotas=read_quotas(["adds_per_day=5"], field="--quota"),
        tenant_quotas=Quotas.of({"stored_memories": None}),
    )
    assert ledger.put_key(plain)
    assert not ledger.put_key(plain, held=limited)
    assert ledger.put_key(limited, held=plain)
    assert not ledger.put_key(plain, held=plain)
    other = reopen()
    assert other.key("h1") == limited
    assert other.keys("acme", limit=9) == ([limited], None)
    other.close()
    assert ledger.put_key(plain, held=limited)
    assert ledger.key("h1") == plain


def test_the_record_of_a_key_says_nothing_that_an_earlier_version_does_not_know() -> None:
    key = ApiKey("h1", "acme", Role.WRITE, NOW, quotas=Quotas.of({"adds_per_day": 5}))
    assert key.record() == replace(key, quotas=Quotas()).record()


def test_what_a_job_has_used_so_far_is_counted_with_its_change_or_not_at_all(ledger: Ledger) -> None:
    job = a_job("a")
    ledger.put_job(job, [])
    moved = replace(job, attempts=1)
    assert ledger.update_job(moved, held=job, used=[use(llm_tokens=7)])
    assert not ledger.update_job(moved, held=job, used=[use(llm_tokens=7)])
    assert ledger.update_job(job, held=moved)
    assert ledger.used("acme", ["k1"], now=NOW)["k1"].day == {TOKENS: 7}
