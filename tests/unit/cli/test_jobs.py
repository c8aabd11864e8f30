"""The operator's command line for bulk jobs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli.__main__ import FAILED, OK, main
from forgetless.domain.bulk_jobs import BulkJob, BulkKind, Progress
from forgetless.domain.jobs import JobState
from forgetless.domain.memory import Message, MessageRef
from forgetless.domain.scope import Scope
from forgetless.service.jobs.bulk import BulkService, PortionWork
from tests.contract.ledger.making import a_job, at

Out = pytest.CaptureFixture[str]


class Once:
    def portion(self, job: BulkJob, *, deadline: float) -> Progress:
        return Progress(None, 7, 7, set_aside=2)


class Never:
    def portion(self, job: BulkJob, *, deadline: float) -> Progress:
        raise ValueError("a secret")


@pytest.fixture
def ledger_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger.db"
    monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(path))
    return path


def start(path: Path, work: PortionWork | None = None, *, kind: BulkKind = BulkKind.REINDEX, portions: int = 1) -> str:
    """A job in the ledger, with so many portions done or tried."""
    with closing(SqliteLedger(path)) as ledger:
        works = {} if work is None else {kind: work}
        bulk = BulkService(ledger=ledger, queue=None, clock=SystemClock(), works=works)
        job = bulk.start("default", kind, {}, total=7)
        for _ in range(portions if work is not None else 0):
            now = bulk.job("default", job.id)
            assert now is not None
            bulk.run("default", job.id, now.version, seconds=5)
    return job.id


def run(capsys: Out, *arguments: str, code: int = OK) -> str:
    assert main(["jobs", *arguments]) == code
    return capsys.readouterr().out.strip()


def test_jobs_are_listed_newest_first_with_their_progress(ledger_path: Path, capsys: Out) -> None:
    done, waiting = start(ledger_path, Once()), start(ledger_path, kind=BulkKind.ERASE)
    lines = run(capsys, "list").splitlines()
    assert [line.split()[:4] for line in lines] == [
        [waiting, "erase", "PENDING", "0/7"],
        [done, "reindex", "SUCCEEDED", "7/7"],
    ]
    assert "2 set aside" in lines[1]
    assert run(capsys, "list", "--open").split()[0] == waiting
    assert len(run(capsys, "list", "--limit", "1").splitlines()) == 1
    assert run(capsys, "list", "--tenant", "other") == ""


def test_a_job_that_ends_ends_its_watch(ledger_path: Path, capsys: Out) -> None:
    assert "SUCCEEDED" in run(capsys, "watch", start(ledger_path, Once()))
    failed = start(ledger_path, Never(), portions=5)
    assert "internal_error: ValueError" in run(capsys, "watch", failed, code=FAILED)
    assert main(["jobs", "watch", "nothing"]) == FAILED
    assert "no bulk job 'nothing'" in capsys.readouterr().err


def test_a_job_is_cancelled_unless_it_erases(ledger_path: Path, capsys: Out) -> None:
    job, erasure = start(ledger_path), start(ledger_path, kind=BulkKind.ERASE)
    assert run(capsys, "cancel", job).endswith("cancelled")
    assert "FAILED" in run(capsys, "list").splitlines()[1]
    assert main(["jobs", "cancel", erasure]) == FAILED
    assert "cannot be cancelled" in capsys.readouterr().err


def test_a_failed_add_is_dismissed(ledger_path: Path, capsys: Out) -> None:
    failed = a_job("a", scope=Scope("default", user_id="anna"), state=JobState.FAILED)
    with closing(SqliteLedger(ledger_path)) as ledger:
        ledger.put_job(failed, [])
    assert run(capsys, "dismiss", failed.id).endswith("removed with its messages by the next sweep")
    with closing(SqliteLedger(ledger_path)) as ledger:
        assert ledger.expire_jobs(succeeded_before=None, failed_before=at(0), limit=9) == 1
    assert main(["jobs", "dismiss", failed.id]) == FAILED
    assert "has no job" in capsys.readouterr().err


def test_where_no_add_has_failed_other_tenants_are_pointed_at(ledger_path: Path, capsys: Out) -> None:
    failed = a_job("a", scope=Scope("acme", user_id="anna"), state=JobState.FAILED, error="worker_lost: gone")
    with closing(SqliteLedger(ledger_path)) as ledger:
        ledger.put_job(failed, [])
    assert main(["jobs", "failed"]) == OK
    said = capsys.readouterr()
    assert (said.out, "--tenant" in said.err) == ("", True)
    assert run(capsys, "failed", "--tenant", "acme").startswith(failed.id)


def test_failed_and_held_adds_are_listed_with_their_reason_and_started_again(ledger_path: Path, capsys: Out) -> None:
    anna = Scope("default", user_id="anna")
    ended = {"state": JobState.FAILED, "error": "provider_bad_reply: no JSON\x1b[2J", "completed_at": at(9)}
    failed = a_job("a", second=1, scope=anna, request={"source_key": "k"}, attempts=5, **ended)
    held = a_job("b", second=2, scope=anna, error="provider_auth_failed: status 401", lease_until=at(50))
    forgotten = a_job("c", second=3, scope=anna, state=JobState.FAILED, error="worker_lost: gone")
    with closing(SqliteLedger(ledger_path)) as ledger:
        ledger.put_job(failed, [Message(MessageRef(failed.id, 0), anna, "user", "I like tea", at(1))])
        ledger.put_jobs([(held, []), (forgotten, []), (a_job("d", second=4, scope=anna, state=JobState.SUCCEEDED), [])])
    lines = run(capsys, "failed").splitlines()
    assert [line.split()[0] for line in lines] == [forgotten.id, held.id, failed.id]
    assert f"held until {at(50)}" in lines[1]
    assert lines[2].endswith("attempts 5  provider_bad_reply: no JSON\\x1b[2J")
    assert run(capsys, "failed", "--limit", "1").startswith(forgotten.id)
    # The command line has no queue here, which is no fault.
    when = "a worker or sweep takes it within three minutes"
    assert run(capsys, "retry", "--all") == f"{failed.id} is started again: {when}"
    with closing(SqliteLedger(ledger_path)) as ledger:
        again = ledger.job("default", failed.id)
    assert again is not None
    assert (again.state, again.error, again.attempts, again.created_at) == (
        JobState.PENDING,
        None,
        0,
        failed.created_at,
    )
    assert main(["jobs", "retry", forgotten.id]) == FAILED
    assert "no longer kept; send it again" in capsys.readouterr().err
    assert main(["jobs", "retry", failed.id]) == FAILED
    assert "this one is PENDING" in capsys.readouterr().err
