"""The API under uvicorn does bulk jobs in a thread of its own, unless a queue has them done elsewhere."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from forgetless import asgi
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.bulk_jobs import BulkKind
from forgetless.domain.jobs import JobState
from forgetless.service.jobs import bulk_worker
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


@pytest.mark.parametrize("queued", [False, True])
def test_a_server_without_a_queue_does_bulk_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, queued: bool) -> None:
    monkeypatch.setattr(bulk_worker, "IDLE_S", 0.01)
    monkeypatch.setenv("FORGETLESS_BULK_QUEUE_URL", "http://127.0.0.1:9/1/bulk" if queued else "")
    with closing(SqliteLedger(tmp_path / "ledger.db")) as ledger:
        world = make_world(tmp_path, ledger=ledger)
        monkeypatch.setattr(asgi, "services", lambda: world.services)
        world.say("tea")
        job = world.services.bulk.start("default", BulkKind.REINDEX, {})
        asyncio.run(served(world, job.id, looks=20 if queued else 3000))
        done = world.services.bulk.job("default", job.id)
        assert done is not None
        assert done.state is (JobState.PENDING if queued else JobState.SUCCEEDED)
