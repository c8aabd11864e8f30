"""`forgetless tidy`: says how much it gave back, and refuses a large file that a service uses."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli import __main__ as cli
from forgetless.cli import tidy
from forgetless.domain.documents import Document
from forgetless.domain.memory import MessageRef
from tests.contract.ledger.making import (
    a_memory,
    a_message,
    add,
    at,
    delete,
    files_holding,
    job_id,
    put_as_earlier_versions,
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(tmp_path / "ledger.db"))
    monkeypatch.setenv("FORGETLESS_LEDGER", "sqlite")
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    return tmp_path / "ledger.db"


def test_the_space_of_erased_texts_is_given_back(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(SqliteLedger(path)) as ledger:
        ledger.append([], messages=[a_message("a", place, content="x" * 9000) for place in range(50)])
        ledger.erase_messages("acme", [MessageRef(job_id("a"), place) for place in range(49)], at=at(1))
    before = path.stat().st_size
    assert cli.main(["tidy"]) == cli.OK
    after = path.stat().st_size
    assert after < before
    assert f"49 empty rows removed, {before - after:,} bytes given back" in capsys.readouterr().out


def test_feedback_that_an_earlier_version_left_is_removed(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    memory = a_memory("a")
    with closing(SqliteLedger(path)) as ledger:
        ledger.append(add(memory))
        ledger.append([delete(memory)])
        put_as_earlier_versions(ledger, Document("acme", "feedback", memory.id, {"feedback_reason": "SECRET"}, at(1)))
    assert cli.main(["tidy"]) == cli.OK
    assert "1 records of feedback removed" in capsys.readouterr().out
    assert files_holding(path.parent, "SECRET") == []
    assert cli.main(["tidy"]) == cli.OK
    assert "records of feedback" not in capsys.readouterr().out


def test_without_a_ledger_it_says_so(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tidy"]) == cli.FAILED
    assert "there is no ledger" in capsys.readouterr().err
    assert not path.exists()


def test_a_large_file_in_use_is_refused_unless_it_is_wanted(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidy, "MOST_BYTES_BESIDE_A_SERVICE", 1)
    with closing(SqliteLedger(path)) as service:
        service.ping()
        assert cli.main(["tidy"]) == cli.FAILED
        assert "Stop the service first" in capsys.readouterr().err
        assert cli.main(["tidy", "--anyway"]) == cli.OK
    assert cli.main(["tidy"]) == cli.OK
