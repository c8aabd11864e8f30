"""`forgetless compact`: asks the supervisor of Milvus Lite, waits for the end, and says what is wrong."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli.__main__ import main
from forgetless.cli.stores import FAILED, OK
from forgetless.domain.scope import Scope
from local.milvus.control import CompactionRequests, ControlServer
from tests.contract.ledger.making import a_memory, add


class Supervisor:
    """Takes requests as the real one does, without a Milvus; `error` is how a compaction ends."""

    def __init__(self, path: Path) -> None:
        self.compacted_at: float | None = None
        #: When the first compaction will have been.
        self.first_at = 101.0
        self.error: str | None = None
        self.requests = CompactionRequests(lambda: self.compacted_at)
        self._server = ControlServer(str(path), self.requests)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(0.01):
            if self.requests.begin():
                if self.error is None:
                    self.compacted_at = self.first_at if self.compacted_at is None else self.compacted_at + 1
                self.requests.end(self.error)

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._server.close()


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    with tempfile.TemporaryDirectory(prefix="fl-") as folder:
        path = Path(folder) / "control.sock"
        monkeypatch.setenv("FORGETLESS_MILVUS_CONTROL", f"unix:{path}")
        monkeypatch.setenv("FORGETLESS_LEDGER_PATH", f"{folder}/state/ledger.db")
        supervisor = Supervisor(path)
        yield supervisor
        supervisor.close()


def test_it_waits_until_the_file_is_compacted(supervisor: Supervisor, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (101.0, 102.0):
        assert main(["compact"]) == OK
        assert supervisor.compacted_at == number
    assert "compacted" in capsys.readouterr().out


def test_it_says_whose_receipts_cannot_tell_of_it(supervisor: Supervisor, capsys: pytest.CaptureFixture[str]) -> None:
    supervisor.first_at = time.time() + 60
    assert main(["compact"]) == OK
    assert capsys.readouterr().err == ""
    with closing(SqliteLedger(Path(os.environ["FORGETLESS_LEDGER_PATH"]))) as ledger:
        ledger.append(add(a_memory("m", scope=Scope("acme", user_id="ana"))))
    assert main(["compact"]) == OK
    assert "1 tenants had changes on their way to the index" in capsys.readouterr().err


def test_a_file_that_was_not_compacted_is_an_error(supervisor: Supervisor, capsys: pytest.CaptureFixture[str]) -> None:
    supervisor.error = "database or disk is full"
    assert main(["compact"]) != OK
    assert "disk is full" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "FORGETLESS_MILVUS_CONTROL is not set"),
        ("unix:/nowhere/control.sock", "gave no reply"),
        ("http://127.0.0.1:1", "gave no reply"),
        ("ftp://host:1", "must be unix:PATH"),
    ],
)
def test_without_a_supervisor_it_says_so(
    address: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(tmp_path / "ledger.db"))
    monkeypatch.setenv("FORGETLESS_MILVUS_CONTROL", address)
    assert main(["compact"]) not in (OK, FAILED + 100)
    assert said in capsys.readouterr().err
