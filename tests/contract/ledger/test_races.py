"""The ledger contract under races of processes: one winner, one holder, nothing lost, no lock shown to callers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.errors import DuplicateTextError, VersionConflictError
from forgetless.domain.keys import ApiKey, Role
from forgetless.ports.ledger import Ledger
from forgetless.service.access.oauth_grants import OAuthGrants
from tests.contract.ledger.making import ANNA, a_job, a_memory, a_message, add, at, ids, in_processes, job_id, update
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.slow

Reopen = Callable[[], Ledger]


def most(reopen: Reopen, count: int) -> int:
    """So many processes, or two over moto, which serves one request at a time, and slowly."""
    return count if isinstance(reopen, partial) and reopen.func is SqliteLedger else 2


def _update_first(ledger: Ledger, number: int) -> bool:
    try:
        ledger.append([update(a_memory("a"), text=f"by {number}")])
    except VersionConflictError:
        return False
    return ledger.read("acme", [a_memory("a").id])[a_memory("a").id].text == f"by {number}"


def test_of_updates_to_one_version_one_wins(ledger: Ledger, reopen: Reopen) -> None:
    ledger.append(add(a_memory("a")))
    assert sum(in_processes(reopen, _update_first, most(reopen, 4))) == 1
    assert len(ledger.history("acme", a_memory("a").id)) == 2


def _add_same_texts(ledger: Ledger, number: int) -> int:
    stored = 0
    for text in range(10):
        memory = a_memory(f"job {number} {text}", text=f"fact {text}", extracted=True)
        try:
            ledger.append(add(memory), messages=[a_message(f"job {number} {text}")])
        except DuplicateTextError:
            continue
        stored += 1
    return stored


def test_equal_extracted_texts_are_stored_once(ledger: Ledger, reopen: Reopen) -> None:
    assert sum(in_processes(reopen, _add_same_texts, most(reopen, 4))) == 10
    assert len(ledger.list_memories("acme", {}, limit=99).items) == 10


def _take(ledger: Ledger, number: int) -> tuple[bool, bool]:
    leased = ledger.acquire_lease("scope", owner=str(number), now=at(0), until=at(9))
    claimed = ledger.claim_job("acme", job_id("a"), owner=str(number), now=at(0), until=at(9))
    return leased, claimed is not None


def test_a_lease_and_a_job_have_one_holder(ledger: Ledger, reopen: Reopen) -> None:
    ledger.put_job(a_job("a"), [])
    taken = in_processes(reopen, _take, most(reopen, 4))
    assert [sum(each) for each in zip(*taken, strict=True)] == [1, 1]


def _write_much(ledger: Ledger, number: int) -> int:
    for step in range(12):
        name = f"{number} {step}"
        ledger.append(add(a_memory(name, second=step)), messages=[a_message(name)])
        ledger.mark_indexed([a_memory(name, second=step)])
        ledger.erase_messages("acme", [a_message(name).ref], at=at(9))
    return len(ledger.list_memories("acme", ANNA.ids(), limit=999).items)


def test_many_processes_open_and_write_at_once(reopen: Reopen) -> None:
    count = most(reopen, 16)
    seen = in_processes(reopen, _write_much, count)
    assert max(seen) == count * 12
    ledger = reopen()
    assert len(ledger.list_memories("acme", {}, limit=999).items) == count * 12
    assert ledger.unindexed(before=at(99), limit=9) == []
    ledger.close()


def test_threads_share_a_ledger(ledger: Ledger) -> None:
    def work(number: int) -> int:
        memory = a_memory("t", number)
        ledger.append(add(memory))
        return len(ledger.read("acme", [memory.id]))

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(work, range(100))) == 100
    assert len(ledger.list_memories("acme", {}, limit=999).items) == 100


def _add_forever(ledger: Ledger, number: int) -> None:
    for position in range(30):
        ledger.append(add(a_memory(f"w{number}", position, second=60 + position)))


def _page_through(ledger: Ledger, number: int) -> list[str]:
    if number:
        _add_forever(ledger, number)
        return []
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = ledger.list_memories("acme", {"user_id": "anna"}, limit=3, cursor=cursor)
        seen += ids(page.items)
        cursor = page.cursor
        if cursor is None:
            return seen


def test_pages_stay_whole_under_concurrent_inserts(ledger: Ledger, reopen: Reopen) -> None:
    before = [a_memory("old", position, second=position) for position in range(40)]
    ledger.append(add(*before))
    seen = in_processes(reopen, _page_through, 3)[0]
    assert len(seen) == len(set(seen))
    assert [id_ for id_ in seen if id_ in set(ids(before))] == ids(before[::-1])


def _exchange_and_renew(ledger: Ledger, number: int) -> tuple[bool, list[int | None]]:
    del number
    grants, key = OAuthGrants(ledger=ledger, clock=FakeClock()), ApiKey("h" * 64, "acme", Role.READ, at(0))
    return grants.begin(key, "exchanged"), [grants.advance(key, "renewed", one) for one in (1, 2, 3)]


def test_a_code_begins_one_grant_and_its_renewals_make_one_line(ledger: Ledger, reopen: Reopen) -> None:
    grants, key = OAuthGrants(ledger=ledger, clock=FakeClock()), ApiKey("h" * 64, "acme", Role.READ, at(0))
    assert grants.begin(key, "renewed")
    done = in_processes(reopen, _exchange_and_renew, most(reopen, 4))
    # Of equal codes one is taken, and the others end what it gave.
    assert sum(begun for begun, _ in done) == 1
    assert grants.advance(key, "exchanged", 1) is None
    # A process that has fallen behind ends the grant, and nobody gets any number but the next one.
    assert all(number in {one + 2, None} for _, numbers in done for one, number in enumerate(numbers))
