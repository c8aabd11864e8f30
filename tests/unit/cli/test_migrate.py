"""`forgetless migrate --plan`: what an upgrade will do, without doing it."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger, schema
from forgetless.cli import __main__ as cli
from forgetless.runtime.composition import collection_name
from forgetless.runtime.index_note import write_note
from forgetless.runtime.settings import load_settings
from forgetless.service.stores.ledger_identity import IndexNote
from tests.contract.ledger.making import a_memory
from tests.contract.ledger.old_ledgers import sqlite_of_schema
from tests.unit.servers import Answer, Request, serve

Out = pytest.CaptureFixture[str]
OURS = schema.SCHEMA_VERSION


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger.db"
    monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(path))
    return path


def make(path: Path) -> None:
    with closing(SqliteLedger(path)) as ledger:
        ledger.ping()


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return schema.version_of(db)


def test_there_may_be_no_ledger_yet_and_none_is_made(path: Path, capsys: Out) -> None:
    assert cli.main(["migrate", "--plan"]) == 0
    assert f"there is none yet; it is made with schema {OURS}" in capsys.readouterr().out
    assert not path.exists()


def test_the_steps_are_tried_on_a_copy_and_the_file_stays_as_it_is(path: Path, capsys: Out) -> None:
    sqlite_of_schema(9, path, [a_memory("a"), a_memory("b")])
    before = path.read_bytes()
    assert cli.main(["migrate", "--plan"]) == 0
    told = capsys.readouterr().out
    assert re.search(rf"schema 9 to {OURS}, {OURS - 9} steps over \d+ rows, about \d\.\d seconds", told)
    assert "a Forgetless of schema 9 cannot use it any more: stop the service, and make a copy first" in told
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["ledger.db"]


def test_a_ledger_of_our_schema_stays_as_it_is(path: Path, capsys: Out) -> None:
    make(path)
    write_note(path.with_name("index-collection"), IndexNote(collection_name(load_settings()), "x", ()))
    assert cli.main(["migrate", "--plan"]) == 0
    told = capsys.readouterr().out
    assert f"schema {OURS}, as it is" in told
    assert f"{collection_name(load_settings())}: as it is" in told


@pytest.mark.parametrize(("least", "told"), [(OURS, "and may use it"), (OURS + 1, "cannot use it; the least is")])
def test_a_newer_ledger_says_whether_we_can_use_it(path: Path, capsys: Out, least: int, told: str) -> None:
    make(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {OURS + 1}")
        db.execute(f"PRAGMA application_id = {0x46474C00 + least}")
    assert cli.main(["migrate", "--plan"]) == 0
    assert told in capsys.readouterr().out
    assert version(path) == OURS + 1


def vectors(request: Request) -> Answer:
    data = [{"index": place, "embedding": [1.0] * 384} for place in range(len(request.body["input"]))]
    return Answer(body={"data": data})


def test_a_new_generation_of_the_index_says_how_long_it_takes(
    path: Path, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite_of_schema(9, path, [a_memory("a"), a_memory("b")])
    write_note(path.with_name("index-collection"), IndexNote("forgetless_old", "x", ()))
    with serve(vectors) as server:
        monkeypatch.setenv("FORGETLESS_EMBEDDER_URL", server.url)
        assert cli.main(["migrate", "--plan", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["index"]["held"], told["index"]["memories"]) == ("forgetless_old", 2)
    assert told["index"]["seconds"] > 0
    assert cli.main(["migrate", "--plan", "--no-trial"]) == 0
    told_in_words = capsys.readouterr().out
    assert "a new generation" in told_in_words
    assert "how long is not known" in told_in_words


def test_what_is_no_ledger_is_refused(path: Path, capsys: Out) -> None:
    path.write_text("this is a text, and no database of SQLite, however long it may be")
    assert cli.main(["migrate", "--plan"]) == 1
    assert "cannot be read as a ledger" in capsys.readouterr().err
