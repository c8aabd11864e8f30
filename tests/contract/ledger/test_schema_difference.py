"""A copy is restored only if its schema is that of a ledger of its version, so that nothing in it undoes our writes."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.adapters.ledger_sqlite.backup import copy_out
from forgetless.adapters.ledger_sqlite.schema import APPLICATION, LEAST_VERSION, SCHEMA_VERSION, make_empty
from forgetless.domain.errors import InvalidRequestError
from tests.contract.ledger.making import a_memory, add

Doctor = Callable[[sqlite3.Connection], object]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "ledger.db"
    with closing(SqliteLedger(path)) as made:
        made.append(add(a_memory("a")))
    return path


@pytest.fixture
def source(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sound, tmp_path))


def restored(source: Path) -> Path:
    """The copy that a restore would put in the ledger's place."""
    staged = source.with_name("staged.db")
    copy_out(source, staged, lambda done, of: None)
    return staged


def opened(file: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(file, isolation_level=None))


def run(*statements: str) -> Doctor:
    return lambda db: [db.execute(statement) for statement in statements]


def rebuilt(name: str, old: str, new: str) -> Doctor:
    """A table or an index is made anew with another text. A table keeps its rows and its indexes."""

    def doctor(db: sqlite3.Connection) -> None:
        kind, text = db.execute("SELECT type, sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        assert old in text
        rows = db.execute(f"SELECT * FROM {name}").fetchall() if kind == "table" else []
        indexes = db.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ?", (name,)).fetchall()
        db.execute(f"DROP {kind} {name}")
        for statement in (text.replace(old, new, 1), *(sql for (sql,) in indexes)):
            db.execute(statement)
        for row in rows:
            db.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)

    return doctor


def retold(name: str, old: str, new: str) -> str:
    """A statement that changes a text in place, which needs `writable_schema`."""
    return f"UPDATE sqlite_master SET sql = replace(sql, '{old}', '{new}') WHERE name = '{name}'"


_WRITABLE = "PRAGMA writable_schema = ON"
_SQLITES = "UPDATE sqlite_master SET name = 'sqlite_own', sql = replace(sql, 'mine', 'sqlite_own') WHERE name = 'mine'"

_DOCTORED: dict[str, tuple[Doctor, str]] = {
    "unique": (
        rebuilt("erasures", "tenant BLOB NOT NULL", "tenant BLOB NOT NULL UNIQUE ON CONFLICT IGNORE"),
        "has another definition of the table erasures",
    ),
    "check": (rebuilt("events", "kind TEXT NOT NULL", "kind TEXT NOT NULL CHECK (kind <> 'DELETE')"), "table events"),
    "conflict": (rebuilt("erasures", "marker BLOB NOT NULL", "marker BLOB NOT NULL ON CONFLICT IGNORE"), "erasures"),
    "collation": (rebuilt("keys", "hash BLOB", "hash BLOB COLLATE NOCASE"), "table keys"),
    "default": (
        rebuilt("erasure_states", "closed INTEGER NOT NULL DEFAULT 0", "closed INTEGER NOT NULL DEFAULT 1"),
        "at",
    ),
    "foreign key": (
        rebuilt("texts", "body BLOB NOT NULL", "body BLOB NOT NULL REFERENCES keys (hash) ON DELETE CASCADE"),
        "table texts",
    ),
    "type": (rebuilt("leases", "until TEXT", "until INTEGER"), "table leases"),
    "nullable": (rebuilt("jobs", "state TEXT NOT NULL", "state TEXT"), "table jobs"),
    "strict": (rebuilt("upkeep", "WITHOUT ROWID", "WITHOUT ROWID, STRICT"), "table upkeep"),
    "with rowid": (rebuilt("upkeep", "WITHOUT ROWID", ""), "table upkeep"),
    "generated": (run("ALTER TABLE leases ADD COLUMN mine AS (lower(name))"), "leases than a ledger, at .*mine AS"),
    "partial": (rebuilt("jobs_by_time", "id)", "id) WHERE state <> 'FAILED'"), "index jobs_by_time"),
    "expression": (rebuilt("usage_by_month", "(month)", "(lower(month))"), "index usage_by_month"),
    "unique index": (rebuilt("usage_by_month", "INDEX", "UNIQUE INDEX"), "index usage_by_month"),
    "order": (rebuilt("usage_by_month", "month)", "month DESC)"), "index usage_by_month"),
    "missing": (run("DROP INDEX erasures_open"), "lacks the index erasures_open, which every ledger has"),
    "of SQLite's name": (
        run("CREATE UNIQUE INDEX mine ON jobs (state)", _WRITABLE, _SQLITES),
        "has the index sqlite_own, which no ledger has",
    ),
    "statistics of another form": (
        run("ANALYZE", _WRITABLE, retold("sqlite_stat1", "stat)", "stat CHECK (stat))")),
        "has the table sqlite_stat1",
    ),
    # SQLite takes this character for a part of the name, so the column has no type.
    "no space": (rebuilt("leases", "until TEXT", "until\u00a0TEXT"), "table leases"),
    "a line's end": (run('CREATE TABLE "mi\nne" (x)'), "has the table mi.ne, which no ledger has"),
    "application": (run(f"PRAGMA application_id = {APPLICATION + 1}"), "has the application id"),
    "another program's": (run("PRAGMA user_version = 18", "PRAGMA application_id = 1"), "has the application id 1,"),
    "newer": (run("PRAGMA user_version = 99"), "was made by a newer Forgetless .schema 99.*restore it with the newer"),
    "older": (run("PRAGMA user_version = 18"), "another definition of the table jobs.*lane"),
    "none": (run("PRAGMA user_version = 0"), "has the schema 0, which no ledger has"),
    "negative": (run("PRAGMA user_version = -1"), "has the schema -1"),
}


@pytest.mark.parametrize(("doctor", "said"), _DOCTORED.values(), ids=_DOCTORED)
def test_a_doctored_copy_is_refused_with_what_differs(source: Path, doctor: Doctor, said: str) -> None:
    with opened(source) as db:
        doctor(db)
    with pytest.raises(InvalidRequestError, match=said) as refused:
        restored(source)
    assert "\n" not in refused.value.message


def test_a_copy_in_another_encoding_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with opened(other) as db:
        db.execute("PRAGMA encoding = 'UTF-16le'")
        make_empty(db, 1)
        db.execute("PRAGMA user_version = 1")
    with pytest.raises(InvalidRequestError, match="has the encoding UTF-16le"):
        restored(other)


@pytest.mark.parametrize("statement", ["ANALYZE", "VACUUM", "VACUUM INTO 'copy.db'"])
def test_a_copy_that_sqlite_itself_has_changed_is_taken(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with opened(source) as db:
        db.execute(statement)
    with closing(SqliteLedger(restored(tmp_path / "copy.db" if "INTO" in statement else source))) as ledger:
        assert ledger.read("acme", [a_memory("a").id])


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
def test_a_copy_of_each_version_is_taken_and_brought_to_this_one(tmp_path: Path, version: int) -> None:
    old = tmp_path / "old.db"
    with opened(old) as db:
        make_empty(db, version)
        db.execute(f"PRAGMA user_version = {version}")
        # The first versions did not say which versions may use their ledgers.
        db.execute(f"PRAGMA application_id = {APPLICATION + LEAST_VERSION if version >= LEAST_VERSION else 0}")
    staged = restored(old)
    with closing(SqliteLedger(staged)) as ledger:
        ledger.ping()
    staged.rename(tmp_path / "again.db")
    with opened(restored(tmp_path / "again.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
