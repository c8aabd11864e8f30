"""Erased text leaves the SQLite file and its log: by sweep within a minute, by the next start, and by later writes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger, connections
from forgetless.adapters.ledger_sqlite.connections import Connections
from forgetless.domain.documents import Document
from forgetless.domain.memory import MessageRef
from tests.contract.ledger.making import a_memory, a_message, add, at, delete, files_holding


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(path, busy_timeout_s=5)
    ledger.acquire_lease("the first write", owner="me", now=at(0), until=at(1))
    yield ledger
    ledger.close()


@pytest.fixture
def checkpoints(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The results of all attempts to empty the log."""
    found: list[bool] = []
    attempt = Connections._truncate_log

    def counting(self: Connections, left: float) -> bool:
        found.append(attempt(self, left))
        return found[-1]

    monkeypatch.setattr(Connections, "_truncate_log", counting)
    return found


def write(ledger: SqliteLedger) -> None:
    ledger.acquire_lease("x", owner="me", now=at(0), until=at(1))


def test_deletions_do_not_empty_the_log_one_by_one_but_a_scrub_empties_it_for_all(
    ledger: SqliteLedger, path: Path, checkpoints: list[bool]
) -> None:
    memories = [a_memory("a", position, text=f"SECRET {position}") for position in range(10)]
    ledger.append(add(*memories), messages=[a_message("a", position, content="SECRET") for position in range(10)])
    ledger.put_document(Document("acme", "feedback", "f", {"reason": "SECRET"}, at(0)))
    for memory in memories:
        ledger.append([delete(memory)])
        ledger.erase_messages("acme", [MessageRef(memory.job_id, memory.position)], at=at(3))
    ledger.delete_document("acme", "feedback", "f")
    assert checkpoints == []
    assert files_holding(path.parent, "SECRET")
    assert ledger.scrub_erased()
    assert files_holding(path.parent, "SECRET") == []
    assert checkpoints == [True]


def test_a_process_without_sweep_scrubs_when_it_writes_later(
    ledger: SqliteLedger, path: Path, checkpoints: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_SCRUB_AFTER_S", 0.0)
    memory = a_memory("a", text="SECRET")
    ledger.append(add(memory))
    ledger.append([delete(memory)])
    write(ledger)
    assert files_holding(path.parent, "SECRET") == []
    write(ledger)
    assert checkpoints == [True]


def test_a_scrub_that_a_reader_prevents_says_so_and_is_tried_again(
    ledger: SqliteLedger, path: Path, checkpoints: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_SCRUB_AGAIN_S", 0.0)
    memory = a_memory("a", text="SECRET")
    ledger.append(add(memory))
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM texts").fetchall()
        ledger.append([delete(memory)])
        assert not ledger.scrub_erased(patience_s=0.0)
        assert files_holding(path.parent, "SECRET")
        reader.execute("COMMIT")
        write(ledger)
        assert files_holding(path.parent, "SECRET") == []
    write(ledger)
    assert checkpoints.count(True) == 1


def test_writes_between_two_attempts_do_not_try_each_time(
    ledger: SqliteLedger, path: Path, checkpoints: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_SCRUB_AGAIN_S", 600.0)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM texts").fetchall()
        write(ledger)
        assert not ledger._connections.scrub(patience_s=0.0)
        for _ in range(5):
            write(ledger)
        assert checkpoints == [False]


def test_a_failed_scrub_does_not_fail_the_write_before_it(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_SCRUB_AFTER_S", 0.0)

    def full(*_arguments: Any) -> bool:
        raise sqlite3.OperationalError("the disk is full")

    memory = a_memory("a")
    ledger.append(add(memory))
    ledger.append([delete(memory)])
    monkeypatch.setattr(Connections, "_truncate_log", full)
    write(ledger)


_DELETER = """
import os, signal, sys
from forgetless.adapters.ledger_sqlite import SqliteLedger
from tests.contract.ledger.making import a_memory, add, delete
ledger = SqliteLedger(sys.argv[1])
memory = a_memory("a", text="SECRET")
ledger.append(add(memory))
ledger.append([delete(memory)])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_process_scrubs_what_a_killed_one_erased(path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", _DELETER, str(path)], env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert files_holding(path.parent, "SECRET")
    with closing(SqliteLedger(path)) as ledger, closing(SqliteLedger(path)) as another:
        another.ping()
        write(ledger)
        assert files_holding(path.parent, "SECRET") == []
