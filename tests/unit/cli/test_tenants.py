"""`forgetless tenants`: a deletion asks for the name, is shown with its receipt, and is refused where it cannot be."""

from __future__ import annotations

import io
import json
from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli.__main__ import FAILED, OK, main
from forgetless.domain.bulk_jobs import BulkJob, BulkKind
from forgetless.service.jobs.bulk import BulkService
from forgetless.service.jobs.delete_tenant import NOBODY
from tests.fakes.clock import FakeClock

Out = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    """What somebody types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def ledger_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out) -> Path:
    path = tmp_path / "ledger.db"
    monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(path))
    assert main(["keys", "create", "--tenant", "acme"]) == OK
    capsys.readouterr()
    return path


def jobs(path: Path) -> list[BulkJob]:
    with closing(SqliteLedger(path)) as ledger:
        return BulkService(ledger=ledger, queue=None, clock=FakeClock()).jobs(NOBODY, limit=9)[0]


def listed(capsys: Out) -> str:
    capsys.readouterr()
    assert main(["keys", "list", "--tenant", "acme"]) == OK
    return capsys.readouterr().out


def test_the_name_is_asked_for(ledger_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("acne\n"))
    assert main(["tenants", "delete", "acme"]) == 1
    assert "nothing was deleted" in capsys.readouterr().err
    assert jobs(ledger_path) == []
    monkeypatch.setattr("sys.stdin", io.StringIO("acme\n"))
    assert main(["tenants", "delete", "acme"]) == FAILED
    assert "--yes" in capsys.readouterr().err
    assert listed(capsys) != ""
    monkeypatch.setattr("sys.stdin", Terminal("acme\n"))
    assert main(["tenants", "delete", "acme"]) == OK
    assert listed(capsys) == ""


def test_it_is_shown_with_its_receipt_and_the_audit_list(ledger_path: Path, capsys: Out) -> None:
    assert main(["tenants", "delete", "acme", "--yes"]) == OK
    out = capsys.readouterr().out
    (job,) = jobs(ledger_path)
    assert job.id in out
    with closing(SqliteLedger(ledger_path)) as ledger:
        other = BulkService(ledger=ledger, queue=None, clock=FakeClock()).start(NOBODY, BulkKind.PAST, {})
    assert main(["tenants", "deletions"]) == OK
    assert f"{job.id}  PENDING" in (line := capsys.readouterr().out)
    assert "acme" in line
    assert other.id not in line
    assert main(["tenants", "receipt", job.id]) == OK
    receipt = json.loads(capsys.readouterr().out)
    assert (receipt["kind"], receipt["completed_at"]) == (["tenant"], None)
    assert main(["tenants", "audit", job.id]) == OK
    assert main(["tenants", "receipt", "another"]) == FAILED
    assert main(["tenants", "audit", "another"]) == FAILED
    assert "tenants deletions" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "says"), [("default", "POST /reset"), ("nobody", "there is no tenant 'nobody'")])
def test_what_cannot_be_deleted_is_refused(capsys: Out, name: str, says: str) -> None:
    assert main(["tenants", "delete", name, "--yes"]) == FAILED
    assert says in capsys.readouterr().err


def test_no_key_is_made_for_a_tenant_that_is_being_deleted(capsys: Out) -> None:
    assert main(["tenants", "delete", "acme", "--yes"]) == OK
    assert main(["keys", "create", "--tenant", "acme"]) == FAILED
    assert "being deleted" in capsys.readouterr().err
    assert main(["keys", "create", "--tenant", ""]) == FAILED
