"""`forgetless restore` after a revocation: keys, quotas, webhooks and log-ins are those of the replaced ledger."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import orjson
import pytest

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.ledger_codec import dump, to_blob
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.adapters.ledger_sqlite.schema import SCHEMA_VERSION
from forgetless.cli.stores import OK
from forgetless.domain.errors import AuthenticationError
from forgetless.domain.keys import ApiKey, Role, key_hash
from forgetless.domain.webhooks import Webhook
from forgetless.runtime import composition
from forgetless.runtime.settings import load_settings
from forgetless.service.access.keys import KeyService
from forgetless.service.access.oauth_grants import OAuthGrants
from forgetless.service.services import Services
from tests.contract.ledger.making import a_memory, at
from tests.contract.ledger.old_ledgers import sqlite_of_schema
from tests.unit.store_house import StoreHouse

KEPT = "keys, quotas, webhooks and log-ins are those of the replaced ledger, which is not older than the copy"


@contextmanager
def services() -> Iterator[Services]:
    with closing(composition.build_services(load_settings())) as built:
        yield built


def created(house: StoreHouse, *options: str) -> str:
    """A new key of a tenant, as its client has it."""
    code, out, _ = house.run("keys", "create", *options)
    assert code == OK
    return out.strip()


def id_of(secret: str) -> str:
    return ApiKey(key_hash(secret), "", Role.READ, "").id


def stored(house: StoreHouse, secret: str) -> ApiKey | None:
    with closing(SqliteLedger(house.path)) as ledger:
        return ledger.key(key_hash(secret))


def is_valid(house: StoreHouse, secret: str) -> bool:
    with closing(SqliteLedger(house.path)) as ledger:
        try:
            KeyService(ledger=ledger, clock=SystemClock()).authenticate(secret)
        except AuthenticationError:
            return False
    return True


def restored(house: StoreHouse, copy: Path, *options: str) -> str:
    code, out, err = house.run("restore", str(copy), "--replace", *options)
    assert (code, err) == (OK, "")
    return out


@pytest.mark.parametrize("started", [True, False], ids=["of a service", "of commands alone"])
def test_a_key_that_was_revoked_after_the_copy_stays_revoked(house: StoreHouse, copy: Path, *, started: bool) -> None:
    if started:
        house.start()
    leaked, other = created(house, "--label", "leaked"), created(house)
    assert house.run("backup", str(copy))[0] == OK
    assert house.run("keys", "revoke", id_of(leaked))[0] == OK
    out = restored(house, copy)
    assert f"{KEPT}; 1 key of the copy had been revoked, had ended or were gone there, and stay so" in out
    assert (is_valid(house, leaked), is_valid(house, other)) == (False, True)
    assert "leaked" not in house.run("keys", "list")[1]
    assert house.run("keys", "revoke", id_of(other))[0] == OK
    restored(house, copy)
    assert not is_valid(house, other), "also when the replaced ledger was restored from the same copy"


def test_what_was_rotated_limited_or_made_after_the_copy_is_as_it_was(house: StoreHouse, copy: Path) -> None:
    house.start()
    old, bounded = created(house, "--quota", "adds_per_day=100"), created(house, "--tenant", "acme")
    house.run("backup", str(copy))
    code, successor, _ = house.run("keys", "rotate", id_of(old), "--overlap-hours", "0")
    assert code == OK
    assert house.run("keys", "set", id_of(bounded), "--tenant", "acme", "--quota", "adds_per_day=1")[0] == OK
    assert house.run("tenants", "set", "acme", "--quota", "searches_per_day=2")[0] == OK
    new = created(house, "--tenant", "new")
    before = [stored(house, secret) for secret in (old, successor.strip(), bounded, new)]
    restored(house, copy)
    assert [stored(house, secret) for secret in (old, successor.strip(), bounded, new)] == before
    assert [is_valid(house, secret) for secret in (old, successor.strip(), bounded, new)] == [False, True, True, True]
    assert house.run("tenants", "show", "acme")[1].split() == ["searches_per_day", "2"]


def a_webhook(services: Services, name: str) -> Webhook:
    return services.webhooks.create(
        "default", "p", name=name, url=f"https://{name}.example", event_types=["memory_add"], is_active=True
    )


def test_webhooks_that_were_deleted_or_stopped_after_the_copy_stay_so(house: StoreHouse, copy: Path) -> None:
    created(house)
    with services() as built:
        gone, stopped, moved = (a_webhook(built, name) for name in ("gone", "stopped", "moved"))
    house.run("backup", str(copy))
    with services() as built:
        built.webhooks.delete("default", gone.id)
        built.webhooks.update("default", stopped.id, {"is_active": False})
        built.webhooks.update("default", moved.id, {"url": "https://elsewhere.example"})
        new = a_webhook(built, "new")
    out = restored(house, copy)
    assert "; 2 webhooks of the copy had been revoked, had ended or were gone" in out
    with services() as built:
        left = {one.id: one.url for one in built.webhooks.list("default", "p") if one.is_active}
        built.webhooks.update("default", moved.id, {"name": "goes on"})
    assert left == {moved.id: "https://elsewhere.example", new.id: "https://new.example"}
    assert gone.secret not in house.path.read_bytes().decode("latin-1")
    assert house.check("--thorough")[1].count("damaged") == 0


def test_log_ins_that_were_revoked_and_refresh_tokens_that_were_used_after_the_copy_stay_so(
    house: StoreHouse, copy: Path
) -> None:
    secret = created(house)

    @contextmanager
    def grants() -> Iterator[tuple[OAuthGrants, ApiKey]]:
        with closing(SqliteLedger(house.path)) as ledger:
            key = ledger.key(key_hash(secret))
            assert key is not None
            yield OAuthGrants(ledger=ledger, clock=SystemClock()), key

    with grants() as (all_, key):
        assert [all_.begin(key, name) for name in ("revoked", "used", "idle")] == [True] * 3
    house.run("backup", str(copy))
    with grants() as (all_, key):
        all_.revoke(key, "revoked")
        assert [all_.advance(key, "used", number) for number in (1, 2)] == [2, 3]
    restored(house, copy)
    with grants() as (all_, key):
        assert all_.advance(key, "revoked", 1) is None
        assert all_.advance(key, "idle", 1) == 2
        assert all_.advance(key, "used", 3) == 4, "its host goes on"
        assert all_.advance(key, "used", 1) is None


def test_keys_of_the_copy_hold_where_the_operator_wants_it(house: StoreHouse, copy: Path) -> None:
    house.start()
    key = created(house)
    house.run("backup", str(copy))
    house.run("keys", "revoke", id_of(key))
    new = created(house)
    out = restored(house, copy, "--keys-of-copy")
    assert "warning: 1 key of the copy hold again (as you asked): " in out
    assert (is_valid(house, key), is_valid(house, new)) == (True, False)


def test_keys_of_a_deleted_tenant_stay_gone_though_what_was_erased_comes_back(house: StoreHouse, copy: Path) -> None:
    created(house)
    key = created(house, "--tenant", "acme")
    house.say("rockets", tenant="acme")
    house.run("backup", str(copy))
    assert house.run("tenants", "delete", "acme", "--yes")[0] == OK
    out = restored(house, copy, "--include-erased")
    assert "1 key of the copy had been revoked, had ended or were gone there" in out
    assert len(house.memories("acme")) == 1
    assert not is_valid(house, key)
    restored(house, copy, "--include-erased", "--keys-of-copy")
    assert is_valid(house, key)


def nothing(path: Path) -> None:
    path.unlink()


def garbage(path: Path) -> None:
    path.write_bytes(b"garbage " * 2000)


def of_another_program(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE bookmarks (url)")


def another(path: Path) -> None:
    """The ledger that a service begins where there is none, with a key of its own."""
    path.unlink()
    with closing(SqliteLedger(path)) as ledger:
        ledger.put_key(ApiKey(key_hash("of the new ledger"), "default", Role.ADMIN, at(0)))


def damaged_keys(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'keys'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        # The number of rows on the page is one less: a reader misses a key, and gets no error.
        file.seek((page - 1) * size + 3)
        number = int.from_bytes(file.read(2), "big")
        file.seek(-2, os.SEEK_CUR)
        file.write((number - 1).to_bytes(2, "big"))
    with closing(sqlite3.connect(path)) as db:
        assert len(db.execute("SELECT hash, body, quotas FROM keys").fetchall()) == number - 1


def damaged_webhooks(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM texts WHERE text_id IN (SELECT text_id FROM documents WHERE kind = 'webhook')")


def with_body(body: bytes, of: str) -> Callable[[Path], None]:
    """A row that SQLite reads without an error, and that says nothing."""

    def made(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db, db:
            if of == "keys":
                db.execute("UPDATE keys SET body = ?", (body,))
                return
            texts = "SELECT text_id FROM documents WHERE kind = ?"
            assert db.execute(f"UPDATE texts SET body = ? WHERE text_id IN ({texts})", (body, of)).rowcount

    return made


@pytest.mark.parametrize(
    ("made", "why"),
    [
        *(
            (with_body(body, of), "the replaced ledger cannot be read")
            for of in ("keys", "webhook", "copies")
            for body in (b"{{", b"{}", b"[]", b"5")
        ),
        (nothing, "there was no ledger in its place"),
        (garbage, "the replaced ledger cannot be read"),
        (of_another_program, "the replaced ledger cannot be read"),
        (damaged_keys, "the replaced ledger cannot be read"),
        (damaged_webhooks, "the replaced ledger cannot be read"),
        (another, "the replaced ledger is another one than the copy's"),
    ],
)
def test_where_nothing_tells_what_was_revoked_the_operator_is_told_what_comes_back(
    house: StoreHouse, copy: Path, made: Callable[[Path], None], why: str
) -> None:
    house.start()
    leaked, expired = created(house), created(house, "--tenant", "it's acme")
    created(house, "--tenant", "acme")
    with services() as built:
        a_webhook(built, "hook")
    with closing(SqliteLedger(house.path)) as ledger:
        held = ledger.key(key_hash(expired))
        assert held is not None
        ledger.put_key(ApiKey(held.hash, held.tenant, held.role, held.created_at, expires_at=at(1)), held=held)
    house.run("backup", str(copy))
    house.run("keys", "revoke", id_of(leaked))
    assert house.run("checkpoint")[0] == OK
    made(house.path)
    out = restored(house, copy)
    assert f"warning: 2 keys and 1 webhook of the copy hold again ({why}): keys that were revoked or limited" in out
    assert "  forgetless keys list --tenant acme    # 1 key\n" in out
    assert "  forgetless keys list --tenant default    # 1 key and 1 webhook\n" in out
    assert "it's acme" not in out
    assert "  forgetless keys revoke ID --tenant NAME\n" in out
    assert is_valid(house, leaked)
    assert not is_valid(house, "of the new ledger")


def test_names_of_tenants_are_quoted_and_not_too_many(house: StoreHouse, copy: Path) -> None:
    with closing(SqliteLedger(house.path)) as ledger:
        for name in ("a b; rm", "a\x1b[2J", *(f"t{n}" for n in range(30))):
            ledger.put_key(ApiKey(key_hash(name), name, Role.ADMIN, at(0)))
    house.run("backup", str(copy))
    house.path.unlink()
    out = restored(house, copy)
    assert "--tenant 'a b; rm'    # 1 key" in out
    assert "--tenant 'a\\x1b[2J'" in out
    assert "and so on, for 12 more tenants" in out


def test_a_copy_without_keys_says_so(house: StoreHouse, copy: Path) -> None:
    house.say("rockets")
    house.run("backup", str(copy))
    house.path.unlink()
    assert "the restored ledger has no valid keys" in restored(house, copy)


def test_a_replaced_ledger_of_an_earlier_version_is_read_and_not_changed(house: StoreHouse, copy: Path) -> None:
    sqlite_of_schema(9, house.path, [a_memory("a")])
    key = ApiKey(key_hash("leaked"), "acme", Role.WRITE, at(0), "leaked")
    with closing(sqlite3.connect(house.path, isolation_level=None)) as db:
        body = orjson.dumps({"id": "one", "stamp": "s", "rebuild": ""})
        text_id = db.execute("INSERT INTO texts (body) VALUES (?)", (body,)).lastrowid
        db.execute(
            "INSERT INTO documents (tenant, kind, id, created_at, version, text_id) VALUES (x'', 'ledger', ?, ?, 1, ?)",
            (to_blob("identity"), at(0), text_id),
        )
        db.execute("INSERT INTO keys (hash, body) VALUES (?, ?)", (to_blob(key.hash), dump(key.record())))
    copy.parent.mkdir()
    shutil.copy(house.path, copy)
    with closing(sqlite3.connect(house.path, isolation_level=None)) as db:
        db.execute("UPDATE keys SET body = ?", (dump({**key.record(), "revoked": True}),))
    assert f"{KEPT}; 1 key of the copy" in restored(house, copy)
    assert not is_valid(house, "leaked")
    (aside,) = house.path.parent.glob("ledger.db.before-restore-*")
    with closing(sqlite3.connect(aside / "ledger.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (9,)
    assert SCHEMA_VERSION > 9
