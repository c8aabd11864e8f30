"""The operator's command line: keys, migrations, and states that cannot be read."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.ledger_dynamodb import DynamoLedger
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli.__main__ import FAILED, OK, PIPE_CLOSED, main
from forgetless.cli.stores import LEDGER_BROKEN
from forgetless.domain.keys import key_hash
from tests.contract.ledger.making import keys_of
from tests.dynamo_server import DynamoServer


@pytest.fixture
def ledger_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger.db"
    monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(path))
    return path


def test_a_key_is_registered_by_its_hash_alone(ledger_path: Path, tmp_path: Path) -> None:
    file = tmp_path / "api_key"
    file.write_text("fgl_0123456789abcdefghijklmnopqrstuvwxyz\n")
    assert main(["keys", "add", "--tenant", "acme", "--admin", "--key-file", str(file)]) == OK
    ledger = SqliteLedger(ledger_path)
    key = ledger.key(key_hash("fgl_0123456789abcdefghijklmnopqrstuvwxyz"))
    ledger.close()
    assert key is not None
    assert (key.tenant, key.admin) == ("acme", True)
    assert b"fgl_0123456789abcdefghijklmnopqrstuvwxyz" not in b"".join(
        file.read_bytes() for file in ledger_path.parent.glob("ledger.db*")
    )


def test_a_state_that_cannot_be_read_is_one_line(ledger_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger_path.write_bytes(b"garbage, no database" * 100)
    assert main(["keys", "list"]) == LEDGER_BROKEN
    (line,) = capsys.readouterr().err.splitlines()
    assert "make restore FILE=" in line
    assert "make reset-data" in line


def test_a_folder_in_the_ledgers_place_is_one_line_that_names_the_setting(
    ledger_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger_path.mkdir()
    assert main(["keys", "list"]) == FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be opened (it is a folder): FORGETLESS_LEDGER_PATH" in line


def test_a_database_of_another_program_is_left_alone(ledger_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(ledger_path)) as other:
        other.execute("CREATE TABLE bookmarks (url)")
    before = ledger_path.read_bytes()
    assert main(["keys", "list"]) == FAILED
    assert "belongs to another program" in capsys.readouterr().err
    assert main(["checkpoint"]) == FAILED
    with closing(sqlite3.connect(ledger_path)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("bookmarks",)]
    assert len(ledger_path.read_bytes()) == len(before)


def test_a_dynamodb_ledger_is_made_migrated_and_given_keys(
    dynamo_server: DynamoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORGETLESS_LEDGER", "dynamodb")
    monkeypatch.setenv("FORGETLESS_LEDGER_TABLE", "made-by-the-command-line")
    monkeypatch.setenv("FORGETLESS_ERASURES_TABLE", "its-log-of-erasures")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamo_server.url)
    file = tmp_path / "api_key"
    file.write_text("fgl_0123456789abcdefghijklmnopqrstuvwxyz\n")
    add = ["keys", "add", "--tenant", "acme", "--key-file", str(file)]
    assert main(add) == FAILED
    assert "FORGETLESS_LEDGER_TABLE" in capsys.readouterr().err
    assert main(["migrate", "--create"]) == OK
    assert main(["migrate", "--create"]) == OK
    assert main(add) == OK
    ledger = DynamoLedger("made-by-the-command-line")
    assert keys_of(ledger, "acme")[0].hash == key_hash("fgl_0123456789abcdefghijklmnopqrstuvwxyz")
    ledger.close()


def test_help_describes_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert all(name in out for name in ("keys", "check", "reindex", "backup", "restore", "migrate"))


def test_output_that_nobody_reads_to_its_end_is_no_traceback(ledger_path: Path) -> None:
    program = [sys.executable, "-m", "forgetless.cli", "keys", "list"]
    for number in range(3):
        assert main(["keys", "create", "--label", f"key {number}"]) == OK
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        ended = subprocess.run(program, stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (PIPE_CLOSED, "")
