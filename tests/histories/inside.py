"""`python -m tests.histories.inside TENANT`: what ledger and index hold by themselves, once nothing is left to do.

It first does what sweep would do later: it indexes what is pending. With `--jobs` it also waits for the queue's
workers; without a queue nobody will ever do an add whose process died.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from forgetless.adapters.index_milvus import MilvusIndex
from forgetless.domain.errors import DependencyError
from forgetless.domain.jobs import JobState
from forgetless.domain.memory import Event
from forgetless.domain.transfer import event_line
from forgetless.ports.ledger import Ledger
from forgetless.runtime.composition import build_ledger, build_services, collection_name
from forgetless.runtime.settings import Settings, load_settings

_ROWS = 1000
_POLL_S = 0.5


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m tests.histories.inside", description=__doc__)
    parser.add_argument("tenant")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long it may take to come to rest")
    parser.add_argument("--jobs", action="store_true", help="accepted adds must come to an end too")
    options = parser.parse_args()
    settings = load_settings()
    ledger = build_ledger(settings)
    end = time.monotonic() + options.seconds
    sweep = build_services(settings).sweep
    while True:
        _try(lambda: sweep.index_pending(options.tenant))
        open_jobs = sum(1 for _ in _open_jobs(ledger, options.tenant)) if options.jobs else 0
        pending = len(ledger.unindexed(before="9999", limit=1000, tenant=options.tenant))
        if not (open_jobs or pending) or time.monotonic() > end:
            break
        time.sleep(_POLL_S)
    events = [event_line(event).decode() for event in _events(ledger, options.tenant)]
    rows = _rows(settings, options.tenant)
    print(json.dumps({"open_jobs": open_jobs, "pending": pending, "rows": rows, "events": events}))


def _try(work: Callable[[], object]) -> None:
    try:
        work()
    except DependencyError as error:
        print(f"not yet: {error.message}")


def _open_jobs(ledger: Ledger, tenant: str) -> Iterator[str]:
    cursor = None
    while True:
        jobs, cursor = ledger.jobs(tenant, limit=200, cursor=cursor)
        yield from (job.id for job in jobs if job.state in {JobState.PENDING, JobState.RUNNING})
        if cursor is None:
            return


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
