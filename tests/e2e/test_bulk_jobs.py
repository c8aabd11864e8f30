"""Bulk jobs on the running service: the queue's function does them, and a killed `reindex` goes on where it stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing

import pytest

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.adapters.queue_sqs import SqsBulkQueue
from forgetless.domain.bulk_jobs import BulkKind
from forgetless.service.jobs.bulk import BulkService
from local.emulator.specs import ACCOUNT_ID
from tests.e2e.house import QUEUE_TOKEN, ROOT, House, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def machine(house: House) -> House:
    """The service whose files and queue are on this machine."""
    if type(house) is not House:
        pytest.skip("its files are in containers")
    return house


def events_of(house: House, kind: str, *, status: str) -> list[str]:
    with closing(SqliteLedger(house.state / "ledger.db")) as ledger:
        jobs, _ = BulkService(ledger=ledger, queue=None, clock=SystemClock()).jobs("default", limit=100)
    return [job.id for job in jobs if job.kind == kind and job.state == status]


def test_the_function_does_a_job_and_the_event_shows_its_end(machine: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "SESSION_TOKEN": QUEUE_TOKEN}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    machine.add("The gardener grows figs.", user="gardener")
    queue = SqsBulkQueue(f"{machine.queue_url}/{ACCOUNT_ID}/BulkQueue", endpoint_url=machine.queue_url)
    with closing(SqliteLedger(machine.state / "ledger.db")) as ledger:
        job = BulkService(ledger=ledger, queue=queue, clock=SystemClock()).start("default", BulkKind.REINDEX, {})
    event = f"/v1/event/{job.id}/"
    wait_until(lambda: machine.client.get(event).json()["status"] == "SUCCEEDED", seconds=120)
    assert machine.client.get(event).json()["metadata"]["done"] >= 1
    assert machine.found("who grows figs", user="gardener") == ["The gardener grows figs."]


def test_a_killed_reindex_is_continued_by_the_next_one(machine: House) -> None:
    for number in range(4):
        machine.add(*(f"Shelf {number} holds book {book}." for book in range(100)), user=f"reader-{number}")
    before = set(events_of(machine, "reindex", status="SUCCEEDED"))
    command = [sys.executable, "-m", "local.up", "reindex", "--afresh"]
    process = subprocess.Popen(command, cwd=ROOT, env=machine.environment, start_new_session=True)
    wait_until(lambda: bool(events_of(machine, "reindex", status="RUNNING")), seconds=120)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = subprocess.run(
        [sys.executable, "-m", "local.up", "reindex"],
        cwd=ROOT, env=machine.environment, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(events_of(machine, "reindex", status="SUCCEEDED")) - before
    found = machine.found("book 42 of shelf 3", user="reader-3")
    assert "Shelf 3 holds book 42." in found
