"""The commands that set and show quotas, and show usage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli.__main__ import main
from forgetless.domain.keys import Role
from forgetless.domain.quotas import Quotas
from forgetless.domain.usage import UsageKind, Use
from forgetless.service.access.keys import KeyService
from tests.contract.ledger.making import keys_of
from tests.fakes.clock import FakeClock


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqliteLedger:
    monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(tmp_path / "ledger.db"))
    monkeypatch.setenv("FORGETLESS_TENANT_QUOTAS", "searches_per_day=77")
    return SqliteLedger(tmp_path / "ledger.db")


def test_quotas_of_a_tenant(ledger: SqliteLedger, capsys: pytest.CaptureFixture[str]) -> None:
    key, _ = KeyService(ledger=ledger, clock=FakeClock()).create("acme", label="a", role=Role.WRITE)
    assert main(["tenants", "set", "acme", "--quota", "adds_per_day=5", "--quota", "stored_memories=9"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split() for line in shown] == [
        ["adds_per_day", "5"],
        ["searches_per_day", "77", "(from", "the", "settings)"],
        ["stored_memories", "9"],
    ]
    assert main(["tenants", "show", "acme"]) == 0
    assert capsys.readouterr().out.splitlines() == shown
    found = ledger.key(key.hash)
    assert found is not None
    assert found.tenant_quotas == Quotas.of({"adds_per_day": 5, "stored_memories": 9})
    assert main(["tenants", "set", "acme", "--quota", "adds=5"]) != 0
    assert "the quotas are: requests_per_minute" in capsys.readouterr().err
    assert main(["tenants", "set", "nobody", "--quota", "adds_per_day=5"]) == 0
    assert "has no keys yet" in capsys.readouterr().err


def test_a_tenant_without_quotas_is_told_so(
    ledger: SqliteLedger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FORGETLESS_TENANT_QUOTAS")
    assert main(["tenants", "show", "acme"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "no quotas\n")


def test_quotas_of_a_key(ledger: SqliteLedger, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "create", "--tenant", "acme", "--quota", "adds_per_day=5"]) == 0
    (key,) = keys_of(ledger, "acme")
    assert key.quotas == Quotas.of({"adds_per_day": 5})
    assert main(["keys", "set", key.id, "--tenant", "acme", "--quota", "adds_per_day=none"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["adds_per_day", "none"]
    assert keys_of(ledger, "acme")[0].quotas == Quotas.of({"adds_per_day": None})


def test_memories_are_counted_only_for_keys_that_reach_all_of_their_users(
    ledger: SqliteLedger, capsys: pytest.CaptureFixture[str]
) -> None:
    limited = ["keys", "create", "--tenant", "acme", "--user-id", "bo", "--quota", "stored_memories=5"]
    everything = ["--agent-id", "*", "--app-id", "*"]
    for lists in ([], everything[:2], ["--agent-id", "planner", *everything[2:]]):
        assert main([*limited, *lists]) != 0
        assert "give it --agent-id '*' and --app-id '*'" in capsys.readouterr().err
    assert keys_of(ledger, "acme") == []
    assert main([*limited, *everything]) == 0
    (key,) = keys_of(ledger, "acme")
    assert key.quotas == Quotas.of({"stored_memories": 5})


def test_usage(ledger: SqliteLedger, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.add_usage([Use("acme", key, "2026-11-28", {UsageKind.ADDS: 3}) for key in ("k1", "k2")])
    days = ["usage", "--tenant", "acme", "--from", "2026-11-01", "--to", "2026-11-30"]
    assert main(days) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["day", "requests", "adds", "updates", "searches", "llm_tokens"],
        ["2026-11-28", "0", "6", "0", "0", "0"],
    ]
    assert main([*days, "--by-key", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["key_id"], row["adds"]) for row in rows] == [("k1", 3), ("k2", 3)]
    assert main(["usage", "--tenant", "nobody"]) == 0
    assert "nothing from" in capsys.readouterr().err
    assert main(["usage", "--from", "yesterday"]) != 0
