"""`python -m tests.histories.store_contents TENANT` prints what ledger and index hold once all work is done.

It first does what sweep would do in a few minutes, with a clock that is ahead: every process of before is gone, so its
leases and claims are let go at once. With `--jobs` it waits for the queue's workers too; without a queue nobody will
ever do an add whose process died.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from forgetless.adapters.index_milvus import MilvusIndex
from forgetless.domain.bulk_jobs import BULK_JOB, BulkJob
from forgetless.domain.errors import DependencyError
from forgetless.domain.export_lines import event_line
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.memory import Event
from forgetless.ports.ledger import Ledger
from forgetless.runtime.composition import build_services, collection_name
from forgetless.runtime.settings import Settings, load_settings
from forgetless.service.access.hiding_operator_ledger import HidingOperatorLedger
from forgetless.service.services import Ports, Services
from tests.faults.shared_stores import AheadClock

_ROWS = 1000
_POLL_S = 0.5
#: Beyond every lease and claim of before, beyond what sweep waits for a lost message, and beyond the time in which a
#: write from before an erasure may land.
_AHEAD_S = 1100.0
#: Whoever holds a job now is given so long for it before it counts as dead, too.
_WORK_S = 30.0
_NEVER = "9999-12-31"
_OWNER = "inside"


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m tests.histories.store_contents", description=__doc__)
    parser.add_argument("tenant")
    parser.add_argument("--seconds", type=float, required=True, help="how long it may take to come to rest")
    parser.add_argument("--jobs", action="store_true", help="accepted adds must come to an end too")
    options = parser.parse_args()
    settings = load_settings()
    ports = replace(build_services(settings)._ports, clock=AheadClock(_AHEAD_S))
    jobs, pending = _settle(ports, options.tenant, seconds=options.seconds, with_jobs=options.jobs)
    events = [event_line(event).decode() for event in _events(HidingOperatorLedger(ports.ledger), options.tenant)]
    rows = _rows(settings, options.tenant)
    print(json.dumps({"open_jobs": jobs, "pending": pending, "rows": rows, "events": events}))


def _settle(ports: Ports, tenant: str, *, seconds: float, with_jobs: bool) -> tuple[int, int]:
    """Let all be done that is left; how many jobs are open and memories pending even so."""
    services = Services(ports)
    ledger, sweep = HidingOperatorLedger(ports.ledger), services.sweep
    begin, freed = time.monotonic(), -_WORK_S
    while True:
        passed = time.monotonic() - begin
        jobs = list(_open_jobs(ledger, tenant)) if with_jobs else []
        if passed - freed >= _WORK_S:
            freed = passed
            _try(lambda jobs=jobs: _let_go(ports, jobs))  # type: ignore[misc]
            _try(sweep.sweep)
        _try(services.bulk_worker.turn)
        _try(lambda: sweep.index_pending(tenant))
        pending = _open_bulk_jobs(ledger, tenant) + len(ledger.unindexed(before=_NEVER, limit=1000, tenant=tenant))
        if not (jobs or pending) or passed > seconds:
            return len(jobs), pending
        time.sleep(_POLL_S)


def _let_go(ports: Ports, jobs: list[Job]) -> None:
    """End the leases of writers that are dead."""
    for name in {f"scope:{job.scope.writer_key()}" for job in jobs}:
        now = ports.clock.now()
        if ports.ledger.acquire_lease(name, owner=_OWNER, now=now, until=now):
            ports.ledger.release_lease(name, owner=_OWNER)


def _try(work: Callable[[], object]) -> None:
    try:
        work()
    except DependencyError as error:
        print(f"not yet: {error.message}")


def _open_jobs(ledger: Ledger, tenant: str) -> Iterator[Job]:
    cursor = None
    while True:
        jobs, cursor = ledger.jobs(tenant, limit=200, cursor=cursor)
        yield from (job for job in jobs if job.state in {JobState.PENDING, JobState.RUNNING})
        if cursor is None:
            return


def _open_bulk_jobs(ledger: Ledger, tenant: str) -> int:
    """How many erasures have rows left. (What is over leaves a record, so the newest are enough.)"""
    documents, _ = ledger.documents(tenant, BULK_JOB, limit=1000)
    return sum(not BulkJob.of(document).finished for document in documents)


def _events(ledger: Ledger, tenant: str) -> Iterator[Event]:
    cursor = None
    while True:
        page = ledger.list_events(tenant, limit=200, cursor=cursor)
        yield from page.items
        cursor = page.cursor
        if cursor is None:
            return


def _rows(settings: Settings, tenant: str) -> list[tuple[str, int, str]]:
    index = MilvusIndex(
        settings.milvus_uri,
        collection=collection_name(settings),
        dimensions=settings.embedding_dimensions,
        timeout_s=30.0,
    )
    found: list[Any] = index._collection.call(
        "query",
        filter=f'tenant == "{tenant}"',
        output_fields=["memory_id", "version", "hash"],
        limit=_ROWS,
    )
    if len(found) >= _ROWS:
        raise SystemExit(f"the tenant has {_ROWS} rows or more in the index: make the episode shorter")
    return sorted((str(row["memory_id"]), int(row["version"]), str(row["hash"])) for row in found)


if __name__ == "__main__":
    main()
