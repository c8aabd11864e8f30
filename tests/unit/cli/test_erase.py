"""`forgetless erase --verify`: it finds what an erasure left, wherever that is, and says what it cannot look into."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli import byte_search
from forgetless.cli.__main__ import FAILED, OK
from forgetless.cli.byte_search import Places, found_in_folder
from forgetless.cli.erase import FOUND
from forgetless.domain.documents import Document
from forgetless.domain.erasures import Target
from forgetless.domain.keys import ApiKey, Role
from forgetless.domain.memory import EventKind
from forgetless.domain.schema_exports import EXPORT
from forgetless.domain.scope import Scope
from forgetless.domain.webhook_deliveries import Delivery, Summary
from forgetless.ports.index import IndexRow
from forgetless.runtime import composition
from forgetless.runtime.settings import load_settings
from forgetless.service.services import Services
from tests.contract.ledger.making import a_memory, a_message, at, put_as_earlier_versions
from tests.unit.store_house import StoreHouse

ANA = Scope("default", user_id="ana-lund")
WHO = ("erase", "--verify", "--user", "ana-lund")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> StoreHouse:
    made = StoreHouse(tmp_path, monkeypatch, capsys)
    made.start()
    made.say("rockets", "trams", user="ana-lund")
    made.say("boats", user="ana-lund2")
    return made


def services() -> Services:
    return composition.build_services(load_settings())


def erased(house: StoreHouse) -> str:
    with closing(services()) as built:
        event_id = built.changes.delete_scope("default", {"user_id": "ana-lund"}).event_id
        while built.bulk_worker.turn():
            pass
        built.sweep.sweep()
    house.run("tidy")
    return event_id


def found(out: str) -> list[str]:
    return [line for line in out.splitlines() if f"  {'FOUND':9}  " in line]


def test_before_an_erasure_everything_is_found_and_after_it_nothing(house: StoreHouse) -> None:
    code, out, err = house.run(*WHO)
    assert (code, err) == (FOUND, "")
    told = "\n".join(found(out))
    for what in ("2 memories", "2 raw messages", "1 adds (events)", "2 rows", "ledger.db"):
        assert what in told
    event_id = erased(house)
    code, out, err = house.run(*WHO)
    assert (code, err, found(out)) == (OK, "", [])
    assert event_id in out
    assert "run forgetless compact" in out
    for unseen in ("Milvus standalone", "queues", "backups"):
        assert unseen in out
    code, out, _ = house.run("erase", "--verify", "--receipt", event_id, "--json")
    assert code == OK
    assert {look["verdict"] for look in json.loads(out)} == {"clean", "not known"}


def test_it_finds_what_an_erasure_left_in_each_part(house: StoreHouse) -> None:
    event_id = erased(house)
    # A row of the index, a request of an export, and a file that nobody should have written.
    house.index.insert([IndexRow(a_memory("left", scope=ANA), [1.0, 0.0], "left")])
    with closing(SqliteLedger(house.path)) as ledger:
        last = ledger.erasure_state("default").last
        ledger.put_document(Document("default", EXPORT, "e", {"filters": {"user_id": "ana-lund"}}, at(1)))
    (house.path.parent / "stray.log").write_text("GET /?user=ana-lund HTTP/1.1")
    code, out, _ = house.run(*WHO)
    assert code == FOUND
    told = "\n".join(found(out))
    for what in ("1 rows", "1 requests of exports", "stray.log"):
        assert what in told
    # A memory that an earlier program wrote after all, with the number of before the erasure.
    with closing(sqlite3.connect(house.path)) as db:
        db.execute("UPDATE erasure_states SET last = 0")
        db.commit()
    with closing(SqliteLedger(house.path)) as ledger:
        ledger.append([], messages=[a_message("left", scope=ANA)])
        ledger.raise_erasures("default", last)
    for command in (WHO, ("erase", "--verify", "--receipt", event_id)):
        code, out, _ = house.run(*command)
        assert code == FOUND
        assert "messages" in "\n".join(found(out))


def test_it_finds_feedback_that_an_earlier_version_left(house: StoreHouse) -> None:
    with closing(SqliteLedger(house.path)) as ledger:
        memory = ledger.list_memories("default", {"user_id": "ana-lund"}, limit=1).items[0]
    event_id = erased(house)
    with closing(SqliteLedger(house.path)) as ledger:
        put_as_earlier_versions(ledger, Document("default", "feedback", memory.id, {"feedback_reason": "no"}, at(1)))
    for command in (WHO, ("erase", "--verify", "--receipt", event_id)):
        code, out, _ = house.run(*command)
        assert code == FOUND
        assert "1 records of feedback on deleted memories" in "\n".join(found(out))
    house.run("tidy")
    for command in (WHO, ("erase", "--verify", "--receipt", event_id)):
        assert found(house.run(*command)[1]) == []


def test_what_is_said_after_an_erasure_is_no_finding_nor_is_a_key(house: StoreHouse) -> None:
    erased(house)
    house.say("new", user="ana-lund")
    with closing(SqliteLedger(house.path)) as ledger:
        ledger.put_key(ApiKey("h", "default", Role.READ, at(1), users=("ana-lund",), agents=("*",), apps=("*",)))
    code, out, _ = house.run(*WHO)
    assert (code, found(out)) == (OK, [])
    assert "1 memories were added after the erasure" in out
    assert "api_key" in out


def test_exports_that_no_erasure_takes_are_no_finding(house: StoreHouse) -> None:
    """One that has the word in another field, and one that was asked for after the erasure."""
    erased(house)
    with closing(SqliteLedger(house.path)) as ledger:
        last = ledger.erasure_state("default").last
        word = {"filters": {"AND": [{"user_id": "bo"}, {"metadata": {"friend": "ana-lund"}}]}}
        later = {"filters": {"user_id": "ana-lund"}, "erasures_before": last}
        for id_, body in (("word", word), ("later", later)):
            ledger.put_document(Document("default", EXPORT, id_, body, at(1)))
    _, out, _ = house.run(*WHO)
    assert "export word names it" in out
    assert "export later names it" in out
    assert "no requests of exports" in out


def test_a_delivery_names_the_erased_only_until_it_has_ended(house: StoreHouse) -> None:
    erased(house)
    waiting = Delivery(
        *("d", "default", "wh_1", (), at(1), at(2)), summary=Summary(EventKind.DELETE, {"user_id": "ana-lund"}, 2)
    )
    with closing(SqliteLedger(house.path)) as ledger:
        ledger.put_document(waiting.document())
    code, out, _ = house.run(*WHO)
    assert "1 deliveries of webhooks name it until they have arrived" in out
    assert not any("webhooks" in line for line in found(out))
    # One that has ended, but has kept the ids all the same.
    with closing(SqliteLedger(house.path)) as ledger:
        ledger.put_document(replace(waiting, state="failed", due_at=None, version=2).document())
    code, out, _ = house.run(*WHO)
    assert code == FOUND
    assert "1 deliveries of webhooks should be gone" in "\n".join(found(out))


def test_an_erasure_that_has_not_ended_is_found(house: StoreHouse) -> None:
    with closing(SqliteLedger(house.path)) as ledger:
        ledger.begin_erasure("default", [Target({"user_id": "ana-lund"})], at=at(1))
    code, out, _ = house.run(*WHO)
    assert code == FOUND
    assert "2 memories should be gone" in out


def test_a_deleted_tenant_is_looked_for_by_its_name(house: StoreHouse) -> None:
    assert house.run("keys", "create", "--tenant", "acme-corp")[0] == OK
    look = ("erase", "--verify", "--deleted-tenant", "acme-corp")
    code, out, _ = house.run(*look)
    assert code == FOUND
    assert "1 keys" in out
    assert house.run("tenants", "delete", "acme-corp", "--yes")[0] == OK
    code, out, _ = house.run(*look)
    assert code == FOUND
    assert "has not ended" in out
    assert house.run("erase", "--verify", "--deleted-tenant", "nobody-there")[0] == OK


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "--user"),
        (("--user", "a", "--receipt", "b"), "--user"),
        (("--receipt", "unknown"), "has no erasure"),
    ],
)
def test_what_is_looked_for_must_be_named_once(house: StoreHouse, options: tuple[str, ...], says: str) -> None:
    code, _, err = house.run("erase", "--verify", *options)
    assert (code, says in err) == (FAILED, True)


def test_words_are_found_across_blocks_alone_and_within_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_search, "_BLOCK", 16)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "vocabulary.txt").write_text("needle")
    for lead in range(40):
        (tmp_path / "file").write_bytes(b"." * lead + b"needle")
        assert list(found_in_folder(tmp_path, ["needle"])) == [(tmp_path / "file", Places(1, 0))], lead
        (tmp_path / "file").write_bytes(b"." * lead + b"needles" + b"." * (48 - lead))
        assert list(found_in_folder(tmp_path, ["needle"])) == [(tmp_path / "file", Places(0, 1))], lead
    (tmp_path / "file").write_bytes('{"a":"n\\u00e9edle"} néedle'.encode())
    assert list(found_in_folder(tmp_path, ["néedle"])) == [(tmp_path / "file", Places(2, 0))]
