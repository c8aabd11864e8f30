"""A ledger that an earlier version wrote is read, and brought to the schema of today, without losing anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from forgetless.adapters.ledger_codec import dump, dump_job, dump_targets, load, to_blob
from forgetless.adapters.ledger_dynamodb import DynamoLedger, schema
from forgetless.adapters.ledger_dynamodb.attribute_values import from_wire, to_wire
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.adapters.ledger_sqlite.schema import _MIGRATIONS, LEAST_VERSION, SCHEMA_VERSION
from forgetless.domain.erasures import ErasureState, Target
from forgetless.domain.errors import LedgerError
from forgetless.domain.jobs import JobState
from forgetless.domain.keys import ApiKey, Role
from forgetless.domain.known_names import NameOwner, NoteworthyName
from forgetless.domain.quotas import Quotas
from forgetless.domain.retention import DAY_S
from forgetless.domain.scope import Scope
from forgetless.domain.times import later
from forgetless.domain.usage import UsageKind, Use
from forgetless.ports.ledger import Tally
from tests.contract.ledger.making import ANNA, a_job, a_memory, add, at, update
from tests.contract.ledger.old_ledgers import as_dynamodb_of_version_1, sqlite_of_schema, sqlite_of_schema_3


def test_a_file_of_schema_3_keeps_its_memories_and_what_is_pending(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    mine = [a_memory("a", position, second=position) for position in range(4)]
    theirs = a_memory("b", scope=Scope("other", user_id="eve"))
    sqlite_of_schema_3(path, [*mine, theirs], pending=[mine[3], mine[1], theirs])
    with closing(SqliteLedger(path)) as ledger:
        assert ledger.unindexed(before=at(9), limit=9) == [theirs, mine[1], mine[3]]
        assert ledger.unindexed(before=at(9), limit=9, tenant="acme") == [mine[1], mine[3]]
        assert ledger.tally(limit=99) == Tally(5, 3)
        assert ledger.tally("acme", limit=99) == Tally(4, 2)
        assert ledger.history("acme", mine[0].id) == add(mine[0])
        changed = update(mine[0])
        ledger.append([changed])
        ledger.mark_indexed([theirs, mine[1]])
        assert ledger.unindexed(before=at(9), limit=9) == [changed.memory, mine[3]]
        assert ledger.faults(seconds=9, thorough=True).found == ()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_memories_of_schema_3_can_be_erased(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    mine = a_memory("a")
    sqlite_of_schema_3(path, [mine])
    with closing(SqliteLedger(path)) as ledger:
        assert ledger.erasure_state("acme") == ErasureState()
        begun = ledger.begin_erasure("acme", [Target({"user_id": "anna"})], at=at(5))
        assert begun.covers(ledger.read("acme", [mine.id])[mine.id])


def test_a_table_of_version_1_keeps_what_is_pending_once_it_is_migrated(dynamo: Callable[[], DynamoLedger]) -> None:
    mine = [a_memory("a", position, second=position) for position in range(4)]
    theirs = a_memory("b", scope=Scope("other \x00", user_id="eve"))
    with closing(dynamo()) as old:
        old.append(add(*mine))
        old.append(add(theirs))
        old.mark_indexed([mine[0]])
        as_dynamodb_of_version_1(old._client, staged=mine[3])
    with closing(dynamo()) as ledger:
        with pytest.raises(LedgerError, match="migrate"):
            ledger.unindexed(before=at(9), limit=9)
        assert ledger.migrate() == len(schema.MIGRATIONS)
    with closing(dynamo()) as ledger:
        ledger.tidy()
        assert ledger.unindexed(before=at(9), limit=9) == [theirs, *mine[1:]]
        assert ledger.unindexed(before=at(9), limit=9, tenant="acme") == mine[1:]
        assert set(ledger.pending_tenants(limit=9)) == {"acme", "other \x00"}
        ledger.mark_indexed([*mine, theirs])
        assert ledger.pending_tenants(limit=9) == []
        assert ledger.migrate() == 0


def test_keys_of_schema_16_have_no_quotas_until_they_are_given_some(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    sqlite_of_schema(9, path, [a_memory("a")])
    key = ApiKey("h1", "acme", Role.WRITE, at(0))
    with closing(sqlite3.connect(path)) as db, db:
        db.create_function("digest_of_name", 2, lambda name, _key: name, deterministic=True)
        for script in _MIGRATIONS[9:16]:
            db.executescript(script)
        db.execute("PRAGMA user_version = 16")
        db.execute("INSERT INTO keys (hash, body) VALUES (?, ?)", (b"h1", dump(key.record())))
    with closing(SqliteLedger(path)) as ledger:
        assert ledger.key("h1") == key
        limited = replace(key, quotas=Quotas.of({"adds_per_day": 1}))
        assert ledger.put_key(limited, held=key)
        ledger.append(add(a_memory("b")), used=[Use("acme", key.id, at(0)[:10], {UsageKind.ADDS: 1})])
        assert ledger.used("acme", [key.id], now=at(0))[key.id].day == {UsageKind.ADDS: 1}
    with closing(sqlite3.connect(path)) as db:
        # What an earlier version reads of it, and how it writes.
        (body,) = db.execute("SELECT body FROM keys WHERE hash = ?", (b"h1",)).fetchone()
        assert load(body) == key.record()
        db.execute("INSERT OR REPLACE INTO keys (hash, body) VALUES (?, ?)", (b"h1", body))
        db.commit()
    with closing(SqliteLedger(path)) as ledger:
        assert ledger.key("h1") == key


def test_a_file_of_schema_17_gets_names_and_its_version_goes_on_using_it(tmp_path: Path) -> None:
    path, owner = tmp_path / "ledger.db", NameOwner.user("acme", "anna")
    sqlite_of_schema(9, path, [a_memory("a")])
    with closing(sqlite3.connect(path)) as db, db:
        db.create_function("digest_of_name", 2, lambda name, _key: name, deterministic=True)
        for script in _MIGRATIONS[9:17]:
            db.executescript(script)
        db.execute("PRAGMA user_version = 17")
        # An erasure that has ended: its key stays, so a marker covers names that are noted after the upgrade.
        db.execute("INSERT INTO erasure_states VALUES (?, 1, 0, 0, ?, 0)", (to_blob("acme"), b"k" * 32))
    with closing(SqliteLedger(path)) as ledger:
        assert ledger.known_names("acme", [owner]) == {}
        ledger.note_names(ANNA, [NoteworthyName("one", given=True)], erasures_before=1)
        assert ledger.erasure_state("acme").key == b"k" * 32
        assert [entry.digest for entry in ledger.known_names("acme", [owner])[owner].entries] == ["one"]
        assert list(ledger.read("acme", [a_memory("a").id])) == [a_memory("a").id]
    assert LEAST_VERSION <= 17


def test_keys_of_schema_20_are_found_by_their_tenants_and_its_version_goes_on_using_the_file(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    sqlite_of_schema(9, path, [])
    mine = ApiKey("h1", "a\x00\ud800", Role.WRITE, at(1), label="l", users=("anna",), agents=("*",), apps=("*",))
    ended = ApiKey("h2", "acme", Role.READ, at(2), expires_at=at(9), replaced_until=at(5))
    gone = ApiKey("h3", "acme", Role.READ, at(3), revoked=True)
    first = ["acme", True, at(0), "laptop", False]  # as the first version wrote it
    later_one = {**gone.record(), "hours": [1]}  # of a version that we do not know

    def put(db: sqlite3.Connection, hash_: bytes, record: object) -> None:
        db.execute("INSERT OR REPLACE INTO keys (hash, body, quotas) VALUES (?, ?, NULL)", (hash_, dump(record)))

    with closing(sqlite3.connect(path)) as db, db:
        db.create_function("digest_of_name", 2, lambda name, _key: name, deterministic=True)
        db.create_function("lane_of_job", 2, lambda _tenant, _body: 0, deterministic=True)
        for script in _MIGRATIONS[9:20]:
            db.executescript(script)
        db.execute("PRAGMA user_version = 20")
        for one in (mine, ended, gone):
            put(db, one.hash.encode(), one.record())
        put(db, b"h4", first)
        put(db, b"h5", later_one | {"tenant": "another"})
        for number, damaged in enumerate(({"tenant": "other"}, {"tenant": 7, "created_at": at(0)}, 5)):
            put(db, f"damaged {number}".encode(), damaged)
        db.execute("INSERT INTO keys (hash, body, quotas) VALUES (?, ?, NULL)", (b"damaged too", b"xx"))
    with closing(SqliteLedger(path)) as ledger:
        assert ledger.keys(mine.tenant, limit=9) == ([mine], None)
        assert [key.hash for key in ledger.keys("acme", limit=9)[0]] == ["h2", "h4"]
        assert ledger.keys_by_id("acme", [gone.id]) == {gone.id: gone}
        assert ledger.tenants_with_keys() == sorted([mine.tenant, "acme", "another"])
        with closing(sqlite3.connect(path)) as db, db:
            put(db, b"h2", replace(ended, revoked=True).record())  # the version before revokes it
        assert [key.hash for key in ledger.keys("acme", limit=9)[0]] == ["h4"]
    assert LEAST_VERSION <= 20


@pytest.mark.parametrize("version", [9, 11])
def test_a_file_that_has_erasures_without_ids_goes_on(tmp_path: Path, version: int) -> None:
    path = tmp_path / "ledger.db"
    sqlite_of_schema_3(path, [a_memory("a")])
    with closing(sqlite3.connect(path)) as db, db:
        for script in _MIGRATIONS[3:version]:
            db.executescript(script)
        db.execute(f"PRAGMA user_version = {version}")
        targets = dump_targets([Target({"user_id": "anna"})])
        db.execute("INSERT INTO erasure_states VALUES (?, 1, 1, 1, x'00')", (to_blob("acme"),))
        db.execute("INSERT INTO erasures VALUES (?, 1, ?, NULL, x'5b5d', ?)", (to_blob("acme"), at(5), targets))
    with closing(SqliteLedger(path)) as ledger:
        (begun,) = ledger.open_erasures(limit=9, each=9)
        assert (begun.id, begun.identity, begun.targets) == ("", "acme\x001", (Target({"user_id": "anna"}),))
        assert ledger.erasure("acme", 1) == begun
        assert ledger.begin_erasure("acme", [Target()], at=at(6)).id
        assert ledger.incarnation() == "", "all copies of it are of the same ledger"


def test_a_table_without_incarnation_and_its_erasures_go_on(dynamo: Callable[[], DynamoLedger]) -> None:
    with closing(dynamo()) as old:
        old.append(add(a_memory("a")))
        begun = old.begin_erasure("acme", [Target({"user_id": "anna"})], at=at(5))
        client = old._client
        for item in map(from_wire, client.call("scan", TableName=client.table)["Items"]):
            new = "incarnation" if "incarnation" in item else "id" if "begun" in item else ""
            if new:
                del item[new]
                client.call("put_item", TableName=client.table, Item=to_wire(item))
    with closing(dynamo()) as ledger:
        assert ledger.migrate() == 0
        assert ledger.incarnation() == ""
        (held,) = ledger.open_erasures(limit=9, each=9)
        assert (held.number, held.id, held.targets) == (1, "", begun.targets)
        ledger.set_incarnation("restored")
        assert ledger.incarnation() == "restored"


def test_exports_and_ended_jobs_of_schema_3_come_to_their_end(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    sqlite_of_schema_3(path, [])
    done = a_job("a", state=JobState.SUCCEEDED)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO texts (text_id, body) VALUES (1, x'7b7d'), (2, x'7b7d')")
        columns = "(tenant, id, state, created_at, updated_at, text_id, body)"
        values = (to_blob("acme"), to_blob(done.id), "SUCCEEDED", at(0), at(0), 1, dump_job(done))
        db.execute(f"INSERT INTO jobs {columns} VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        db.execute(
            "INSERT INTO documents (tenant, kind, id, created_at, version, text_id) VALUES (?, 'export', ?, ?, 1, 2)",
            (to_blob("acme"), to_blob("e"), at(5)),
        )
    with closing(SqliteLedger(path)) as ledger:
        export = ledger.document("acme", "export", "e")
        assert export is not None
        assert export.due_at == later(at(5), 30 * DAY_S)
        assert ledger.due_documents("export", now=later(at(5), 30 * DAY_S), limit=9) == [export]
        assert ledger.expire_jobs(succeeded_before=at(1), failed_before=None, limit=9) == 1
        assert ledger.jobs("acme", limit=9) == ([], None)


def test_jobs_that_waited_before_the_upgrade_have_the_lanes_of_their_speakers(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    sqlite_of_schema_3(path, [])
    waiting = [a_job(name, second=1, scope=Scope("acme", user_id=name)) for name in "ab"]
    ended = a_job("c", state=JobState.SUCCEEDED)
    columns = "(tenant, id, state, created_at, updated_at, text_id, body)"
    with closing(sqlite3.connect(path)) as db, db:
        for number, job in enumerate([*waiting, ended], 1):
            db.execute("INSERT INTO texts (text_id, body) VALUES (?, x'7b7d')", (number,))
            values = (to_blob("acme"), to_blob(job.id), str(job.state), at(1), at(1), number, dump_job(job))
            db.execute(f"INSERT INTO jobs {columns} VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def lanes() -> dict[bytes, int]:
        with closing(sqlite3.connect(path)) as db:
            return dict(db.execute("SELECT id, lane FROM jobs").fetchall())

    with closing(SqliteLedger(path)) as ledger:
        ledger.ping()  # it is migrated when it is first used
        assert lanes() == {to_blob(job.id): 0 if job.finished else job.lane for job in [*waiting, ended]}
        ledger.update_job(replace(waiting[0], state=JobState.FAILED), held=waiting[0])
        assert lanes()[to_blob(waiting[0].id)] == 0, "nothing tells whose an ended job was"
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE jobs SET lane = 0")  # as the version before writes them
        assert ledger.stuck_in_turn(now=at(9), pending_before=at(9), limit=9, each=9) == waiting[1:]
