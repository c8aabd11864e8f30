"""`forgetless backup`, `restore` and `checkpoint`: copies made while others write, and ledgers restored from copies."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger, backup
from forgetless.adapters.ledger_sqlite.schema import _FIRST, SCHEMA_VERSION
from forgetless.adapters.ledger_sqlite.usage_lock import alone
from forgetless.cli.stores import FAILED, OK
from forgetless.domain.errors import LedgerError
from forgetless.domain.filters.ast import EVERYTHING
from forgetless.domain.keys import ApiKey, Role, key_hash
from forgetless.domain.recipes import CURRENT
from forgetless.service.transfer.event_export import EventExport
from tests.contract.ledger.making import a_job, a_memory, a_message, add, at, delete, in_processes, keys_of, update
from tests.unit.store_house import StoreHouse


def exported(path: Path, tenant: str) -> bytes:
    with closing(SqliteLedger(path)) as ledger:
        return b"".join(portion.lines for portion in EventExport(ledger=ledger).portions(tenant))


def lived_in(house: StoreHouse) -> None:
    """Two tenants, changes, a deletion, a job with its message, a key."""
    house.start()
    house.say("Nilo the dog hates trams", "Lisbon is sunny", "to be forgotten")
    house.say("rockets are kept in Tucson", tenant="acme")
    forgotten, lisbon = house.memories()[0], house.memories()[1]
    with closing(SqliteLedger(house.path)) as ledger:
        ledger.append([delete(forgotten)])
        ledger.append([update(lisbon, text="Porto is sunny")])
        ledger.put_job(a_job("waiting"), [a_message("waiting", content="not yet done")])
        ledger.put_key(ApiKey(key_hash("fgl_secret"), "acme", Role.WRITE, at(0), "phone"))
    house.reindex()


def test_a_restored_ledger_has_the_memories_histories_jobs_keys_and_search_results(
    house: StoreHouse, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lived_in(house)
    before = {tenant: exported(house.path, tenant) for tenant in ("default", "acme")}
    hits = house.index.search_words("default", CURRENT.query_words("porto sunny"), EVERYTHING, 9)
    assert hits
    code, out, err = house.run("backup", str(copy))
    assert (code, err) == (OK, "")
    assert out.startswith(f"{copy}: 3 memories, 6 events, ")
    assert out.endswith("bytes, verified\n")
    house.say("said after the copy")

    house.path = tmp_path / "elsewhere" / "ledger.db"
    house.marker = tmp_path / "elsewhere" / "milvus" / "collection"
    monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(house.path))
    code, out, err = house.run("restore", str(copy))
    assert (code, err) == (OK, "")
    assert "3 memories, 6 events" in out
    assert "3 must be indexed" in out
    assert {tenant: exported(house.path, tenant) for tenant in before} == before
    with closing(SqliteLedger(house.path)) as ledger:
        assert [(key.label, key.hash) for key in keys_of(ledger, "acme")] == [("phone", key_hash("fgl_secret"))]
        assert [message.content for message in ledger.job_messages("acme", a_job("waiting").id)] == ["not yet done"]
    assert house.start() == "reindex"
    assert house.reindex("--afresh")[0] == OK
    assert house.check("--thorough")[0] == OK
    assert house.index.search_words("default", CURRENT.query_words("porto sunny"), EVERYTHING, 9) == hits
    assert house.index.search_words("default", CURRENT.query_words("copy"), EVERYTHING, 9) == []
    assert stat.S_IMODE(house.path.parent.stat().st_mode) == 0o700


def test_a_copy_is_one_private_file_that_stands_alone(house: StoreHouse, copy: Path) -> None:
    lived_in(house)
    assert house.run("backup", str(copy))[0] == OK
    assert [(file.name, stat.S_IMODE(file.stat().st_mode)) for file in copy.parent.iterdir()] == [("copy.db", 0o600)]
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)


@pytest.mark.parametrize("spelling", ["{}", "{}/"])
def test_a_folder_gets_a_file_named_by_the_time(house: StoreHouse, tmp_path: Path, spelling: str) -> None:
    lived_in(house)
    folder = tmp_path / "daily"
    if not spelling.endswith("/"):
        folder.mkdir()
    for number in range(1, 4):
        assert house.run("backup", spelling.format(folder))[0] == OK
        made = list(folder.iterdir())
        assert len(made) == number
        assert all(file.match("ledger-20*.db") for file in made)


def write_until_told(ledger: SqliteLedger, number: int) -> int:
    """Adds and changes, each one transaction of several tables, until a file appears."""
    done = 0
    stop = Path(os.environ["FORGETLESS_TEST_STOP"])
    while not stop.exists():
        memory = a_memory(f"writer {number} {done}", text="words " * 200)
        ledger.append(add(memory), messages=[a_message(f"writer {number} {done}")])
        ledger.append([update(memory, text="changed")])
        done += 1
    return done


def test_a_copy_made_while_processes_write_is_of_one_moment(
    house: StoreHouse, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lived_in(house)
    with closing(SqliteLedger(house.path)) as ledger:
        ledger.append(add(*(a_memory("filler", n, text="z" * 3000) for n in range(3000))))
    stop = tmp_path / "stop"
    monkeypatch.setenv("FORGETLESS_TEST_STOP", str(stop))
    written: list[int] = []
    opener = _Opener(house.path)
    writers = threading.Thread(target=lambda: written.extend(in_processes(opener, write_until_told, 2)))
    writers.start()
    try:
        first = a_memory("writer 0 0").id
        with closing(SqliteLedger(house.path)) as ledger:
            while not ledger.read("acme", [first]):
                pass
        for n in range(4):
            assert house.run("backup", f"{copy}{n}")[0] == OK
    finally:
        stop.touch()
        writers.join()
    for n in range(4):
        with closing(SqliteLedger(Path(f"{copy}{n}"))) as ledger:
            assert ledger.faults(seconds=60, thorough=True).found == ()
            assert ledger.read("acme", [first])
            counted = ledger.tally("acme", limit=10**6).live
            assert counted >= 3002
    assert sum(written) > 0
    with closing(SqliteLedger(house.path)) as ledger:
        assert ledger.tally("acme", limit=10**6).live == 3001 + sum(written)


class _Opener:
    """Opens one ledger; can be pickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self) -> SqliteLedger:
        return SqliteLedger(self.path)


DIES = """
import os, signal, sys
from pathlib import Path
from forgetless.adapters.ledger_sqlite import SqliteLedger, backup
backup._PAGES = 5
def tell(done, of):
    if done >= of * float(sys.argv[3]): os.kill(os.getpid(), signal.SIGKILL)
SqliteLedger(sys.argv[1]).back_up(Path(sys.argv[2]), tell)
"""


@pytest.mark.parametrize("part", ["0", "0.5", "1"])
def test_a_process_that_is_killed_in_a_copy_leaves_nothing_under_its_name(
    house: StoreHouse, copy: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lived_in(house)
    assert house.run("backup", str(copy))[0] == OK
    whole = copy.read_bytes()
    house.say(*("more " * 500 for _ in range(50)))
    for target in (copy, copy.with_name("other.db")):
        done = subprocess.run([sys.executable, "-c", DIES, str(house.path), str(target), part], check=False)
        assert done.returncode == -signal.SIGKILL
    assert copy.read_bytes() == whole
    assert not copy.with_name("other.db").exists()
    monkeypatch.setattr(backup, "_YOUNG_S", -1.0)
    assert house.run("backup", "--overwrite", str(copy))[0] == OK
    assert house.run("backup", str(copy.with_name("other.db")))[0] == OK
    assert sorted(file.name for file in copy.parent.iterdir()) == ["copy.db", "other.db"]
    with closing(SqliteLedger(copy)) as ledger:
        assert ledger.tally("default", limit=1000).live == 52


def test_the_folder_of_a_copy_under_way_is_left_alone(
    house: StoreHouse, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lived_in(house)
    monkeypatch.setattr(backup, "_YOUNG_S", -1.0)
    with backup.workplace(copy) as folder:
        (folder / "ledger.db").touch()
        assert house.run("backup", str(copy))[0] == OK
        assert (folder / "ledger.db").exists()
    assert [file.name for file in copy.parent.iterdir()] == ["copy.db"]


def test_a_copy_never_takes_the_ledgers_place_nor_a_files_that_is_there(house: StoreHouse, copy: Path) -> None:
    lived_in(house)
    content = house.path.read_bytes()
    for target in (house.path, house.path.with_name("ledger.db-wal"), Path(os.path.relpath(house.path))):
        code, _, err = house.run("backup", "--overwrite", str(target))
        assert code == FAILED
        assert "is the ledger itself" in err
    copy.parent.mkdir()
    copy.write_text("precious")
    code, _, err = house.run("backup", str(copy))
    assert code == FAILED
    assert "--overwrite" in err
    assert copy.read_text() == "precious"
    assert house.path.read_bytes() == content


def test_there_is_nothing_to_copy_where_no_ledger_is(house: StoreHouse, copy: Path) -> None:
    code, _, err = house.run("backup", str(copy))
    assert code == FAILED
    assert "there is no ledger at" in err
    assert not house.path.exists()


def test_a_place_that_cannot_be_written_is_one_line(house: StoreHouse, tmp_path: Path) -> None:
    lived_in(house)
    (tmp_path / "file").touch()
    code, _, err = house.run("backup", str(tmp_path / "file" / "copy.db"))
    assert code == FAILED
    assert err.count("\n") == 1
    assert "cannot be written" in err


def test_a_damaged_ledger_gives_no_copy(house: StoreHouse, copy: Path) -> None:
    house.start()
    for _ in range(20):
        house.say(*("x" * 3000 for _ in range(10)))
    with house.path.open("r+b") as file:
        file.seek(house.path.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xa5" * 60_000)
    code, _, err = house.run("backup", str(copy))
    assert code != OK
    assert "damaged" in err
    assert list(copy.parent.iterdir()) == []


def test_a_ledger_that_is_there_is_replaced_only_when_told_and_kept(house: StoreHouse, copy: Path) -> None:
    lived_in(house)
    assert house.run("backup", str(copy))[0] == OK
    house.say("said after the copy")
    code, _, err = house.run("restore", str(copy))
    assert code == FAILED
    assert "--replace" in err
    assert "said after the copy" in [memory.text for memory in house.memories()]
    code, out, _ = house.run("restore", "--replace", str(copy))
    assert code == OK
    assert "said after the copy" not in [memory.text for memory in house.memories()]
    (aside,) = house.path.parent.glob("ledger.db.before-restore-*")
    assert str(aside) in out
    with closing(SqliteLedger(aside / "ledger.db")) as old:
        assert "said after the copy" in [memory.text for memory in old.list_memories("default", {}, limit=9).items]


@pytest.mark.parametrize("content", [b"", b"garbage " * 2000], ids=["empty", "damaged"])
def test_a_lost_or_damaged_ledger_is_restored_and_what_was_left_of_it_kept(
    house: StoreHouse, copy: Path, content: bytes
) -> None:
    lived_in(house)
    assert house.run("backup", str(copy))[0] == OK
    log = os.urandom(8192)
    house.path.write_bytes(content)
    house.path.with_name("ledger.db-wal").write_bytes(log)
    options = ("--replace",) if content else ()
    assert house.run("restore", *options, str(copy))[0] == OK
    assert house.check("--thorough")[1].count("damaged") == 0
    assert len(house.memories()) == 2
    (aside,) = house.path.parent.glob("ledger.db.before-restore-*")
    assert (aside / "ledger.db-wal").read_bytes() == log
    assert (aside / "ledger.db").read_bytes() == content


def holds(path: Path, moment: str) -> None:
    """A process with the ledger open, or one at rest whose connections have gone with their threads."""
    ledger = SqliteLedger(path)
    if moment == "open":
        ledger.ping()
    else:
        thread = threading.Thread(target=ledger.ping)
        thread.start()
        thread.join()
    print("there", flush=True)
    sys.stdin.read()
    ledger.close()


@pytest.mark.parametrize("moment", ["open", "at rest"])
def test_a_ledger_in_use_is_not_replaced(house: StoreHouse, copy: Path, moment: str) -> None:
    lived_in(house)
    assert house.run("backup", str(copy))[0] == OK
    content = house.path.read_bytes()
    code = "import sys, tests.unit.cli.test_backup as us; us.holds(us.Path(sys.argv[1]), sys.argv[2])"
    command = [sys.executable, "-c", code, str(house.path), moment]
    user = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with user:
        assert user.stdout is not None
        assert user.stdout.readline() == "there\n"
        code_, _, err = house.run("restore", "--replace", str(copy))
        assert code_ == FAILED
        assert "is in use: stop the service first" in err
        assert user.stdin is not None
        user.stdin.close()
        assert user.wait(30) == 0
    assert house.path.read_bytes()[:4096] == content[:4096]
    assert house.run("restore", "--replace", str(copy))[0] == OK


def test_a_tool_that_knows_no_lock_of_ours_is_seen_too(house: StoreHouse, copy: Path) -> None:
    lived_in(house)
    assert house.run("backup", str(copy))[0] == OK
    with closing(sqlite3.connect(house.path, isolation_level=None)) as other:
        other.execute("SELECT count(*) FROM memories").fetchone()
        code, _, err = house.run("restore", "--replace", str(copy))
    assert code == FAILED
    assert "is in use" in err


def test_nobody_begins_to_use_a_ledger_that_is_being_replaced(house: StoreHouse) -> None:
    lived_in(house)
    with closing(SqliteLedger(house.path)) as ledger:
        with alone(house.path), pytest.raises(LedgerError, match="is being restored; try again in a moment"):
            ledger.ping()
        ledger.ping()


def of_another_program(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE bookmarks (url)")


def of_a_newer_version(file: Path) -> None:
    with closing(SqliteLedger(file)) as ledger:
        ledger.ping()
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        db.execute("PRAGMA application_id = 0")  # it does not say that we may use it


def with_more(statement: str) -> Callable[[Path], None]:
    """A ledger with something that none has."""

    def make(file: Path) -> None:
        with closing(SqliteLedger(file)) as ledger:
            ledger.append(add(a_memory("x")))
        with closing(sqlite3.connect(file, isolation_level=None)) as db:
            for one in statement.split(";;"):
                db.execute(one)

    return make


#: What a file may have that runs with the service's own statements, or hides what they store.
_TRIGGER = "CREATE TRIGGER {} AFTER INSERT ON texts BEGIN DELETE FROM keys; END"
_NAMED_AS_SQLITES = (
    "PRAGMA writable_schema = ON;;UPDATE sqlite_master SET name = 'sqlite_own',"
    " sql = replace(sql, 'mine', 'sqlite_own') WHERE name = 'mine'"
)


def of_garbage(file: Path) -> None:
    file.write_bytes(os.urandom(40_000))


def cut(file: Path) -> None:
    with closing(SqliteLedger(file)) as ledger:
        ledger.append(add(*(a_memory("x", n, text="y" * 2000) for n in range(100))))
    os.truncate(file, file.stat().st_size // 2)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (of_another_program, "is not a backup of a ledger"),
        (of_a_newer_version, "was made by a newer Forgetless"),
        (with_more(_TRIGGER.format("mine")), "has the trigger mine, which no ledger has"),
        (with_more(f"{_TRIGGER.format('mine')};;{_NAMED_AS_SQLITES}"), "has the trigger sqlite_own"),
        (with_more(f"PRAGMA user_version = {SCHEMA_VERSION + 1}"), "was made by a newer Forgetless"),
        (with_more("CREATE VIEW mine AS SELECT * FROM keys"), "has the view mine"),
        (with_more("CREATE TABLE mine (x)"), "has the table mine"),
        (with_more("CREATE INDEX mine ON keys (lower(hash))"), "has the index mine"),
        (
            with_more("ALTER TABLE leases ADD COLUMN mine AS (lower(name))"),
            "has another definition of the table leases",
        ),
        (with_more("DROP INDEX erasures_open"), "lacks the index erasures_open, which every ledger has"),
        (of_garbage, "cannot be read as a ledger"),
        (cut, "copy.db"),
        (lambda file: None, "is not a file"),
        (Path.mkdir, "is not a file"),
    ],
)
def test_what_is_no_sound_copy_changes_nothing(
    house: StoreHouse, copy: Path, made: Callable[[Path], None], said: str
) -> None:
    lived_in(house)
    copy.parent.mkdir()
    made(copy)
    before = {file.name: file.read_bytes() for file in house.path.parent.iterdir() if file.is_file()}
    code, _, err = house.run("restore", "--replace", str(copy))
    assert code == FAILED
    assert said in err
    assert err.count("\n") == 1
    assert {file.name: file.read_bytes() for file in house.path.parent.iterdir() if file.is_file()} == before


def test_a_copy_of_an_older_version_is_brought_to_this_one(house: StoreHouse, copy: Path) -> None:
    copy.parent.mkdir()
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        db.executescript(_FIRST)
        db.execute("PRAGMA user_version = 1")
        db.execute("INSERT INTO leases (name, owner, until) VALUES (x'61', x'62', ?)", (at(9),))
    assert house.run("restore", str(copy))[0] == OK
    with closing(SqliteLedger(house.path)) as ledger:
        assert not ledger.acquire_lease("a", owner="c", now=at(8), until=at(20))


def test_a_hand_made_copy_with_a_log_of_its_own_is_taken_whole(house: StoreHouse, copy: Path) -> None:
    lived_in(house)
    copy.parent.mkdir()
    with closing(SqliteLedger(house.path)) as ledger:
        ledger.append(add(a_memory("in the log alone")))
        for suffix in ("", "-wal", "-shm"):
            source = house.path.with_name(f"ledger.db{suffix}")
            subprocess.run(["cp", str(source), f"{copy}{suffix}"], check=True)
    assert house.run("restore", "--replace", str(copy))[0] == OK
    with closing(SqliteLedger(house.path)) as ledger:
        assert ledger.read("acme", [a_memory("in the log alone").id])


def test_the_ledger_itself_is_no_copy(house: StoreHouse) -> None:
    lived_in(house)
    code, _, err = house.run("restore", "--replace", str(house.path))
    assert code == FAILED
    assert "is the ledger itself" in err
    assert len(house.memories()) == 2


@pytest.mark.parametrize("command", [("backup", "x.db"), ("restore", "x.db")])
def test_dynamodb_has_a_way_of_its_own(
    house: StoreHouse, monkeypatch: pytest.MonkeyPatch, command: tuple[str, str]
) -> None:
    monkeypatch.setenv("FORGETLESS_LEDGER", "dynamodb")
    code, _, err = house.run(*command)
    assert code == FAILED
    assert "point-in-time recovery" in err


def test_a_checkpoint_leaves_one_file_and_makes_none(house: StoreHouse) -> None:
    assert house.run("checkpoint")[0] == OK
    assert not house.path.exists()
    code = (
        "import os, sys; from forgetless.adapters.ledger_sqlite import SqliteLedger;"
        "from tests.contract.ledger.making import a_memory, add;"
        "ledger = SqliteLedger(sys.argv[1]); [ledger.append(add(a_memory(n))) for n in 'ab']; os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(house.path)], check=True)
    assert house.path.with_name("ledger.db-wal").stat().st_size > 0
    assert house.run("checkpoint")[0] == OK
    assert sorted(file.name for file in house.path.parent.iterdir()) == ["ledger.db", "ledger.db-users"]
    with closing(SqliteLedger(house.path)) as ledger:
        assert ledger.read("acme", [a_memory("a").id])
