"""Reindexing as a bulk job: portions of a tenant's memories, each of which a Reindexer makes right in the index."""

from __future__ import annotations

from forgetless.domain.bulk_jobs import MOST_RANGES, BulkJob, Progress
from forgetless.domain.errors import DependencyError, InvalidRequestError
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.history_portions import light_page
from forgetless.service.jobs.bulk import has_moved
from forgetless.service.jobs.reindex import Reindexer

__all__ = ["PAGE", "ReindexWork"]

#: How many memories are read, embedded and written at once.
PAGE = 100
#: A portion ends after this many pages, even if its time is not over.
_MOST_PAGES = 100


class ReindexWork:
    """The portions of a reindex. `request["range"]` is the number of a range of the tenant; without it, all are done.

    The cursor holds the range and the place in it. A memory that is added or changed meanwhile is indexed by its
    writer, so the job need not come back to it. What embedder or index refuse is left out and noted (see Reindexer).
    """

    def __init__(self, *, ledger: Ledger, reindexer: Reindexer, clock: Clock) -> None:
        self._ledger = ledger
        self._reindexer = reindexer
        self._clock = clock

    def portion(self, job: BulkJob, *, deadline: float) -> Progress:
        """See `PortionWork`. An error after the first page leaves what was done before it recorded as done."""
        now = Progress(job.cursor or {"range": _first_range(job), "after": None}, job.done, job.total, job.set_aside)
        for page in range(_MOST_PAGES):
            try:
                now = self._page(job, now, deadline)
            except DependencyError:
                if page == 0:
                    raise
                break  # the next portion meets the same error, and then the job is held
            if now.cursor is None or self._clock.monotonic() >= deadline or has_moved(self._ledger, job):
                break
        return now

    def _page(self, job: BulkJob, now: Progress, deadline: float) -> Progress:
        """The progress after the next page, or the same again if there was no time for all of it."""
        assert now.cursor is not None
        number, after = int(now.cursor["range"]), now.cursor["after"]
        page = light_page(lambda few: self._ledger.list_range(job.tenant, number, limit=few, cursor=after), PAGE)
        done = self._reindexer.refresh(page.items, in_time=lambda: self._clock.monotonic() < deadline)
        if done.left:
            return now
        last = number == MOST_RANGES - 1 or "range" in job.request
        cursor = {"range": number, "after": page.cursor}
        if page.cursor is None:
            cursor = {"range": number + 1, "after": None}
        ended = page.cursor is None and last
        return Progress(None if ended else cursor, now.done + len(page.items), now.total, now.set_aside + done.refused)


def _first_range(job: BulkJob) -> int:
    number = job.request.get("range", 0)
    if not isinstance(number, int) or not 0 <= number < MOST_RANGES:
        raise InvalidRequestError(f"request.range must be a number from 0 to {MOST_RANGES - 1}")
    return number
