"""The operator's command line: keys and the fitness of the state."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetless.adapters.ledger_dynamodb import DynamoLedger
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli import FAILED, OK, main
from forgetless.domain.keys import key_hash
from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.domain.scope import Scope
from tests.dynamo_server import DynamoServer

AT = "2026-01-01T00:00:00.000000+00:00"


@pytest.fixture
def ledger_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger.db"
    monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(path))
    return path


def remember_something(path: Path) -> None:
    ledger = SqliteLedger(path)
    memory = Memory("m1", 1, Scope("default", user_id="ana"), "tea", AT, AT, "00000000-0000-0000-0000-000000000001")
    ledger.append([Event(EventKind.ADD, memory)])
    ledger.close()


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["check", *arguments]) == OK
    return capsys.readouterr().out.strip()


def test_a_key_is_registered_by_its_hash_alone(ledger_path: Path, tmp_path: Path) -> None:
    file = tmp_path / "api_key"
    file.write_text("fgl_secret\n")
    assert main(["keys", "add", "--tenant", "acme", "--admin", "--key-file", str(file)]) == OK
    ledger = SqliteLedger(ledger_path)
    key = ledger.key(key_hash("fgl_secret"))
    ledger.close()
    assert key is not None
    assert (key.tenant, key.admin) == ("acme", True)
    assert b"fgl_secret" not in b"".join(file.read_bytes() for file in ledger_path.parent.glob("ledger.db*"))


def test_a_fresh_state_fits_and_stays_fit(
    ledger_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = str(tmp_path / "milvus" / "collection")
    assert check(capsys, "--marker", marker) == "ok"
    remember_something(ledger_path)
    assert check(capsys, "--marker", marker) == "ok"


def test_an_index_that_was_lost_with_its_marker_is_rebuilt(
    ledger_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remember_something(ledger_path)
    assert check(capsys, "--marker", str(tmp_path / "gone")) == "reindex"


def test_another_model_or_recipe_is_rebuilt(
    ledger_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check(capsys) == "ok"
    remember_something(ledger_path)
    monkeypatch.setenv("FORGETLESS_EMBEDDING_MODEL", "another")
    assert check(capsys) == "reindex"


def test_a_state_that_cannot_be_read_is_one_line(ledger_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger_path.write_bytes(b"garbage, no database" * 100)
    assert main(["check"]) == FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert "make reset-data" in line


def test_a_dynamodb_ledger_is_made_migrated_and_given_keys(
    dynamo_server: DynamoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORGETLESS_LEDGER", "dynamodb")
    monkeypatch.setenv("FORGETLESS_LEDGER_TABLE", "made-by-the-command-line")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamo_server.url)
    file = tmp_path / "api_key"
    file.write_text("fgl_secret\n")
    add = ["keys", "add", "--tenant", "acme", "--key-file", str(file)]
    assert main(add) == FAILED
    assert "FORGETLESS_LEDGER_TABLE" in capsys.readouterr().err
    assert main(["migrate", "--create"]) == OK
    assert main(["migrate", "--create"]) == OK
    assert main(add) == OK
    ledger = DynamoLedger("made-by-the-command-line")
    assert ledger.keys("acme")[0].hash == key_hash("fgl_secret")
    ledger.close()


def test_help_describes_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert all(name in out for name in ("keys", "check", "reindex", "migrate"))
