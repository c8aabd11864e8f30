"""PastFillWork: the job that fills the collection of the past of the generation that serves, after an upgrade.

It goes through all memories. Those that lack rows of the past are pending first, so that nothing is lost and nothing
erased stays, whatever happens meanwhile: a change finds them contested, and sweep makes their rows right. Then their
rows are made from the history. It may be killed at any moment: a page that is done again only finds less to do.
"""

from __future__ import annotations

from dataclasses import replace

from forgetless.domain.bulk_jobs import BulkJob, Progress
from forgetless.domain.errors import DependencyError
from forgetless.domain.generations import Generations
from forgetless.domain.times import seconds_between
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.generations.beside import OtherGenerations
from forgetless.service.generations.opened import Openings
from forgetless.service.generations.record import GenerationRecord
from forgetless.service.generations.walk import Walk, lacking_past
from forgetless.service.jobs.bulk import has_moved

__all__ = ["PastFillWork"]

#: How many memories are read, embedded and written at once.
PAGE = 100


class PastFillWork:
    """The portions of the job; `job.done` counts the memories whose rows of the past were made."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        record: GenerationRecord,
        openings: Openings,
        beside: OtherGenerations,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._record = record
        self._openings = openings
        self._beside = beside
        self._clock = clock

    def portion(self, job: BulkJob, *, deadline: float) -> Progress:
        """See `service.jobs.bulk.PortionWork`. An error after the first page leaves what was done recorded as done."""
        known = self._record.now()
        now = Progress(job.cursor, job.done, set_aside=job.set_aside)
        if known.past_job != job.id or known.past_is_filled:
            return replace(now, cursor=None)
        # A request of the version before, which moves no rows, may run for so long; a deployment takes about as long.
        patience = 2 * self._ledger.late_writes_s()
        if (wait_s := patience - seconds_between(job.created_at, self._clock.now())) > 0:
            return replace(now, cursor={"collection": ""}, wait_s=wait_s)
        collection = known.serving.collection
        # Another generation may have begun to serve meanwhile.
        same = job.cursor is not None and job.cursor["collection"] == collection
        walk = begin = Walk.of(job.cursor) if same and job.cursor is not None else Walk()
        while not walk.ended:
            try:
                walk, now = self._page(known, walk, now, deadline)
            except DependencyError:
                if walk is begin:
                    raise
                break  # the next portion meets the same error, and then the job is held
            if self._clock.monotonic() >= deadline or has_moved(self._ledger, job):
                break
        if not walk.ended:
            return replace(now, cursor={"collection": collection, **walk.cursor()})
        self._record.change(lambda held: held.with_past(collection) if held.past_job == job.id else None)
        return replace(now, cursor=None)

    def _page(self, known: Generations, walk: Walk, now: Progress, deadline: float) -> tuple[Walk, Progress]:
        following, memories = walk.step(self._ledger, limit=PAGE)
        lacking = lacking_past(self._openings.of(known.serving).index, memories)
        if not lacking:
            return following, now
        self._ledger.mark_pending(lacking, at=self._clock.now())
        done = self._beside.bring(
            known.serving, lacking, serves=True, in_time=lambda: self._clock.monotonic() < deadline
        )
        count, aside = now.done + len(lacking) - done.left, now.set_aside + done.refused
        return (walk if done.left else following), replace(now, done=count, set_aside=aside)
