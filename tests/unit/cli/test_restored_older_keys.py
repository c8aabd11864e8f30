"""`forgetless restore` over a ledger that is older than the copy, or whose tenant was made anew after a deletion."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli.stores import OK
from forgetless.domain.documents import Document
from forgetless.domain.keys import ApiKey, key_hash
from forgetless.domain.times import later
from forgetless.service.access.oauth_grants import OAuthGrants
from forgetless.service.stores.copy_marks import COPIES, knows_copy, note_copy
from tests.unit.cli.test_restored_keys import KEPT, a_webhook, created, id_of, is_valid, restored, services
from tests.unit.store_house import StoreHouse

OLDER = "keys, quotas, webhooks and log-ins are those of the copy, because the replaced ledger is older, or went back"


@pytest.fixture
def first(copy: Path) -> Path:
    """The file of a copy that is made before `copy`."""
    return copy.with_name("first.db")


def by_restore(house: StoreHouse, first: Path) -> None:
    restored(house, first, "--keys-of-copy")


def by_snapshot(house: StoreHouse, first: Path) -> None:
    assert house.run("checkpoint")[0] == OK
    for file in house.path.parent.glob(f"{house.path.name}-*"):
        file.unlink()
    shutil.copy(first, house.path)


def without_name(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute("DELETE FROM documents WHERE kind = ?", (COPIES,))


@pytest.mark.parametrize("named", [True, False], ids=["copies have names", "copies of an earlier version"])
@pytest.mark.parametrize("back", [by_restore, by_snapshot])
def test_a_key_that_was_revoked_before_the_copy_stays_so_and_newer_keys_stay(
    house: StoreHouse, copy: Path, first: Path, back: Callable[[StoreHouse, Path], None], *, named: bool
) -> None:
    house.start()
    leaked = created(house, "--label", "leaked")
    assert house.run("backup", str(first))[0] == OK
    house.run("keys", "revoke", id_of(leaked))
    new = created(house)
    assert house.run("backup", str(copy))[0] == OK
    if not named:
        without_name(first)
        without_name(copy)
    back(house, first)
    assert (is_valid(house, leaked), is_valid(house, new)) == (True, False)
    out = restored(house, copy)
    assert OLDER in out
    assert (is_valid(house, leaked), is_valid(house, new)) == (False, True)
    assert (
        "warning: 1 key of the replaced ledger can no longer be used:\n  default: 1 key; the copy does not have" in out
    )


def test_a_ledger_that_went_back_and_was_used_since_is_not_later_than_the_copy(
    house: StoreHouse, copy: Path, first: Path
) -> None:
    house.start()
    leaked, other = created(house), created(house)
    house.run("backup", str(first))
    house.run("keys", "revoke", id_of(leaked))
    with services() as built:
        hook = a_webhook(built, "hook")
    house.run("backup", str(copy))
    restored(house, first, "--keys-of-copy")
    since = created(house)
    house.run("keys", "revoke", id_of(other))
    out = restored(house, copy)
    assert (
        f"{OLDER} to a time before the copy; keys and log-ins that it had revoked or limited stay so; 1 key of" in out
    )
    assert [is_valid(house, key) for key in (leaked, other, since)] == [False, False, False]
    with services() as built:
        assert [one.id for one in built.webhooks.list("default", "p")] == [hook.id]


def test_a_key_that_is_revoked_in_the_copy_alone_is_not_valid_though_nothing_tells_which_is_later(
    house: StoreHouse, copy: Path, first: Path
) -> None:
    house.start()
    leaked, other = created(house), created(house)
    house.run("backup", str(first))
    house.run("keys", "revoke", id_of(leaked))
    house.run("backup", str(copy))
    without_name(copy)
    by_restore(house, first)
    assert KEPT in restored(house, copy)
    assert (is_valid(house, leaked), is_valid(house, other)) == (False, True)


@pytest.mark.parametrize("revoked_in", ["copy", "replaced"])
@pytest.mark.parametrize("named", [True, False])
def test_a_log_in_that_either_revoked_stays_so(
    house: StoreHouse, copy: Path, first: Path, revoked_in: str, *, named: bool
) -> None:
    house.start()
    secret = created(house)

    def grants(work: Callable[[OAuthGrants, ApiKey], object]) -> object:
        with closing(SqliteLedger(house.path)) as ledger:
            key = ledger.key(key_hash(secret))
            assert key is not None
            return work(OAuthGrants(ledger=ledger, clock=SystemClock()), key)

    grants(lambda all_, key: all_.begin(key, "one"))
    house.run("backup", str(first))
    if revoked_in == "copy":
        grants(lambda all_, key: all_.revoke(key, "one"))
    house.run("backup", str(copy))
    if not named:
        without_name(copy)
    # Restoring takes no log-in away, so the ledger goes back by a snapshot.
    by_snapshot(house, first)
    if revoked_in == "replaced":
        grants(lambda all_, key: all_.revoke(key, "one"))
    out = restored(house, copy)
    assert (OLDER in out, KEPT in out) == (named, not named)
    assert grants(lambda all_, key: all_.advance(key, "one", 1)) is None


def test_a_later_copy_after_an_earlier_one_does_not_bring_webhooks_back(
    house: StoreHouse, copy: Path, first: Path
) -> None:
    house.start()
    created(house)
    with services() as built:
        gone = a_webhook(built, "gone")
    house.run("backup", str(first))
    house.run("backup", str(copy))
    with services() as built:
        built.webhooks.delete("default", gone.id)
    assert KEPT in restored(house, first)
    assert KEPT in restored(house, copy), "the keys come from a ledger that was later than both"
    with services() as built:
        assert built.webhooks.list("default", "p") == []


def test_keys_of_a_tenant_that_is_deleted_again_are_counted(
    house: StoreHouse, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.start()
    old = created(house, "--tenant", "acme")
    other = created(house)
    house.run("backup", str(copy))
    assert house.run("tenants", "delete", "acme", "--yes")[0] == OK
    assert "can no longer be used" not in restored(house, copy), "it has no keys in the replaced ledger"
    now, ahead = SystemClock.now, [0.0]
    monkeypatch.setattr(SystemClock, "now", lambda self: later(now(self), ahead[0]))
    with services() as built:
        for _ in range(6):
            ahead[0] += 1200
            built.sweep.sweep()
            for _ in range(5):
                built.bulk_worker.turn()
    new = [created(house, "--tenant", "acme"), created(house, "--tenant", "acme")]
    out = restored(house, copy)
    assert (
        "warning: 2 keys of the replaced ledger can no longer be used:\n  acme: 2 keys; this tenant was made anew"
        in out
    )
    assert [is_valid(house, key) for key in (old, *new, other)] == [False, False, False, True]


def test_a_ledger_that_takes_no_name_is_copied_all_the_same(house: StoreHouse, copy: Path) -> None:
    created(house)
    with closing(sqlite3.connect(house.path)) as db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON documents BEGIN SELECT RAISE(ABORT, 'full'); END")
    assert house.run("backup", str(copy))[0] == OK
    assert copy.is_file()


def test_names_of_copies_are_bounded_and_a_forgotten_one_tells_nothing(tmp_path: Path) -> None:
    with closing(SqliteLedger(tmp_path / "ledger.db")) as ledger:

        def noted() -> list[Document]:
            note_copy(ledger, clock=SystemClock())
            return ledger.documents("", COPIES, limit=9)[0]

        one, two = noted(), noted()
        assert (knows_copy(two, one), knows_copy(one, two), knows_copy(two, [])) == (True, False, None)
        for _ in range(1000):
            last = noted()
    assert (knows_copy(last, last), knows_copy(last, two), knows_copy([], one)) == (True, None, False)
