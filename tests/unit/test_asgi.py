"""The API under uvicorn delivers webhooks and, where no queue has them done elsewhere, does bulk jobs by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from forgetless import asgi
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.bulk_jobs import BulkKind
from forgetless.domain.errors import LedgerError
from forgetless.domain.jobs import JobState
from forgetless.runtime import background_work
from forgetless.service.webhooks.delivery import DeliveryReport
from tests.unit.service.webhooks.post import make
from tests.unit.service.world import World, make_world


def settled(world: World, job_id: str) -> bool:
    job = world.services.bulk.job("default", job_id)
    return job is not None and job.finished


async def served(world: World, job_id: str, *, looks: int) -> None:
    """Run the application's lifespan until the job has ended, or for so many looks."""
    app = asgi.create()
    async with app.router.lifespan_context(app):
        for _ in range(looks):
            if settled(world, job_id):
                return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("elsewhere", ["", "FORGETLESS_BULK_QUEUE_URL", "FORGETLESS_BACKGROUND"])
def test_a_server_does_bulk_jobs_unless_a_queue_or_another_process_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: str
) -> None:
    monkeypatch.setattr(background_work, "IDLE_S", 0.01)
    if elsewhere:
        monkeypatch.setenv(elsewhere, "0" if elsewhere == "FORGETLESS_BACKGROUND" else "http://127.0.0.1:9/1/bulk")
    with closing(SqliteLedger(tmp_path / "ledger.db")) as ledger:
        world = make_world(tmp_path, ledger=ledger)
        monkeypatch.setattr(asgi, "services", lambda: world.services)
        world.say("tea")
        job = world.services.bulk.start("default", BulkKind.REINDEX, {})
        asyncio.run(served(world, job.id, looks=20 if elsewhere else 3000))
        done = world.services.bulk.job("default", job.id)
        assert done is not None
        assert done.state is (JobState.PENDING if elsewhere else JobState.SUCCEEDED)


def test_uvicorns_own_access_log_is_off_because_it_holds_paths_and_addresses() -> None:
    access = logging.getLogger("uvicorn.access")
    access.disabled = False
    asgi.create()
    assert access.disabled


async def until(done: Callable[[], bool]) -> None:
    app = asgi.create()
    async with app.router.lifespan_context(app):
        for _ in range(3000):
            if done():
                return
            await asyncio.sleep(0.01)


def test_a_server_delivers_webhooks_and_goes_on_after_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background_work, "MINUTE_S", 0.01)
    outcomes: list[Exception | DeliveryReport] = [ValueError("odd"), LedgerError("down"), DeliveryReport(1, 0, 0)]
    runs: list[str] = []

    def run() -> DeliveryReport:
        outcome = outcomes[min(len(runs), 2)]
        runs.append(type(outcome).__name__)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with closing(SqliteLedger(tmp_path / "ledger.db")) as ledger:
        world = make_world(tmp_path, ledger=ledger)
        monkeypatch.setattr(asgi, "services", lambda: world.services)
        monkeypatch.setattr(world.services.deliveries, "run", run)
        asyncio.run(until(lambda: len(runs) >= 3))
    assert runs[:3] == ["ValueError", "LedgerError", "DeliveryReport"]
    assert "background work met an error" in caplog.text
    assert "background work waits" in caplog.text


def test_what_is_due_reaches_a_receiver_under_uvicorn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_work, "MINUTE_S", 0.01)
    with closing(SqliteLedger(tmp_path / "ledger.db")) as ledger:
        post = make(make_world(tmp_path, ledger=ledger))
        monkeypatch.setattr(asgi, "services", lambda: post.world.services)
        monkeypatch.setattr(post.world.services, "deliveries", post.deliveries)
        post.hook()
        post.world.say("I like tea.")
        asyncio.run(until(lambda: bool(post.receiver.got)))
    assert post.receiver.told() == [("ADD", "I like tea.")]
