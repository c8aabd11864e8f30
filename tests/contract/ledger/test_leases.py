"""The contract of the small stores: leases, keys, idempotency records, ping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from forgetless.domain.errors import LedgerError
from forgetless.domain.keys import ApiKey, Role
from forgetless.ports.ledger import Ledger
from forgetless.ports.request_ledger import IdempotencyRecord
from tests.contract.ledger.making import a_memory, add, at, delete, keys_of

RUNS = IdempotencyRecord("print", lease_until=at(10))
DONE = IdempotencyRecord("print", lease_until=at(10), status=200, body='{"odd": "\ud800\x00"}')


def test_a_lease_has_one_holder_until_it_expires(ledger: Ledger) -> None:
    assert ledger.acquire_lease("scope", owner="me", now=at(0), until=at(5))
    assert not ledger.acquire_lease("scope", owner="them", now=at(4), until=at(9))
    assert ledger.acquire_lease("other", owner="them", now=at(4), until=at(9))
    assert ledger.acquire_lease("scope", owner="them", now=at(5), until=at(9))
    assert not ledger.acquire_lease("scope", owner="me", now=at(6), until=at(9))


def test_a_lease_is_prolonged_by_its_holder(ledger: Ledger) -> None:
    assert ledger.acquire_lease("scope", owner="me", now=at(0), until=at(5))
    assert ledger.acquire_lease("scope", owner="me", now=at(3), until=at(9))
    assert not ledger.acquire_lease("scope", owner="them", now=at(6), until=at(9))


def test_a_lease_tells_when_it_ends(ledger: Ledger) -> None:
    assert ledger.lease_until("scope") is None
    ledger.acquire_lease("scope", owner="me", now=at(0), until=at(5))
    ledger.acquire_lease("scope", owner="them", now=at(1), until=at(9))
    assert ledger.lease_until("scope") == at(5)
    ledger.release_lease("scope", owner="me")
    assert ledger.lease_until("scope") is None


def test_only_the_holder_gives_a_lease_up(ledger: Ledger) -> None:
    ledger.acquire_lease("scope", owner="me", now=at(0), until=at(5))
    ledger.release_lease("scope", owner="them")
    assert not ledger.acquire_lease("scope", owner="them", now=at(1), until=at(9))
    ledger.release_lease("scope", owner="me")
    ledger.release_lease("scope", owner="me")
    assert ledger.acquire_lease("scope", owner="them", now=at(1), until=at(9))


def test_keys_are_found_by_hash_and_replaced(ledger: Ledger) -> None:
    key = ApiKey("hash", "acme", Role.READ, at(0), label="laptop", prefix="fgl_12345678", users=("anna", "b\x00\ud800"))
    key = replace(key, agents=("*", "b\x00\ud800"), apps=("app",), expires_at=at(99), replaced_until=at(98))
    ledger.put_key(key)
    assert ledger.key("hash") == key
    assert ledger.key("other") is None
    assert ledger.put_key(replace(key, revoked=True), held=key)
    assert ledger.key("hash") == replace(key, revoked=True)


def test_a_key_is_replaced_by_who_has_seen_how_it_stands(ledger: Ledger) -> None:
    """Two who saw it at once: the second one's news is old, and a revocation is never undone."""
    key = ApiKey("hash", "acme", Role.READ, at(0))
    assert not ledger.put_key(replace(key, revoked=True), held=key)
    assert ledger.put_key(key)
    assert not ledger.put_key(replace(key, role=Role.WRITE))
    assert ledger.put_key(replace(key, revoked=True), held=key)
    assert not ledger.put_key(replace(key, role=Role.WRITE), held=key)
    assert not ledger.put_key(replace(key, revoked=True), held=key)
    assert keys_of(ledger, "acme") == [replace(key, revoked=True)]
    moved = replace(key, tenant="other", created_at=at(1))
    assert ledger.put_key(moved, held=replace(key, revoked=True))
    assert (keys_of(ledger, "acme"), keys_of(ledger, "other")) == ([], [moved])


def test_the_keys_of_a_tenant_are_listed_oldest_first(ledger: Ledger) -> None:
    first, second = (ApiKey(name, "acme", Role.WRITE, created_at=at(n)) for n, name in enumerate(["b", "a"]))
    for key in (second, first, ApiKey("c", "other", Role.ADMIN, created_at=at(0))):
        ledger.put_key(key)
    ledger.put_key(replace(first, revoked=True), held=first)
    assert keys_of(ledger, "acme") == [replace(first, revoked=True), second]
    assert keys_of(ledger, "nobody") == []


def begin(
    ledger: Ledger,
    record: IdempotencyRecord,
    second: int,
    tenant: str = "acme",
    over: IdempotencyRecord | None = None,
) -> IdempotencyRecord | None:
    return ledger.begin_request(tenant, "POST /memories k", record, now=at(second), expires_at=at(100), over=over)


def test_a_request_begins_once_and_then_shows_its_answer(ledger: Ledger) -> None:
    assert begin(ledger, RUNS, 0) is None
    assert begin(ledger, replace(RUNS, fingerprint="other body"), 1) == RUNS
    assert begin(ledger, RUNS, 1, tenant="other") is None
    ledger.finish_request("acme", "POST /memories k", DONE, began=RUNS, expires_at=at(100))
    assert begin(ledger, RUNS, 50) == DONE


def test_an_abandoned_request_is_taken_over_by_the_same_body_only(ledger: Ledger) -> None:
    begin(ledger, RUNS, 0)
    assert begin(ledger, replace(RUNS, fingerprint="other body"), 10) == RUNS
    again = replace(RUNS, lease_until=at(30))
    assert begin(ledger, again, 10) is None
    assert begin(ledger, RUNS, 11) == again


def test_an_expired_record_is_taken_over_by_any_body(ledger: Ledger) -> None:
    begin(ledger, RUNS, 0)
    ledger.finish_request("acme", "POST /memories k", DONE, began=RUNS, expires_at=at(60))
    other = replace(RUNS, fingerprint="other body", lease_until=at(70))
    assert begin(ledger, other, 60) is None
    assert begin(ledger, RUNS, 61) == other


def test_a_dropped_request_may_begin_again(ledger: Ledger) -> None:
    begin(ledger, RUNS, 0)
    ledger.drop_request("acme", "POST /memories k", began=RUNS)
    ledger.drop_request("acme", "POST /memories k", began=RUNS)
    assert begin(ledger, RUNS, 1) is None


def test_a_request_that_was_taken_over_neither_answers_nor_drops(ledger: Ledger) -> None:
    """It outlived its lease: the repeat that runs now has the last word, or a third would run beside it."""
    begin(ledger, RUNS, 0)
    again = replace(RUNS, lease_until=at(30))
    assert begin(ledger, again, 10) is None
    ledger.drop_request("acme", "POST /memories k", began=RUNS)
    assert begin(ledger, RUNS, 11) == again
    ledger.finish_request("acme", "POST /memories k", DONE, began=RUNS, expires_at=at(100))
    assert begin(ledger, RUNS, 12) == again
    late = replace(DONE, body="the repeat's")
    ledger.finish_request("acme", "POST /memories k", late, began=again, expires_at=at(100))
    ledger.finish_request("acme", "POST /memories k", DONE, began=RUNS, expires_at=at(100))
    ledger.drop_request("acme", "POST /memories k", began=again)
    assert begin(ledger, RUNS, 50) == late


def test_an_answer_to_a_request_that_is_not_known_any_more_is_not_kept(ledger: Ledger) -> None:
    ledger.finish_request("acme", "POST /memories k", DONE, began=RUNS, expires_at=at(100))
    assert begin(ledger, RUNS, 1) is None


def test_an_answer_that_shows_a_memory_deleted_meanwhile_is_not_kept(ledger: Ledger) -> None:
    memory = a_memory("a")
    ledger.append(add(memory))
    begin(ledger, RUNS, 0)
    ledger.append([delete(memory)])
    shown = replace(DONE, body=f'{{"results": [{{"id": "{memory.id}", "memory": "its text"}}]}}')
    ledger.finish_request("acme", "POST /memories k", shown, began=RUNS, expires_at=at(100))
    assert begin(ledger, RUNS, 1) is None


def test_a_record_that_is_known_to_be_abandoned_is_taken_over_once(ledger: Ledger) -> None:
    begin(ledger, RUNS, 0)
    again, late = replace(RUNS, lease_until=at(30)), replace(RUNS, lease_until=at(31))
    assert begin(ledger, replace(again, fingerprint="other body"), 1, over=RUNS) == RUNS
    assert begin(ledger, again, 1, over=RUNS) is None
    assert begin(ledger, late, 2, over=RUNS) == again, "somebody else was first"
    ledger.finish_request("acme", "POST /memories k", DONE, began=again, expires_at=at(100))
    assert begin(ledger, late, 3, over=again) == DONE, "what has an answer is not abandoned"
    assert begin(ledger, late, 3, over=DONE) is None, "unless the caller knows it, and that it shows what is erased"


def test_an_answer_that_shows_a_memory_goes_with_it(ledger: Ledger) -> None:
    memory = a_memory("a")
    ledger.append(add(memory))
    begin(ledger, RUNS, 0)
    shown = replace(DONE, body=f'{{"results": [{{"id": "{memory.id}", "memory": "its text"}}]}}')
    ledger.finish_request("acme", "POST /memories k", shown, began=RUNS, expires_at=at(100))
    ledger.append([delete(memory)])
    assert begin(ledger, RUNS, 1) is None


def test_ping_tells_whether_the_ledger_can_be_read(reopen: Callable[[], Ledger]) -> None:
    ledger = reopen()
    ledger.ping()
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError, match="closed"):
        ledger.ping()


def test_a_limited_key_of_an_earlier_version_goes_on_with_all_agents_and_apps(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = ApiKey("limited", "acme", Role.WRITE, at(0), users=("anna",))
    free = ApiKey("free", "acme", Role.WRITE, at(1))
    record = ApiKey.record
    newer = {"agents", "apps", "expires_at", "replaced_until"}
    with monkeypatch.context() as earlier:
        earlier.setattr(
            ApiKey, "record", lambda key: {name: value for name, value in record(key).items() if name not in newer}
        )
        for key in (limited, free):
            assert ledger.put_key(key)
    upgraded = replace(limited, agents=("*",), apps=("*",))
    assert keys_of(ledger, "acme") == [upgraded, free]
    # What is written from now on says so itself, and a key without limits still has the earlier form.
    assert ledger.put_key(replace(upgraded, agents=("bot",)), held=upgraded)
    assert ledger.key("limited") == replace(upgraded, agents=("bot",))
    assert not newer & set(free.record())
