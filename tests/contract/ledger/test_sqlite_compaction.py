"""Compaction of the SQLite file: what it removes, what it must not break, and that erased text leaves the file."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger, compaction
from forgetless.domain.documents import Document
from forgetless.domain.errors import LedgerError
from forgetless.domain.jobs import JobState
from forgetless.domain.memory import MessageRef
from forgetless.ports.request_ledger import IdempotencyRecord
from tests.contract.ledger.making import a_job, a_memory, a_message, add, at, delete, files_holding, job_id


def silent(_done: int, _all: int | None) -> None:
    """Tells nobody."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    with closing(SqliteLedger(path, busy_timeout_s=5)) as ledger:
        yield ledger


def texts(path: Path) -> dict[int, bytes]:
    with closing(sqlite3.connect(path)) as db:
        return dict(db.execute("SELECT text_id, body FROM texts").fetchall())


def fill(ledger: SqliteLedger, count: int = 300) -> None:
    """Memories with messages and jobs, and documents and answers that come and go."""
    dice = random.Random(5)
    for n in range(count):
        said = a_message(f"j{n}", content="SECRET " * dice.choice([1, 9, 90, 900]))
        done = a_job(f"j{n}", state=JobState.SUCCEEDED)
        memory = a_memory(f"j{n}", text=f"{said.content} {n}", context=(said.ref,), sources=(said.ref,))
        ledger.append(add(memory), completing=done, messages=[said])
        ledger.put_document(Document("acme", "delivery", f"d{n}", {"n": "SECRET" * n}, at(0)))
        ledger.delete_document("acme", "delivery", f"d{n - 1}")
    runs = IdempotencyRecord("f", at(9))
    ledger.begin_request("acme", "empty", runs, now=at(0), expires_at=at(9))
    ledger.finish_request("acme", "empty", replace(runs, status=204, body=""), began=runs, expires_at=at(9))


def erase(ledger: SqliteLedger, numbers: list[int]) -> None:
    for n in numbers:
        (memory,) = ledger.read("acme", [a_memory(f"j{n}").id]).values()
        ledger.append([delete(memory)])
        ledger.erase_messages("acme", [MessageRef(memory.job_id, 0)], at=at(9))


def everything(ledger: SqliteLedger) -> list[Any]:
    runs = IdempotencyRecord("f", at(9))
    return [
        ledger.list_memories("acme", {}, limit=9999),
        ledger.list_events("acme", limit=9999),
        ledger.jobs("acme", limit=9999),
        ledger.documents("acme", "delivery", limit=9999),
        ledger.begin_request("acme", "empty", runs, now=at(1), expires_at=at(9)),
        [ledger.job_messages("acme", job_id(f"j{n}")) for n in range(300)],
    ]


def test_what_nothing_names_is_removed_and_all_else_stays(ledger: SqliteLedger, path: Path) -> None:
    fill(ledger)
    erase(ledger, list(range(0, 300, 2)))
    before, rows = everything(ledger), len(texts(path))
    told: list[tuple[int, int | None]] = []
    done = ledger.compact(lambda *progress: told.append(progress))
    left = texts(path)
    assert everything(ledger) == before
    assert done.rows == rows - len(left) > 300
    # The requests of 150 jobs and an answer are empty, but named; and the last row stays.
    assert sum(body == b"" for body in left.values()) <= 152
    assert done.bytes_after < done.bytes_before
    assert told[-1][0] <= (told[-1][1] or 0)
    assert ledger.faults(seconds=9, thorough=True).found == ()
    assert ledger.compact(silent).rows == 0


def test_ids_are_not_given_again(ledger: SqliteLedger, path: Path) -> None:
    ledger.append([], messages=[a_message("a"), a_message("b")])
    ledger.erase_messages("acme", [MessageRef(job_id("a"), 0), MessageRef(job_id("b"), 0)], at=at(1))
    last = max(texts(path))
    ledger.compact(silent)
    ledger.append([], messages=[a_message("c")])
    assert max(texts(path)) > last


def test_erased_text_leaves_every_file_also_where_rows_were_moved(ledger: SqliteLedger, path: Path) -> None:
    fill(ledger)
    erase(ledger, random.Random(1).sample(range(300), 270))
    ledger.compact(silent)
    erase(ledger, [n for n in range(300) if ledger.job_messages("acme", job_id(f"j{n}"))])
    ledger.delete_document("acme", "delivery", "d299")
    assert ledger.scrub_erased()
    assert files_holding(path.parent, "SECRET") == []


_KILLED = """
import os, signal, sys
from forgetless.adapters.ledger_sqlite import SqliteLedger, compaction
compaction._vacuum = lambda *_arguments: os.kill(os.getpid(), signal.SIGKILL)
SqliteLedger(sys.argv[1]).compact(lambda _done, _all: None)
"""


def test_a_scrub_makes_up_for_a_compaction_that_was_killed(
    ledger: SqliteLedger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(ledger)
    erase(ledger, random.Random(2).sample(range(300), 270))
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(path)], env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    erase(ledger, [n for n in range(300) if ledger.job_messages("acme", job_id(f"j{n}"))])
    ledger.delete_document("acme", "delivery", "d299")
    with pytest.raises(LedgerError, match="another compaction"):
        ledger.compact(silent)
    with closing(sqlite3.connect(path)) as db, db:  # the lease of the killed one is over
        db.execute("UPDATE leases SET until = '' WHERE name = ?", (compaction._LEASE,))
    vacuums: list[int] = []
    vacuum = compaction._vacuum

    def counting(*arguments: Any) -> None:
        vacuums.append(1)
        vacuum(*arguments)

    monkeypatch.setattr(compaction, "_vacuum", counting)
    assert ledger.scrub_erased()
    assert files_holding(path.parent, "SECRET") == []
    assert ledger.scrub_erased()
    assert vacuums == [1]


def test_others_read_and_write_while_the_file_is_written_anew(ledger: SqliteLedger, path: Path) -> None:
    fill(ledger)
    stop = threading.Event()
    failures: list[BaseException] = []
    written: list[int] = []

    def work() -> None:
        try:
            with closing(SqliteLedger(path)) as other:
                while not stop.is_set():
                    other.append(add(a_memory(f"new {len(written)}")))
                    written.append(1)
                    other.list_memories("acme", {}, limit=5)
        except BaseException as error:  # noqa: BLE001 - it must reach the test
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(3):
        ledger.compact(silent)
    stop.set()
    thread.join()
    assert failures == []
    assert len(ledger.list_memories("acme", {}, limit=9999).items) == 300 + len(written)


def test_a_document_that_changes_often_stays_in_its_row(ledger: SqliteLedger, path: Path) -> None:
    document = Document("acme", "delivery", "d", {"attempts": []}, at(0))
    ledger.put_document(document)
    for version in range(2, 40):
        document = replace(document, version=version, body={"attempts": ["SECRET-OLD"] if version == 2 else [version]})
        assert ledger.put_document(document)
    assert ledger.document("acme", "delivery", "d") == document
    assert len(texts(path)) == 1
    long = replace(document, version=40, body={"attempts": ["x" * 500]})
    assert ledger.put_document(long)
    assert ledger.document("acme", "delivery", "d") == long
    assert ledger.scrub_erased()
    assert files_holding(path.parent, "SECRET") == []
