"""The operator's command line for keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli.__main__ import FAILED, OK, main
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


@pytest.mark.parametrize("name", ["a\x1b[2J", "a\nb", "a\u202eb", "a\u200bb", ""])
@pytest.mark.usefixtures("ledger_path")
def test_a_tenant_has_a_name_that_is_shown_as_it_is(capsys: Out, name: str) -> None:
    assert main(["keys", "create", "--tenant", name]) == FAILED
    error = capsys.readouterr().err
    assert "tenant: " in error
    assert error.strip().isprintable()


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


def test_a_short_key_is_refused_unless_it_is_registered_already(ledger_path: Path, tmp_path: Path, capsys: Out) -> None:
    file = tmp_path / "api_key"
    file.write_text("my-secret")
    assert main(["keys", "add", "--key-file", str(file)]) == FAILED
    error = capsys.readouterr().err
    assert ("9 characters" in error, "at least 32" in error, "my-secret" in error) == (True, True, False)
    ledger = SqliteLedger(ledger_path)
    ledger.put_key(ApiKey(key_hash("my-secret"), "default", Role.WRITE, "2026-01-01T00:00:00.000000+00:00"))
    ledger.close()
    run(capsys, "add", "--key-file", str(file))
    assert held(ledger_path, "my-secret").prefix == ""
    assert "my-sec" not in run(capsys, "list")


def test_a_key_is_limited_to_agents_and_apps(ledger_path: Path, capsys: Out) -> None:
    limits = ("--user-id", "anna", "--agent-id", "bot", "--agent-id", "jose\u0301", "--app-id", "*")
    key = held(ledger_path, run(capsys, "create", *limits))
    assert (key.users, key.agents, key.apps) == (("anna",), ("bot", "jos\u00e9"), ("*",))
    assert main(["keys", "list"]) == OK
    listed = capsys.readouterr()
    assert "anna (agents: bot,jos\u00e9 apps: *)" in listed.out
    assert "warning: a limited key with `*`" in listed.err
    run(capsys, "revoke", key.id)
    run(capsys, "create", "--user-id", "anna")
    assert main(["keys", "list"]) == OK
    listed = capsys.readouterr()
    assert ("agents: none apps: none" in listed.out, listed.err) == (True, "")
    for wrong in (("--agent-id", "bot"), ("--user-id", "a\u200bb"), ("--expires-at", "soon"), ("--expires-at", "2020")):
        assert main(["keys", "create", *wrong]) == FAILED


def test_a_key_of_an_earlier_version_keeps_all_agents_and_apps_with_a_warning(ledger_path: Path, capsys: Out) -> None:
    ledger = SqliteLedger(ledger_path)
    record = ApiKey("", "default", Role.WRITE, "2026-01-01T00:00:00.000000+00:00").record() | {"users": ["anna"]}
    assert set(record) == {"tenant", "role", "created_at", "label", "revoked", "prefix", "users"}
    ledger.put_key(ApiKey.from_record("h" * 64, record))
    ledger.close()
    assert main(["keys", "list"]) == OK
    listed = capsys.readouterr()
    assert "anna (agents: * apps: *)" in listed.out
    assert "warning" in listed.err


def test_a_key_is_rotated(ledger_path: Path, capsys: Out) -> None:
    old = held(ledger_path, first := run(capsys, "create", "--role", "read", "--user-id", "anna", "--label", "phone"))
    assert main(["keys", "rotate", old.id, "--overlap-hours", "1"]) == OK
    printed = capsys.readouterr()
    new = held(ledger_path, printed.out.strip())
    assert (new.role, new.users, new.label, new.expires_at) == (Role.READ, ("anna",), "phone", None)
    ending = held(ledger_path, first).ends_at
    assert ending is not None
    assert ending in printed.err
    assert f"until {ending}" in run(capsys, "list")
    assert main(["keys", "rotate", old.id, "--overlap-hours", "721"]) == FAILED
    assert main(["keys", "rotate", "unknown"]) == FAILED
