"""Jobs in the SQLite ledger: those that succeeded expire too, each call is bounded, and their text leaves the file."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger, expiry, idempotency_records
from forgetless.domain.jobs import JobState
from forgetless.ports.request_ledger import IdempotencyRecord
from tests.contract.ledger.making import a_job, a_memory, a_message, add, at, files_holding, job_id


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    with closing(SqliteLedger(tmp_path / "ledger.db")) as ledger:
        yield ledger


def test_succeeded_jobs_expire_and_their_messages_stay(ledger: SqliteLedger) -> None:
    for second, name in enumerate("abc"):
        done = a_job(name, state=JobState.SUCCEEDED, second=second)
        ledger.append(add(a_memory(name)), completing=done, messages=[a_message(name)])
    ledger.put_job(a_job("f", state=JobState.FAILED), [])
    assert ledger.expire_jobs(succeeded_before=at(2), failed_before=None, limit=9) == 2
    assert {job.id for job in ledger.jobs("acme", limit=9)[0]} == {job_id("c"), job_id("f")}
    assert len(ledger.job_messages("acme", job_id("a"))) == 1
    assert {message.ref.job_id for message in ledger.messages_without_job("acme", limit=9)[0]} == {
        job_id("a"),
        job_id("b"),
    }


def test_a_call_removes_both_kinds_up_to_its_limit(ledger: SqliteLedger) -> None:
    for name in "abc":
        ledger.put_job(a_job(name, state=JobState.SUCCEEDED), [])
        ledger.put_job(a_job(f"failed {name}", state=JobState.FAILED), [])
    removed = [ledger.expire_jobs(succeeded_before=at(9), failed_before=at(9), limit=4) for _ in range(3)]
    assert removed == [4, 2, 0]


def test_many_messages_end_a_transaction_early(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "_MESSAGES_AT_ONCE", 5)
    for name in "abc":
        ledger.put_job(a_job(name, state=JobState.FAILED), [a_message(name, place) for place in range(3)])
    removed = [ledger.expire_jobs(succeeded_before=None, failed_before=at(9), limit=9) for _ in range(3)]
    assert removed == [2, 1, 0]


def test_the_text_of_an_expired_job_leaves_every_file(ledger: SqliteLedger, tmp_path: Path) -> None:
    failed = a_job("a", state=JobState.FAILED, request={"prompt": "SECRET"})
    ledger.put_job(failed, [a_message("a", content="SECRET " * 2000)])
    ledger.expire_jobs(succeeded_before=None, failed_before=at(9), limit=9)
    assert ledger.scrub_erased()
    assert files_holding(tmp_path, "SECRET") == []


def test_ended_records_go_up_to_the_limit_with_their_answers(ledger: SqliteLedger, tmp_path: Path) -> None:
    runs = IdempotencyRecord("f", at(1))
    for n in range(3):
        ledger.begin_request("acme", f"{n}", runs, now=at(0), expires_at=at(2))
        answer = IdempotencyRecord("f", at(1), 200, f"SECRET {a_memory('a').id}")
        ledger.finish_request("acme", f"{n}", answer, began=runs, expires_at=at(2))
        ledger.acquire_lease(f"{n}", owner="who died", now=at(0), until=at(2))
    assert [ledger.expire_records(before=at(5), limit=4) for _ in range(3)] == [4, 2, 0]
    assert ledger.scrub_erased()
    assert files_holding(tmp_path, "SECRET") == []
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as db:
        for table in ("requests", "answered", "leases"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_few_answers_show_one_memory_so_that_its_deletion_is_short(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency_records, "_MOST_ANSWERS", 3)
    ids = [str(uuid.UUID(int=number)) for number in range(4)]
    answers = [IdempotencyRecord("print", at(9), 200, json.dumps({"id": id_, "memory": " ".join(ids)})) for id_ in ids]

    def store(name: str, answer: IdempotencyRecord, second: int) -> None:
        began = IdempotencyRecord("print", at(9))
        ledger.begin_request("acme", name, began, now=at(0), expires_at=at(second))
        ledger.finish_request("acme", name, answer, began=began, expires_at=at(second))

    def is_stored(name: str) -> bool:
        asked = IdempotencyRecord("print", at(9))
        return ledger.begin_request("acme", name, asked, now=at(0), expires_at=at(99)) is not None

    store("of another memory", answers[1], 10)
    for number in range(5):
        store(f"{number}", answers[0], 20 + number)
    assert [is_stored(f"{number}") for number in range(5)] == [False, False, True, True, True]
    assert is_stored("of another memory"), "a text that names a memory does not show it"
