"""The keys of a tenant: in pages, by their ids, and no more than a tenant may have."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from forgetless.adapters.ledger_codec import dump
from forgetless.adapters.ledger_dynamodb import DynamoLedger, item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import from_wire, to_wire
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.errors import InvalidRequestError, TooManyKeysError
from forgetless.domain.keys import ApiKey, Role
from forgetless.domain.limits import KEYS_AT_ONCE
from forgetless.domain.quotas import Quotas
from forgetless.ports.ledger import Ledger
from tests.contract.ledger.making import at, keys_of

NASTY = "a\x00#\ud800"


def key(name: str, second: int = 0, *, tenant: str = "acme", **more: object) -> ApiKey:
    return replace(ApiKey(name, tenant, Role.READ, at(second)), **more)  # type: ignore[arg-type]


def put(ledger: Ledger, *keys: ApiKey) -> list[ApiKey]:
    for one in keys:
        assert ledger.put_key(one)
    return list(keys)


def revoke(ledger: Ledger, one: ApiKey) -> ApiKey:
    assert ledger.put_key(one.bare, held=one)
    return one.bare


def pages(ledger: Ledger, tenant: str, limit: int) -> list[list[ApiKey]]:
    found, cursor = ledger.keys(tenant, limit=limit)
    read = [found]
    while cursor is not None:
        found, cursor = ledger.keys(tenant, limit=limit, cursor=cursor)
        read.append(found)
    return read


@pytest.mark.parametrize("tenant", ["acme", NASTY, ""])
def test_keys_come_in_pages_newest_first_without_revoked_ones(ledger: Ledger, tenant: str) -> None:
    # Three of one moment, between others.
    made = put(ledger, *(key(f"k{number}", max(1, min(number, 3)), tenant=tenant) for number in range(7)))
    put(ledger, key("theirs", 2, tenant="other"))
    revoke(ledger, made.pop(2))
    expected = sorted(made, key=lambda one: (one.created_at, one.id), reverse=True)
    for limit in (1, 2, 5, 6, 9):
        read = pages(ledger, tenant, limit)
        assert [one for page in read for one in page] == expected
        assert all(len(page) <= limit for page in read)
    assert ledger.keys("nobody", limit=9) == ([], None)


def test_a_page_goes_on_where_the_last_one_ended_although_its_last_key_is_revoked(ledger: Ledger) -> None:
    put(ledger, *(key(f"k{number}", 1) for number in range(5)))
    (first, second), cursor = ledger.keys("acme", limit=2)
    revoke(ledger, second)
    put(ledger, key("newer", 9))
    rest, end = ledger.keys("acme", limit=9, cursor=cursor)
    assert end is None
    assert {one.hash for one in rest} == {f"k{number}" for number in range(5)} - {first.hash, second.hash}


def test_a_page_ends_early_when_its_keys_are_large(ledger: Ledger) -> None:
    users = tuple(f"{number}" + "x" * 240 for number in range(300))
    made = put(ledger, *(key(f"k{number:02}", number, users=users, agents=users) for number in range(12)))
    found, cursor = ledger.keys("acme", limit=99)
    assert 0 < len(found) < 12
    assert sum(len(dump(one.record())) for one in found) <= KEYS_AT_ONCE
    assert cursor is not None
    assert [one for page in pages(ledger, "acme", 99) for one in page] == made[::-1]
    assert keys_of(ledger, "acme") == made


def test_a_cursor_of_another_list_is_refused(ledger: Ledger) -> None:
    for cursor in ("nonsense", "", "WyJhIiwiYiJd", "WyJhIl0"):
        with pytest.raises(InvalidRequestError, match="cursor"):
            ledger.keys("acme", limit=9, cursor=cursor)


def test_all_keys_have_revoked_ones_as_well(ledger: Ledger) -> None:
    made = put(ledger, *(key(f"k{number}", number) for number in range(5)))
    made[1] = revoke(ledger, made[1])
    put(ledger, key("theirs", tenant="other"))
    found, cursor = list[ApiKey](), None
    while True:
        page, cursor = ledger.all_keys("acme", limit=2, cursor=cursor)
        assert len(page) <= 2
        found += page
        if cursor is None:
            break
    assert sorted(found, key=lambda one: one.created_at) == made


def test_keys_are_found_by_their_ids_in_their_tenant_alone(ledger: Ledger) -> None:
    mine, another, theirs = put(ledger, key("a"), key("b", 1), key("c", tenant="other"))
    mine = revoke(ledger, mine)
    ids = [mine.id, another.id, theirs.id, "nonsense", "a\x00"]
    assert ledger.keys_by_id("acme", ids) == {mine.id: mine, another.id: another}
    assert ledger.keys_by_id("acme", []) == {}
    assert ledger.keys_by_id("other", ids) == {theirs.id: theirs}


def test_a_tenant_has_no_more_keys_than_it_may(ledger: Ledger) -> None:
    first, *_ = put(ledger, key("a"), key("b", expires_at=at(50)), key("c", replaced_until=at(60), expires_at=at(99)))
    put(ledger, *(key(f"theirs {number}", tenant="other") for number in range(5)))
    assert ledger.put_key(key("d", 1), most=4, now=at(10))
    for now in (at(10), at(49)):
        with pytest.raises(TooManyKeysError, match="There are 4 API keys"):
            ledger.put_key(key("e", 2), most=4, now=now)
    assert ledger.key("e") is None
    assert ledger.put_key(key("e", 2), most=4, now=at(50)), "one has expired"
    with pytest.raises(TooManyKeysError):
        ledger.put_key(key("f", 3), most=4, now=at(50))
    revoke(ledger, first)
    assert ledger.put_key(key("f", 3), most=4, now=at(50))
    assert ledger.put_key(key("g", 4)), "an operator may"
    assert ledger.put_key(key("g", 4, label="named"), held=key("g", 4)), "and a key that is there may be changed"
    assert not ledger.put_key(key("g", 4), most=4, now=at(50)), "it is there"


def test_of_keys_that_ended_long_ago_only_that_they_are_no_more_stays(ledger: Ledger) -> None:
    users = {"users": ("anna",), "label": "her phone", "quotas": Quotas.of({"adds_per_day": 1})}
    ends = put(
        ledger,
        key("a", 1, expires_at=at(20), **users),
        key("b", 2, expires_at=at(99), replaced_until=at(19)),
        key("c", 3, revoked=True, **users),
        key("d", 4, expires_at=at(21), **users),
        key("e", 5, **users),
    )
    expired = [one for _ in range(3) for one in ledger.expire_keys(before=at(20), limit=2)]
    assert sorted(expired, key=lambda one: one.hash) == [one.bare for one in ends[:3]]
    assert keys_of(ledger, "acme") == [*(one.bare for one in ends[:3]), *ends[3:]]
    assert ledger.keys("acme", limit=9)[0] == [ends[4], ends[3]]
    assert ledger.expire_keys(before=at(20), limit=9) == []
    assert ledger.key("a") == ends[0].bare, "whoever registers it anew learns that it is revoked"
    assert ledger.put_key(key("f", 6), most=3, now=at(20))
    with pytest.raises(TooManyKeysError):
        ledger.put_key(key("g", 7), most=3, now=at(20))


def test_earlier_keys_of_dynamodb_count_and_are_listed_if_they_are_not_revoked(
    dynamo: Callable[[], DynamoLedger],
) -> None:
    with closing(dynamo()) as ledger:
        made = put(ledger, *(key(f"k{number}", number) for number in range(5)))
        gone = replace(made[1], revoked=True)
        assert ledger.put_key(gone, held=made[1])
        as_before(ledger, gone)
        left = [one for one in made if one.hash != gone.hash]
        assert ledger.keys("acme", limit=9) == (left[::-1], None)
        assert keys_of(ledger, "acme") == [made[0], gone, *made[2:]]
        assert ledger.keys_by_id("acme", [gone.id]) == {gone.id: gone}
        assert ledger.put_key(key("more", 6), most=5, now=at(9))
        with pytest.raises(TooManyKeysError):
            ledger.put_key(key("another", 7), most=5, now=at(9))
        assert ledger.put_key(gone.bare if gone.bare != gone else replace(gone, label="a"), held=gone)
        entries = list(ledger._table.query(item_keys.api_keys("acme"), item_keys.REVOKED))
        assert len(entries) == 1, "its entry is where those of revoked keys are"
        assert ledger.remove_keys("acme", limit=99) == 6
        assert ledger.tenants_with_keys() == []


def as_before(ledger: DynamoLedger, revoked: ApiKey) -> None:
    """Give the entries of the tenant the form of the version before: by time alone, and nothing says when keys end."""
    client = ledger._client
    for item in map(from_wire, client.call("scan", TableName=client.table)["Items"]):
        if item["pk"] != item_keys.api_keys("acme"):
            continue
        old = {"pk": item["pk"], "sk": item["sk"].removeprefix("~"), "hash": item["hash"], "rev": item["rev"]}
        client.call("delete_item", TableName=client.table, Key=to_wire({"pk": item["pk"], "sk": item["sk"]}))
        client.call("put_item", TableName=client.table, Item=to_wire(old))
    assert ledger.key(revoked.hash) == revoked


def test_what_a_version_before_schema_21_writes_is_found(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    limited = key("late", 3, users=("anna",), label="l", quotas=Quotas.of({"adds_per_day": 1}))
    gone = key("gone", 4, revoked=True)
    with closing(SqliteLedger(path)) as ledger:
        put(ledger, key("a", 1), key("late", 3, tenant="acme"))
        for _ in range(2):  # the second time, it writes over what this version has found
            with closing(sqlite3.connect(path)) as before, before:
                for one in (limited, gone):
                    row = (one.hash.encode(), dump(one.record()), dump(one.quota_record()) if one.quotas else None)
                    before.execute("INSERT OR REPLACE INTO keys (hash, body, quotas) VALUES (?, ?, ?)", row)
            with pytest.raises(TooManyKeysError):
                ledger.put_key(key("more"), most=2, now=at(9))
            assert ledger.keys("acme", limit=9) == ([limited, key("a", 1)], None)
        with closing(sqlite3.connect(path)) as before, before:
            before.execute("UPDATE keys SET tenant = NULL")
        assert ledger.tenants_with_keys() == ["acme"]
        assert ledger.keys_by_id("acme", [gone.id]) == {gone.id: gone}
        with closing(sqlite3.connect(path)) as before, before:
            before.execute("UPDATE keys SET tenant = NULL")
        assert ledger.remove_keys("acme", limit=9) == 3
