"""`forgetless restore` after erasures: what was erased after the copy stays erased, on a machine and on DynamoDB."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.erasure_log_file import FileErasureLog
from forgetless.adapters.ledger_dynamodb import DynamoLedger
from forgetless.adapters.ledger_dynamodb.erasure_log import DynamoErasureLog
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.adapters.ledger_sqlite.schema import _MIGRATIONS
from forgetless.cli.stores import FAILED, OK
from forgetless.domain.documents import Document
from forgetless.domain.erasure_log import LoggedErasure
from forgetless.domain.erasures import Target
from forgetless.domain.filters.ast import EVERYTHING
from forgetless.domain.recipes import CURRENT
from forgetless.domain.schema_exports import EXPORT
from forgetless.runtime import composition
from forgetless.runtime.settings import load_settings
from forgetless.service.access.hiding_operator_ledger import HidingOperatorLedger
from forgetless.service.jobs import erase
from forgetless.service.services import Services
from tests.contract.ledger.making import a_memory, at
from tests.contract.ledger.old_ledgers import sqlite_of_schema_3
from tests.dynamo_server import DynamoServer
from tests.unit.store_house import StoreHouse


def services() -> Services:
    return composition.build_services(load_settings())


def erase_user(user: str, tenant: str = "default") -> str:
    with closing(services()) as built:
        return built.changes.delete_scope(tenant, {"user_id": user}).event_id


def shown(tenant: str = "default") -> set[str]:
    """What all use cases see."""
    with closing(HidingOperatorLedger(composition.build_ledger(load_settings()))) as ledger:
        return {memory.text for memory in ledger.list_memories(tenant, {}, limit=99).items}


def noted(house: StoreHouse) -> list[LoggedErasure]:
    log = FileErasureLog(house.path.with_name("ledger.db-erasures"))
    return [line for line in log.lines() if isinstance(line, LoggedErasure)]


def settle() -> None:
    """Let the service do its jobs."""
    with closing(services()) as built:
        while built.bulk_worker.turn():
            pass
        built.sweep.sweep()


def test_what_was_erased_after_the_copy_is_gone_and_all_else_is_back(house: StoreHouse, copy: Path) -> None:
    house.start()
    house.say("rockets of ana", user="ana")
    house.say("trams of bob", user="bob")
    house.say("boats of ana", user="ana", tenant="acme")
    assert house.run("backup", str(copy))[0] == OK
    first = erase_user("ana")
    house.say("later of bob", user="bob")
    code, out, err = house.run("restore", str(copy), "--replace")
    assert (code, err) == (OK, "")
    assert "erased again, as after the copy was made: 1 users, agents, apps or runs by 1 erasures" in out
    assert shown() == {"trams of bob"}
    assert shown("acme") == {"boats of ana"}
    assert house.start() == "reindex"
    assert house.reindex("--afresh")[0] == OK
    assert house.index.search_words("default", CURRENT.query_words("rocket"), EVERYTHING, 9) == []
    assert house.index.search_words("default", CURRENT.query_words("tram"), EVERYTHING, 9)
    settle()
    assert "rockets" not in house.path.read_bytes().decode("latin-1")
    assert house.check("--thorough")[0] == OK
    house.say("new of ana", user="ana")
    assert shown() == {"trams of bob", "new of ana"}
    second = erase_user("ana")
    assert second != first
    numbers = [line.number for line in noted(house)]
    assert len(set(numbers)) == len(numbers) == 3


@pytest.mark.parametrize("everything", [False, True])
def test_what_only_a_request_of_an_export_names_is_erased_again(
    house: StoreHouse, copy: Path, everything: bool
) -> None:
    house.start()
    house.say("trams of bob", user="bob")
    with closing(SqliteLedger(house.path)) as ledger:
        for user in ("ana", 77340):
            body = {"filters": {"AND": [{"user_id": user}]}, "instructions": f"words about {user}"}
            ledger.put_document(Document("default", EXPORT, f"export of {user}", body, at(1)))
    assert house.run("backup", str(copy))[0] == OK
    with closing(services()) as built:
        for ids in [{}] if everything else [{"user_id": "ana"}, {"user_id": "77340"}]:
            house.say("rockets", user=next(iter(ids.values()), "ana"))
            built.changes.delete_scope("default", ids)
    code, _, err = house.run("restore", str(copy), "--replace")
    assert (code, err) == (OK, "")
    settle()
    with closing(SqliteLedger(house.path)) as ledger:
        assert ledger.documents("default", EXPORT, limit=9)[0] == []
    assert shown() == (set() if everything else {"trams of bob"})


def test_an_erasure_that_the_lost_process_did_not_note_is_noted_from_the_old_ledger(
    house: StoreHouse, copy: Path
) -> None:
    house.say("rockets of ana")
    assert house.run("backup", str(copy))[0] == OK
    with closing(SqliteLedger(house.path)) as ledger:
        ledger.begin_erasure("default", [Target({"user_id": "ana"})], at=at(1))
    assert noted(house) == []
    assert house.run("restore", str(copy), "--replace")[0] == OK
    assert len(noted(house)) == 1
    assert shown() == set()


def test_what_was_erased_comes_back_on_demand(house: StoreHouse, copy: Path) -> None:
    house.say("rockets of ana")
    house.run("backup", str(copy))
    erase_user("ana")
    code, out, _ = house.run("restore", str(copy), "--replace", "--include-erased")
    assert code == OK
    assert "is back, as you asked" in out
    assert shown() == {"rockets of ana"}


def test_a_backup_after_a_restore_keeps_what_was_added_again(house: StoreHouse, copy: Path) -> None:
    house.say("rockets of ana")
    house.run("backup", str(copy))
    erase_user("ana")
    house.run("restore", str(copy), "--replace")
    settle()
    house.say("new of ana")
    house.run("backup", str(copy), "--overwrite")
    house.run("restore", str(copy), "--replace")
    assert shown() == {"new of ana"}


def test_a_log_that_cannot_be_read_stops_the_restore_before_anything_is_replaced(house: StoreHouse, copy: Path) -> None:
    house.say("rockets of ana")
    house.run("backup", str(copy))
    house.path.with_name("ledger.db-erasures").write_text("not a log\n")
    before = house.path.read_bytes()
    code, _, err = house.run("restore", str(copy), "--replace")
    assert (code, house.path.read_bytes()) == (FAILED, before)
    assert "the log of erasures ledger.db-erasures failed: " in err


def test_a_copy_of_an_earlier_version_is_restored_and_erased_again(house: StoreHouse, copy: Path) -> None:
    """A ledger of an earlier version, its copy, and the log that it gets after the upgrade."""
    sqlite_of_schema_3(house.path, [a_memory("a", text="rockets of anna"), a_memory("b", 1, text="more of anna")])
    copy.parent.mkdir()
    shutil.copy(house.path, copy)
    assert house.start() in {"ok", "reindex"}
    assert erase_user("anna", "acme")
    assert [line.incarnation for line in noted(house)] == [""]
    assert house.run("restore", str(copy), "--replace")[0] == OK
    assert shown("acme") == set()


def test_reads_of_an_old_ledger_do_not_change_it(house: StoreHouse, copy: Path) -> None:
    house.say("rockets of ana")
    house.run("backup", str(copy))
    house.path.unlink()
    sqlite_of_schema_3(house.path, [a_memory("a")])
    assert house.run("restore", str(copy), "--replace")[0] == OK
    (aside,) = house.path.parent.glob("ledger.db.before-restore-*")
    with closing(sqlite3.connect(aside / "ledger.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (3,)
    assert len(_MIGRATIONS) > 3


def test_backup_and_check_count_the_same_memories(house: StoreHouse, copy: Path) -> None:
    house.start()
    house.say("one", "two", "three")
    with closing(services()) as built:
        built.changes.delete("default", house.memories()[0].id)
    house.reindex()
    _, out, _ = house.run("backup", str(copy))
    assert f"{copy}: 2 memories, " in out
    _, out, _ = house.check()
    total = next(line for line in out.splitlines() if line.startswith("(all)"))
    assert total.split()[1] == "2"


def test_a_table_that_dynamodb_restored_is_erased_again(
    house: StoreHouse, dynamo_server: DynamoServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FORGETLESS_LEDGER", "dynamodb")
    monkeypatch.setenv("FORGETLESS_LEDGER_TABLE", "living-ledger")
    monkeypatch.setenv("FORGETLESS_ERASURES_TABLE", "erasures-of-both")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamo_server.url)
    monkeypatch.setattr(erase, "ERASE_IN_REQUEST_S", -1.0)
    assert house.run("migrate", "--create")[0] == OK
    house.say("rockets of ana", user="ana")
    house.say("trams of bob", user="bob")
    assert house.run("keys", "create", "--tenant", "acme")[0] == OK
    admin = dynamo_server.admin
    items = admin.scan(TableName="living-ledger")["Items"]
    erase_user("ana")
    assert shown() == {"trams of bob"}
    monkeypatch.setenv("FORGETLESS_LEDGER_TABLE", "restored-ledger")
    with closing(DynamoLedger("restored-ledger", endpoint_url=dynamo_server.url)) as ledger:
        ledger.create_table()
    for item in items:
        admin.put_item(TableName="restored-ledger", Item=item)
    assert shown() == {"rockets of ana", "trams of bob"}
    assert house.run("restore", str(tmp_path / "file"))[0] == FAILED
    code, out, _ = house.run("restore")
    assert code == OK
    assert "1 users, agents, apps or runs by 1 erasures" in out
    assert "warning: 1 key of the copy hold again (nothing tells which were revoked since): " in out
    assert "  forgetless keys list --tenant acme    # 1 key\n" in out
    assert shown() == {"trams of bob"}
    assert house.start() == "reindex"
    with closing(DynamoErasureLog("erasures-of-both", endpoint_url=dynamo_server.url)) as log:
        assert len(list(log.lines())) == 2
    for table in ("living-ledger", "restored-ledger", "erasures-of-both"):
        admin.delete_table(TableName=table)
