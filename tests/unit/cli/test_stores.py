"""`forgetless check` and `reindex`: at a start and on demand, after every kind of loss that we know."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.ledger_dynamodb import DynamoLedger
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli.stores import FAILED, INDEX_STALE, LEDGER_BROKEN, OK
from forgetless.domain.errors import IndexUnavailableError
from forgetless.domain.filters.ast import EVERYTHING
from forgetless.domain.recipes import CURRENT
from forgetless.ports.index import IndexRow
from forgetless.service.stores import old_ids
from forgetless.service.stores.ledger_identity import Rebuild, read_identity, write_identity
from tests.dynamo_server import DynamoServer
from tests.unit.store_house import StoreHouse


def found(house: StoreHouse, tenant: str = "default") -> int:
    return house.index.count(tenant)


def rebuilt(house: StoreHouse) -> None:
    """What a start does on the word `reindex`; the next one has nothing to do."""
    assert house.reindex()[0] == OK
    assert house.check()[0] == OK
    assert house.start() == "ok"


def test_a_fresh_state_starts_and_stays_fit(house: StoreHouse) -> None:
    assert house.start() == "ok"
    house.say("tea", "coffee")
    for _ in range(3):
        assert house.start() == "ok"
    assert house.check()[0] == OK
    assert found(house) == 2


@pytest.mark.parametrize("tenant", ["default", "acme", "\x00 \u202e"])
def test_a_lost_index_is_rebuilt_whoever_has_memories(house: StoreHouse, tenant: str) -> None:
    house.start()
    house.say("tea", tenant=tenant)
    house.lose_the_index()
    assert house.check()[0] == INDEX_STALE
    assert house.start() == "reindex"
    rebuilt(house)
    assert found(house, tenant) == 1


def test_one_tenants_lost_rows_are_enough(house: StoreHouse) -> None:
    house.start()
    house.say("tea")
    house.say("rockets", tenant="acme")
    house.index.drop_all("acme")
    assert house.start() == "reindex"
    rebuilt(house)
    assert (found(house, "acme"), found(house)) == (1, 1)


def test_a_start_says_why_in_a_note(house: StoreHouse) -> None:
    house.start()
    house.say("tea")
    house.index.drop_all()
    code, out, _ = house.check("--start")
    assert (code, out.splitlines()) == (
        OK,
        [
            "note: the index is rebuilt: the index holds 0 rows of all tenants for 1 memories that it should hold",
            "reindex",
        ],
    )


def test_another_model_or_recipe_is_rebuilt(house: StoreHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    house.start()
    house.say("tea")
    monkeypatch.setenv("FORGETLESS_EMBEDDING_MODEL", "another")
    code, out, _ = house.check()
    assert code == INDEX_STALE
    assert "made for another model or recipe (forgetless_all_MiniLM_L6_v2_384_r3)" in out
    assert house.start() == "reindex"
    rebuilt(house)


def test_an_older_versions_marker_is_taken_as_it_is(house: StoreHouse) -> None:
    house.say("tea")
    house.marker.parent.mkdir()
    house.marker.write_text("forgetless_all_MiniLM_L6_v2_384_r3")
    assert house.check()[0] == OK
    assert house.start() == "ok"
    assert json.loads(house.marker.read_text())["collection"] == "forgetless_all_MiniLM_L6_v2_384_r3"


def test_a_marker_that_cannot_be_read_rebuilds(house: StoreHouse) -> None:
    house.start()
    house.say("tea")
    house.marker.write_text('{"collection": ')
    assert house.start() == "reindex"
    rebuilt(house)


def test_a_rebuild_that_did_not_begin_is_asked_for_again(house: StoreHouse) -> None:
    house.start()
    house.say("tea")
    house.index.drop_all()
    assert house.start() == "reindex"
    house.say("coffee")
    assert house.start() == "reindex"
    rebuilt(house)


def test_a_rebuild_that_was_interrupted_goes_on_where_it_was(
    house: StoreHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.start()
    for number in range(3):
        house.say(*(f"memory {number} {n}" for n in range(60)))
    house.index.drop_all()
    assert house.start() == "reindex"
    insert, portions = house.index.insert, iter(range(10))

    def once(rows: Sequence[IndexRow]) -> None:
        if next(portions):
            raise IndexUnavailableError("gone again")
        insert(rows)

    with monkeypatch.context() as broken:
        broken.setattr(house.index, "insert", once)
        assert house.reindex()[0] == FAILED
    first = house.index.count()
    assert 0 < first < 180
    code, out, _ = house.check("--start")
    assert (code, out.splitlines()) == (OK, ["note: the index is rebuilt: its rebuild was not finished", "reindex"])
    code, out, _ = house.reindex()
    assert (code, out.split()[1]) == (OK, str(180 - first))
    assert house.index.count() == 180
    assert house.start() == "ok"


def test_an_index_that_was_lost_again_while_it_was_filled_begins_again(
    house: StoreHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_a_rebuild_that_was_interrupted_goes_on_where_it_was(house, monkeypatch)
    with closing(SqliteLedger(house.path)) as ledger:
        identity = read_identity(ledger)
        assert identity is not None
        write_identity(ledger, replace(identity, rebuild=Rebuild.FILLING), clock=SystemClock())
    house.index.drop_all()
    assert house.start() == "reindex"
    rebuilt(house)
    assert house.index.count() == 180


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def removed(path: Path) -> None:
    for file in path.parent.glob("ledger.db*"):
        file.unlink()


def removed_but_for_its_log(path: Path) -> None:
    path.with_name("ledger.db-wal").write_bytes(os.urandom(4096))
    path.unlink()


def made_again(path: Path) -> None:
    removed(path)
    with closing(SqliteLedger(path)) as ledger:
        ledger.ping()


@pytest.mark.parametrize("loss", [emptied, removed, removed_but_for_its_log, made_again])
@pytest.mark.parametrize("index_too", [False, True])
def test_an_empty_ledger_beside_an_index_stops_the_start_and_stays_as_it_is(
    house: StoreHouse, loss: Callable[[Path], None], index_too: bool
) -> None:
    house.start()
    house.say("tea")
    loss(house.path)
    if index_too:
        house.index.drop_all()  # a damaged file, say: what was noted beside it still tells
    before = (
        {file.name: file.read_bytes() for file in house.path.parent.glob("ledger.db*")} if loss != made_again else {}
    )
    for _ in range(2):
        code, out, err = house.check("--start")
        assert (code, out) == (LEDGER_BROKEN, "")
        assert err.startswith("forgetless: the ledger is ")
        assert "make restore FILE=" in err
        assert "make up ARGS=--empty-ledger" in err
        assert err.count("\n") == 1
    assert house.check()[0] == LEDGER_BROKEN
    for name, content in before.items():
        assert house.path.with_name(name).read_bytes() == content
    assert (found(house) == 0) == index_too


@pytest.mark.parametrize("loss", [emptied, removed, made_again])
def test_an_empty_ledger_that_is_meant_drops_the_rows_once(house: StoreHouse, loss: Callable[[Path], None]) -> None:
    house.start()
    house.say("tea")
    loss(house.path)
    assert house.start("--accept-empty-ledger") == "ok"
    assert house.index.count() == 0
    assert house.start() == "ok"
    house.say("coffee")
    assert house.start() == "ok"
    assert found(house) == 1


def test_the_log_of_a_ledger_that_is_gone_is_kept_and_stops_the_start(house: StoreHouse) -> None:
    house.path.parent.mkdir()
    log = house.path.with_name("ledger.db-wal")
    log.write_bytes(b"once written " * 900)
    code, _, err = house.check("--start")
    assert code == LEDGER_BROKEN
    assert "its log is still there" in err
    assert house.check()[0] == LEDGER_BROKEN
    assert log.read_bytes() == b"once written " * 900
    assert house.start("--accept-empty-ledger") == "ok"


def test_an_empty_ledger_is_seen_without_any_note_by_the_rows(house: StoreHouse) -> None:
    house.start()
    house.say("tea")
    removed(house.path)
    house.marker.unlink()
    code, _, err = house.check("--start")
    assert code == LEDGER_BROKEN
    assert "the index beside it holds 1 rows" in err


def test_a_ledger_whose_memories_are_all_deleted_is_not_lost(house: StoreHouse) -> None:
    house.start()
    house.say("tea")
    (memory,) = house.memories()
    with closing(SqliteLedger(house.path)) as ledger:
        from forgetless.domain.memory import Event, EventKind  # noqa: PLC0415

        gone = memory.tombstone(memory.updated_at, event_id="delete")
        ledger.append([Event(EventKind.DELETE, gone)])
        house.index.drop_all()
        ledger.mark_indexed([gone])
    assert house.start() == "ok"


def test_an_older_copy_of_the_ledger_rebuilds_the_index(house: StoreHouse, tmp_path: Path) -> None:
    house.start()
    house.say("tea")
    shutil.copy(house.path, tmp_path / "copy.db")
    house.start()
    shutil.copy(tmp_path / "copy.db", house.path)
    assert house.check()[0] == INDEX_STALE
    code, out, _ = house.check("--start")
    assert (code, out.splitlines()[-1]) == (OK, "reindex")
    assert "not in the state in which it was last used with this index" in out
    rebuilt(house)


def test_a_copy_of_the_same_start_is_noticed_by_the_rows_that_it_does_not_know(
    house: StoreHouse, tmp_path: Path
) -> None:
    house.start()
    house.say("tea")
    shutil.copy(house.path, tmp_path / "copy.db")
    house.say("coffee")
    shutil.copy(tmp_path / "copy.db", house.path)
    assert house.start() == "reindex"
    rebuilt(house)
    assert found(house) == 1


def test_the_ledger_of_another_place_rebuilds_the_index(house: StoreHouse, tmp_path: Path) -> None:
    house.start()
    house.say("tea")
    mine, theirs = house.path.read_bytes(), tmp_path / "theirs.db"
    removed(house.path)
    house.start("--accept-empty-ledger")
    house.say("something of another house")
    shutil.copy(house.path, theirs)
    removed(house.path)
    house.index.drop_all()
    house.path.write_bytes(mine)
    house.marker.unlink()
    rebuilt_if_needed(house)
    shutil.copy(theirs, house.path)
    code, out, _ = house.check("--start")
    assert (code, out.splitlines()[-1]) == (OK, "reindex")
    assert "the index was made from another ledger" in out
    rebuilt(house)
    assert [memory.text for memory in house.memories()] == ["something of another house"]


def rebuilt_if_needed(house: StoreHouse) -> None:
    code, out, err = house.reindex("--if-needed")
    assert (code, err) == (OK, "")
    assert "indexed 1 memories into" in out
    code, out, err = house.reindex("--if-needed")
    assert (code, err) == (OK, "")
    assert out.endswith("is up to date\n")


def test_reindex_if_needed_refuses_a_lost_ledger_too(house: StoreHouse) -> None:
    house.start()
    house.say("tea")
    emptied(house.path)
    assert house.reindex("--if-needed")[0] == LEDGER_BROKEN
    assert house.reindex("--if-needed", "--accept-empty-ledger")[0] == OK


def test_afresh_drops_rows_that_no_memory_has_and_a_plain_rebuild_leaves_them(house: StoreHouse) -> None:
    house.start()
    house.say("tea")
    (row,) = house.index._rows
    house.index.insert([replace(row, memory=replace(row.memory, id="nobody"))])
    assert house.reindex()[0] == OK
    assert house.check()[0] == INDEX_STALE
    assert house.reindex("--afresh")[0] == OK
    assert house.check()[0] == OK


def test_a_rebuild_into_an_index_that_holds_nothing_fails_and_says_what_to_do(
    house: StoreHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.start()
    house.say("tea")
    house.index.drop_all()
    monkeypatch.setattr(house.index, "insert", lambda _rows: None)
    code, _, err = house.reindex("--afresh")
    assert code == FAILED
    assert "after the rebuild the index holds 0 rows" in err
    assert "move its data away" in err


def test_a_damaged_ledger_stops_the_start_and_names_restore(house: StoreHouse) -> None:
    house.start()
    for _ in range(20):
        house.say(*("x" * 3000 for _ in range(10)))
    with house.path.open("r+b") as file:
        file.seek(house.path.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xa5" * 60_000)
    code, _, err = house.check("--start")
    assert code == LEDGER_BROKEN
    assert "damaged" in err
    assert "make restore FILE=" in err
    code, out, _ = house.check()
    assert code == LEDGER_BROKEN
    assert "remedy: make restore FILE=" in out


def test_a_check_of_nothing_makes_nothing(house: StoreHouse) -> None:
    code, out, _ = house.check()
    assert (code, out.splitlines()[-1]) == (OK, "sound")
    assert not house.path.parent.exists()


def test_an_index_that_does_not_answer_is_no_verdict(house: StoreHouse) -> None:
    house.start()
    house.say("tea")
    house.index.available = False
    code, out, err = house.check()
    assert code == FAILED
    assert "sound" not in out
    assert "switched off" in err
    code, _, err = house.check("--start")
    assert code == FAILED
    assert "switched off, 5 times; nothing was changed, so start again" in err
    assert "FORGETLESS_MILVUS_TIMEOUT_S" in err


@pytest.mark.parametrize("lost", [False, True], ids=["whole", "ledger is missing"])
def test_a_start_asks_a_slow_index_again(house: StoreHouse, monkeypatch: pytest.MonkeyPatch, lost: bool) -> None:
    def slow(tenant: str | None = None) -> int:
        calls.append(1)
        if len(calls) < 5:
            raise IndexUnavailableError("Milvus did not complete query (code DEADLINE_EXCEEDED)")
        return count(tenant)

    house.start()
    house.say("tea")
    if lost:
        house.path.rename(house.path.with_name("elsewhere"))
        house.marker.unlink()
    count = house.index.count
    calls: list[int] = []
    monkeypatch.setattr(house.index, "count", slow)
    if not lost:
        assert house.start() == "ok"
    else:
        code, _, err = house.check("--start")
        assert code == LEDGER_BROKEN
        assert "the index beside it holds 1 rows" in err


def test_the_report_can_be_had_as_json(house: StoreHouse) -> None:
    house.start()
    house.say("tea")
    house.index.drop_all()
    code, out, _ = house.check("--json", "--thorough", "--samples", "7")
    report = json.loads(out)
    assert (code, report["exit_code"], report["verdict"]) == (INDEX_STALE, INDEX_STALE, "the index must be rebuilt")
    assert report["tenants"][0] | {"tenant": "default", "memories": 1, "indexed": 0} == report["tenants"][0]
    assert report["looked_at"] == "the whole file"
    assert {finding["remedy"].partition(" (")[0] for finding in report["findings"]} == {"make reindex"}


def test_a_dynamodb_ledger_is_checked_started_and_lost_alike(
    house: StoreHouse, dynamo_server: DynamoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORGETLESS_LEDGER", "dynamodb")
    monkeypatch.setenv("FORGETLESS_LEDGER_TABLE", "checked-stores")
    monkeypatch.setenv("FORGETLESS_ERASURES_TABLE", "checked-erasures")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamo_server.url)
    assert house.run("migrate", "--create")[0] == OK
    assert house.start() == "ok"
    house.say("rockets", tenant="acme")
    assert house.check("--thorough")[0] == OK
    assert house.start() == "ok"
    house.index.drop_all()
    assert house.check()[0] == INDEX_STALE
    assert house.start() == "reindex"
    rebuilt(house)
    assert house.index.search_words("acme", CURRENT.query_words("rocket"), EVERYTHING, 3)
    dynamo_server.admin.delete_table(TableName="checked-stores")
    assert house.run("migrate", "--create")[0] == OK
    assert house.check("--start")[0] == LEDGER_BROKEN
    assert house.start("--accept-empty-ledger") == "ok"
    with closing(DynamoLedger("checked-stores", endpoint_url=dynamo_server.url)) as ledger:
        assert ledger.tenants(limit=5) == ([], True)
    assert house.index.count() == 0


def test_check_lists_ids_that_new_data_cannot_have(house: StoreHouse) -> None:
    house.say("tea", user="jose\u0301")
    house.say("tea", user="alice\u200b", tenant="acme")
    house.say("tea", user="jos\u00e9")
    house.start()
    code, out, _ = house.check()
    assert code == OK
    assert "old ids     2 ids" in out
    assert "default  user  'jose\\u0301'" in out
    assert "acme  user  'alice\\u200b'" in out
    assert "\u200b" not in out
    _, out, _ = house.check("--json")
    assert json.loads(out)["old_ids"]["found"] == [
        {"tenant": "acme", "kind": "user", "id": "alice\u200b"},
        {"tenant": "default", "kind": "user", "id": "jose\u0301"},
    ]


def test_check_looks_for_old_ids_by_bounded_work(house: StoreHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old_ids, "MOST_LISTED", 1)
    for user in ("a\u200b", "b\u200b"):
        house.say("tea", user=user)
    house.start()
    assert "at least 1 ids" in house.check()[1]
