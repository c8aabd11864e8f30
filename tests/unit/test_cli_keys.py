"""The operator's command line for keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli import FAILED, OK, main
from forgetless.domain.keys import ApiKey, Role, key_hash

Out = pytest.CaptureFixture[str]


@pytest.fixture
def ledger_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger.db"
    monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(path))
    return path


def held(path: Path, secret: str) -> ApiKey:
    ledger = SqliteLedger(path)
    key = ledger.key(key_hash(secret))
    ledger.close()
    assert key is not None
    return key


def run(capsys: Out, *arguments: str) -> str:
    assert main(["keys", *arguments]) == OK
    return capsys.readouterr().out.strip()


def test_a_key_is_made_with_role_and_limits_and_printed_once(ledger_path: Path, capsys: Out) -> None:
    secret = run(capsys, "create", "--tenant", "acme", "--role", "read", "--user-id", "anna", "--label", "phone")
    key = held(ledger_path, secret)
    assert (key.tenant, key.role, key.users, key.label) == ("acme", Role.READ, ("anna",), "phone")
    listed = run(capsys, "list", "--tenant", "acme")
    assert secret not in listed
    assert all(part in listed for part in (key.id, key.prefix, "read", "anna", "never used", "phone"))
    assert run(capsys, "list") == ""


def test_a_key_is_revoked_by_its_id(ledger_path: Path, capsys: Out) -> None:
    secret = run(capsys, "create")
    assert "30 s" in run(capsys, "revoke", held(ledger_path, secret).id)
    assert held(ledger_path, secret).revoked
    assert run(capsys, "list") == ""


def test_what_cannot_be_done_is_one_line(ledger_path: Path, capsys: Out) -> None:
    assert main(["keys", "revoke", "unknown"]) == FAILED
    assert main(["keys", "create", "--role", "admin", "--user-id", "anna"]) == FAILED
    assert capsys.readouterr().err.splitlines() == [
        "forgetless: API key not found.",
        "forgetless: user_ids: an administrator's key cannot be limited; use role write or read.",
    ]


def test_registering_again_changes_nothing_and_never_brings_a_revoked_key_back(
    ledger_path: Path, tmp_path: Path, capsys: Out
) -> None:
    file = tmp_path / "api_key"
    file.write_text("fgl_0123456789abcdefghijklmnopqrstuvwxyz\n")
    register = ("add", "--admin", "--key-file", str(file))
    run(capsys, *register)
    first = held(ledger_path, file.read_text().strip())
    assert (first.role, first.prefix) == (Role.ADMIN, "fgl_01234567")
    run(capsys, *register)
    assert held(ledger_path, file.read_text().strip()) == first
    run(capsys, "revoke", first.id)
    assert main(["keys", *register]) == FAILED
    assert "revoked" in capsys.readouterr().err


def test_nothing_of_a_short_key_is_shown(ledger_path: Path, tmp_path: Path, capsys: Out) -> None:
    file = tmp_path / "api_key"
    file.write_text("my-secret")
    run(capsys, "add", "--key-file", str(file))
    assert held(ledger_path, "my-secret").prefix == ""
    assert "my-sec" not in run(capsys, "list")
