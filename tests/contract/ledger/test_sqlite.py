"""What only the SQLite ledger promises: its file, its locks, its schema, and that erased text leaves the disk."""

from __future__ import annotations

import json
import os
import random
import resource
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

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.adapters.ledger_sqlite import memories as sqlite_memories
from forgetless.adapters.ledger_sqlite.expiry import ENDED_JOBS, EXPIRED_MESSAGES, EXPIRED_REQUESTS
from forgetless.adapters.ledger_sqlite.memories import PENDING, PENDING_OF_TENANT
from forgetless.adapters.ledger_sqlite.messages import FIRST_MESSAGES
from forgetless.adapters.ledger_sqlite.schema import _FIRST, SCHEMA_VERSION
from forgetless.domain.documents import Document
from forgetless.domain.errors import LedgerError
from forgetless.domain.jobs import JobState
from forgetless.domain.keys import ApiKey, Role
from forgetless.domain.memory import Event, MessageRef
from forgetless.domain.scope import Scope
from forgetless.ports.request_ledger import IdempotencyRecord
from tests.contract.ledger.making import (
    a_job,
    a_memory,
    a_message,
    add,
    at,
    delete,
    files_holding,
    job_id,
    keys_of,
    update,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(path, busy_timeout_s=5)
    yield ledger
    ledger.close()


def raw(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(path, isolation_level=None))


def test_nothing_is_made_before_the_first_use(path: Path) -> None:
    SqliteLedger(path).close()
    assert not path.parent.exists()


def test_a_file_that_is_no_database_names_the_way_out(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 100)
    with closing(SqliteLedger(path)) as ledger, pytest.raises(LedgerError, match="make reset-data"):
        ledger.ping()


def test_only_its_owner_can_read_the_file(ledger: SqliteLedger, path: Path) -> None:
    ledger.append(add(a_memory("a")))
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def test_the_file_carries_its_schema_version_and_uses_a_write_ahead_log(ledger: SqliteLedger, path: Path) -> None:
    ledger.ping()
    with raw(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_newer_file_is_refused_with_the_way_out(path: Path) -> None:
    with closing(SqliteLedger(path)) as ledger:
        ledger.ping()
    with raw(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        db.execute("PRAGMA application_id = 0")  # it does not say that we may use it
    with closing(SqliteLedger(path)) as ledger, pytest.raises(LedgerError, match="make reset-data") as refused:
        ledger.ping()
    assert "\n" not in refused.value.message


def test_a_file_of_the_first_schema_is_taken_along(path: Path) -> None:
    path.parent.mkdir()
    with raw(path) as db:
        db.executescript(_FIRST)
        db.execute("PRAGMA user_version = 1")
        db.execute("INSERT INTO leases (name, owner, until) VALUES (x'61', x'62', ?)", (at(9),))
    with closing(SqliteLedger(path)) as ledger:
        assert not ledger.acquire_lease("a", owner="c", now=at(8), until=at(20))
        assert ledger.put_document(Document("acme", "project", "p", {}, at(0)))


def test_an_erased_document_leaves_no_copy(ledger: SqliteLedger, path: Path) -> None:
    first = Document("acme", "feedback", "f", {"reason": "SECRET-A " * 40}, at(0))
    ledger.put_document(first)
    ledger.put_document(replace(first, version=2, body={"reason": "SECRET-B " * 40}))
    ledger.delete_document("acme", "feedback", "f")
    ledger.close()
    assert not any(b"SECRET" in file.read_bytes() for file in path.parent.iterdir())


def test_a_file_that_is_no_ledger_is_a_ledger_error(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"these are not the pages you are looking for" * 99)
    with closing(SqliteLedger(path)) as ledger, pytest.raises(LedgerError, match=path.name):
        ledger.ping()


def test_a_folder_that_cannot_be_made_is_a_ledger_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with closing(SqliteLedger(tmp_path / "file" / "ledger.db")) as ledger, pytest.raises(LedgerError, match="opened"):
        ledger.ping()


def test_a_lock_that_stays_is_a_ledger_error_and_reads_go_on(path: Path) -> None:
    with closing(SqliteLedger(path, busy_timeout_s=0.1)) as ledger:
        ledger.append(add(a_memory("a")))
        with raw(path) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerError, match=r"locked for 0\.1 s"):
                ledger.append(add(a_memory("b")))
            # A request makes several calls, which must not all wait as long.
            with pytest.raises(LedgerError, match=r"locked for 0\.01 s"):
                ledger.append(add(a_memory("b")))
            assert len(ledger.read("acme", [a_memory("a").id])) == 1
        ledger.append(add(a_memory("b")))
        with raw(path) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerError, match=r"locked for 0\.1 s"):
                ledger.append(add(a_memory("c")))


def test_words_that_are_erased_leave_every_file(ledger: SqliteLedger, path: Path) -> None:
    dice = random.Random(7)
    memories = [
        a_memory(f"j{n}", 0, text="SECRET " * dice.choice([1, 3, 20, 90, 900]), metadata={"k": "SECRET"}, second=n % 60)
        for n in range(400)
    ]
    for n, memory in enumerate(memories):
        done = a_job(f"j{n}", state=JobState.SUCCEEDED, request={"metadata": "SECRET"})
        said = a_message(f"j{n}", content="SECRET " * dice.choice([1, 40, 400]))
        ledger.append(add(memory), completing=done, messages=[said])
    answer = IdempotencyRecord("f", at(9), 200, f"SECRET {memories[0].id}")
    runs = IdempotencyRecord("f", at(9))
    ledger.begin_request("acme", "name", runs, now=at(0), expires_at=at(9))
    ledger.finish_request("acme", "name", answer, began=runs, expires_at=at(9))
    dice.shuffle(memories)
    for memory in memories[:50]:
        ledger.append([update(memory, text="SECRET too")])
    current = ledger.read("acme", [memory.id for memory in memories])
    for memory in memories:
        ledger.append([delete(current[memory.id])])
        ledger.erase_messages("acme", [MessageRef(memory.job_id, 0)], at=at(9))
    assert ledger.scrub_erased()
    assert files_holding(path.parent, "SECRET") == []


def test_a_full_disk_is_a_ledger_error_and_leaves_nothing_half_done(ledger: SqliteLedger) -> None:
    ledger.append(add(a_memory("a")))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, limits[1]))
    try:
        with pytest.raises(LedgerError, match=r"ledger\.db failed"):
            ledger.append(add(a_memory("b"), a_memory("c", text="x" * 4_000_000)), messages=[a_message("b")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert ledger.list_memories("acme", {}, limit=9).items == (a_memory("a"),)
    assert ledger.job_messages("acme", job_id("b")) == []
    ledger.append(add(a_memory("b")))


_APPENDER = """
import sys
from itertools import count
from forgetless.adapters.ledger_sqlite import SqliteLedger
from tests.contract.ledger.making import a_job, a_memory, a_message, add
from forgetless.domain.jobs import JobState
ledger = SqliteLedger(sys.argv[1])
for n in count():
    memories = [a_memory(f"k{n}", position, text="word " * 300) for position in range(20)]
    messages = [a_message(f"k{n}", position) for position in range(20)]
    ledger.append(add(*memories), completing=a_job(f"k{n}", state=JobState.SUCCEEDED), messages=messages)
    print(n, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("acknowledged", [1, 4, 9])
def test_a_kill_in_the_middle_of_an_append_leaves_all_or_nothing(path: Path, acknowledged: int) -> None:
    appender = subprocess.Popen([sys.executable, "-c", _APPENDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert appender.stdout is not None
    for line in appender.stdout:
        if int(line) >= acknowledged:
            break
    appender.kill()
    seen = [acknowledged, *(int(line) for line in appender.stdout)]
    appender.wait()
    appender.stdout.close()
    with closing(SqliteLedger(path)) as ledger:
        jobs, _ = ledger.jobs("acme", limit=9999)
        assert len(jobs) in {seen[-1] + 1, seen[-1] + 2}
        stored = ledger.list_memories("acme", {}, limit=99999).items
        assert len(stored) == 20 * len(jobs)
        assert all(len(ledger.job_messages("acme", job.id)) == 20 for job in jobs)


@pytest.mark.parametrize("count", [600, 1100])
def test_more_is_read_than_one_statement_takes(ledger: SqliteLedger, count: int) -> None:
    memories = [a_memory("a", position) for position in range(count)]
    ledger.append(add(*memories))
    assert ledger.read("acme", [memory.id for memory in memories]) == {memory.id: memory for memory in memories}


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT user_id, count(*), min(created_at), max(updated_at) FROM memories INDEXED BY memories_by_user WHERE"
         " tenant = ? AND user_id IS NOT NULL AND state < 2 AND state = 0 GROUP BY user_id", "COVERING"),
        ("SELECT text_id FROM memories INDEXED BY memories_by_run WHERE tenant = ? AND run_id = ? AND state < 2"
         " AND state = 0 AND (created_at, position, id) < (?, ?, ?) ORDER BY created_at DESC, position DESC, id DESC",
         "memories_by_run (tenant=? AND run_id=? AND (created_at,position,id)<(?,?,?)"),
        ("SELECT tenant FROM jobs WHERE state IN ('PENDING', 'RUNNING') ORDER BY created_at, id", "jobs_open"),
        ("SELECT id FROM memories WHERE scope_key = ? AND hash = ? AND extracted = 1 AND state = 0", "by_text"),
        (PENDING, "memories_pending (pending_since<?)"),
        (PENDING_OF_TENANT, "memories_pending_by_tenant (tenant=? AND pending_since<?)"),
        (ENDED_JOBS, "jobs_ended (state=? AND updated_at<?)"),
        (EXPIRED_REQUESTS, "requests_by_expiry (expires_at<?)"),
        (EXPIRED_MESSAGES, "messages_by_time (created_at<?)"),
        (FIRST_MESSAGES, "SEARCH messages USING PRIMARY KEY (tenant=? AND job_id>?)"),
        ("SELECT text_id FROM messages INDEXED BY messages_by_user WHERE tenant = ? AND user_id = ?", "by_user"),
        ("SELECT text_id FROM messages WHERE scope_key = ? AND created_at >= ? ORDER BY created_at", "by_scope"),
    ],
)  # fmt: skip
def test_hot_questions_are_answered_from_an_index(ledger: SqliteLedger, path: Path, query: str, index: str) -> None:
    ledger.ping()
    with raw(path) as db:
        plan = " ".join(str(row[3]) for row in db.execute("EXPLAIN QUERY PLAN " + query, [None] * query.count("?")))
    assert index in plan
    assert "TEMP B-TREE" not in plan


def test_everything_is_marked_in_bounded_transactions(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    eve = Scope("other", user_id="eve")
    memories = [a_memory("a", n, second=n) for n in range(5)] + [a_memory("b", n, scope=eve) for n in range(4)]
    ledger.append(add(*memories))
    gone = delete(memories[2])
    ledger.append([gone])
    ledger.mark_indexed([*(one for one in memories if one.id != gone.memory.id), gone.memory])
    sizes: list[int] = []
    monkeypatch.setattr(sqlite_memories, "_MARKED_AT_ONCE", 2)
    marked = sqlite_memories._mark_unindexed

    def counting(*arguments: Any) -> Any:
        found = marked(*arguments)
        sizes.append(found[0])
        return found

    monkeypatch.setattr(sqlite_memories, "_mark_unindexed", counting)
    assert ledger.mark_unindexed("acme", at=at(5)) == 4
    assert ledger.mark_unindexed(at=at(6)) == 8
    assert max(sizes) <= 2
    assert len(ledger.unindexed(before=at(6), limit=99)) == 4
    assert len(ledger.unindexed(before=at(7), limit=99)) == 8


def test_a_thread_that_ends_closes_its_connection(ledger: SqliteLedger, path: Path) -> None:
    ledger.ping()
    descriptors = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for _ in range(20):
        thread = threading.Thread(target=ledger.ping)
        thread.start()
        thread.join()
    if descriptors:
        # SQLite keeps a few descriptors back while another connection of the process is open.
        assert len(os.listdir("/proc/self/fd")) <= descriptors + 25


def test_an_erased_event_keeps_the_ledger_readable(ledger: SqliteLedger) -> None:
    memory = a_memory("a", text="x" * 100_000, metadata={"k": "\ud800"})
    ledger.append([*add(memory), Event(update(memory).kind, update(memory, text="y" * 50_000).memory)])
    ledger.append([delete(memory.next_version(at(1), event_id="deletion"))])
    assert [event.memory.text for event in ledger.history("acme", memory.id)] == ["", "", ""]


def test_keys_of_the_first_version_are_read_with_their_role(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    ledger.ping()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as file, file:
        for name, admin in ((b"one", True), (b"two", False)):
            body = json.dumps(["acme", admin, at(0), "laptop", False]).encode()
            file.execute("INSERT INTO keys (hash, body) VALUES (?, ?)", (name, body))
    one = ApiKey("one", "acme", Role.ADMIN, at(0), label="laptop")
    assert ledger.key("one") == one
    assert keys_of(ledger, "acme") == [one, replace(one, hash="two", role=Role.WRITE)]
    ledger.close()
