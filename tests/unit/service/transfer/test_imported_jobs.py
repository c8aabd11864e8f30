"""Imported jobs that have not ended: they run here, whoever had them elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from forgetless.domain.jobs import JobState
from tests.unit.service.transfer.test_event_transfer import exported, take
from tests.unit.service.world import World, facts

FAR = "9999-12-31T23:59:59.000000+00:00"


@pytest.mark.parametrize(
    "held",
    [
        {"state": "RUNNING", "lease_owner": "worker-1", "lease_until": FAR, "attempts": 1},
        {"state": "RUNNING", "lease_owner": "worker-1", "lease_until": FAR, "attempts": 1, "updated_at": FAR},
        {"state": "PENDING", "lease_until": FAR, "updated_at": FAR},
    ],
    ids=["held by a worker", "held, and of the future", "waiting for its next try"],
)
def test_no_worker_of_another_ledger_holds_an_imported_job(
    new_world: Callable[..., World], held: dict[str, Any]
) -> None:
    source, target = new_world([facts("x")]), new_world([facts("She likes tea.")])
    job = source.say("I like tea.", infer=True, queued=True).job
    lines = [json.loads(line) for line in exported(source).splitlines()]
    take(target, b"\n".join(json.dumps(line | (held if line.get("type") == "job" else {})).encode() for line in lines))
    arrived = target.services.reads.job("default", job.id)
    assert arrived is not None
    assert (arrived.state, arrived.lease_owner, arrived.next_try_at) == (JobState.PENDING, None, None)
    target.clock.advance(3600)
    assert target.services.sweep.sweep().requeued == 1
    target.services.ingest.run("default", job.id, seconds=30)
    assert target.services.reads.job("default", job.id).state is JobState.SUCCEEDED  # type: ignore[union-attr]
