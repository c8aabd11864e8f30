"""Erase: removes the rows that an erasure covers: in the request for a moment, then in the portions of a bulk job.

The marker of the erasure hides them already, so it does not matter how long this takes. A pass goes through the
targets of the erasure. For each, it ends the jobs that wait and removes the messages, then it removes the memories.
What was accepted after the erasure stays. A pass may stop anywhere and begin again: what is gone is gone.

An erasure is noted in the log of erasures before anybody is told of it, and before its ids leave the ledger.

With a ledger that writers who began before the erasure may still write to (`late_writes_s`), the marker goes on hiding
after the first pass. When no such writer can live any more, sweep starts passes until one finds nothing.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from forgetless.domain.bulk_jobs import BulkJob, BulkKind, Progress
from forgetless.domain.erasures import Erasure
from forgetless.domain.errors import DependencyError, VersionConflictError
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.limits import ERASE_IN_REQUEST_S
from forgetless.domain.times import later, seconds_between
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.conflict_retry import ConflictRetry
from forgetless.service.jobs.bulk import BulkService
from forgetless.service.jobs.erasure_logbook import ErasureLogbook
from forgetless.service.requests import ErasedScope
from forgetless.service.writing.erase_memories import MemoryEraser

__all__ = ["EraseWork", "Erasures", "erase_job_id", "start_erase_job"]

_logger = logging.getLogger(__name__)

#: How many messages or memories are read, and at most removed, in one step.
_STEP = 200
#: How long the marker of an erasure that is over stays in the ledger.
_KEPT_S = 15 * 86_400.0
#: Sweep starts the job of an erasure whose request died before it could, after this time.
_LOST_AFTER_S = 120.0
#: At most this many erasures are looked after in one run of sweep.
_LOOKED_AT = 100
#: The namespace of the ids of erase jobs.
_ERASE_JOBS = uuid.UUID("6f7267e7-1e55-5f1e-9d6b-000000000003")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a pass is: the target, whether its memories are next (otherwise its messages), and the page."""

    target: int = 0
    memories: bool = False
    page: str | None = None
    #: What this pass has removed, and whether it began when no writer from before the erasure could live any more.
    removed: int = 0
    late: bool = False

    def cursor(self) -> Mapping[str, Any]:
        """The place as the cursor of a bulk job."""
        return {name: getattr(self, name) for name in self.__slots__}

    def after(self, page: str | None, removed: int) -> _Place:
        """The place after a page; `page` is None if it was the last one."""
        here = replace(self, removed=self.removed + removed, page=page)
        if page is not None:
            return here
        if not self.memories:
            return replace(here, memories=True)
        return replace(here, memories=False, target=self.target + 1)


class EraseWork:
    """Removes rows; `ledger` must show all rows, those that markers hide too."""

    def __init__(self, *, ledger: Ledger, eraser: MemoryEraser, clock: Clock, logbook: ErasureLogbook) -> None:
        self._ledger = ledger
        self._eraser = eraser
        self._clock = clock
        self._logbook = logbook

    def portion(self, job: BulkJob, *, deadline: float) -> Progress:
        """See `service.jobs.bulk.PortionWork`. `done` counts memories."""
        erasure = self._ledger.erasure(job.tenant, int(job.request["number"]))
        if erasure is None:
            return Progress(None, job.done, job.done)
        place = _Place(**job.cursor) if job.cursor is not None else self._start(erasure)
        place, done = self.work(erasure, place, deadline=deadline)
        if not self.finished(erasure, place):
            return Progress(place.cursor(), job.done + done, job.total)
        return Progress(None, job.done + done, job.done + done)

    def work(self, erasure: Erasure, place: _Place | None = None, *, deadline: float) -> tuple[_Place, int]:
        """Go on from `place` (None: the start) until the deadline or the end of the pass.

        Returns the place then, and how many memories were removed. At least one page is done. An error after the first
        page only ends the work, so that the pages before it are counted.
        """
        begin = place = place or self._start(erasure)
        done = 0
        while place.target < len(erasure.targets):
            try:
                page, removed = self._erase_page(erasure, place)
            except (DependencyError, VersionConflictError) as error:
                if place == begin:
                    raise
                _logger.warning("an erasure goes on later", extra={"reason": error.message})
                break
            done += removed if place.memories else 0
            place = place.after(page, removed)
            if self._clock.monotonic() >= deadline:
                break
        return place, done

    def finished(self, erasure: Erasure, place: _Place) -> bool:
        """Whether the pass is at its end; then the marker stops to hide, if nothing can follow any more."""
        if place.target < len(erasure.targets):
            return False
        nothing_follows = self._ledger.late_writes_s() == 0.0 or (place.late and not place.removed)
        if nothing_follows:
            self._logbook.note(erasure)
            expires_at = later(self._clock.now(), _KEPT_S)
            self._ledger.end_erasure(erasure.tenant, erasure.number, expires_at=expires_at)
        return True

    def _start(self, erasure: Erasure) -> _Place:
        age = seconds_between(erasure.begun_at, self._clock.now())
        return _Place(late=age >= self._ledger.late_writes_s())

    def _erase_page(self, erasure: Erasure, place: _Place) -> tuple[str | None, int]:
        return self._erase_memories(erasure, place) if place.memories else self._erase_messages(erasure, place)

    def _erase_messages(self, erasure: Erasure, place: _Place) -> tuple[str | None, int]:
        tenant, target = erasure.tenant, erasure.targets[place.target]
        found, page = self._ledger.scope_messages(tenant, target.ids, limit=_STEP, cursor=place.page)
        covered = [message for message in found if erasure.covers(message)]
        # Jobs end before their messages go: without messages, nobody would find them here again.
        for job_id in dict.fromkeys(message.ref.job_id for message in covered):
            self._end_job(erasure, job_id)
        removed = self._ledger.erase_messages(tenant, [message.ref for message in covered], at=self._clock.now())
        return page, removed

    def _end_job(self, erasure: Erasure, job_id: str) -> None:
        """End a job that waits, runs, is held or has failed, so that nothing can start it again."""
        while True:
            job = self._ledger.job(erasure.tenant, job_id)
            if job is None or not erasure.covers(job) or job.state is JobState.SUCCEEDED:
                return
            if self._ledger.update_job(_ended(job, self._clock.now()), held=job):
                return

    def _erase_memories(self, erasure: Erasure, place: _Place) -> tuple[str | None, int]:
        tenant, target = erasure.tenant, erasure.targets[place.target]
        retry = ConflictRetry(self._clock)
        while True:
            found = self._ledger.list_memories(tenant, target.ids, limit=_STEP, cursor=place.page, superseded=True)
            covered = [memory for memory in found.items if erasure.covers(memory)]
            try:
                if covered:
                    self._eraser.erase(tenant, covered, request_name=f"erasure {erasure.identity}")
            except VersionConflictError:
                if not retry.again():
                    raise
            else:
                return found.cursor, len(covered)


class Erasures:
    """Begins the removal of what erasures cover, and looks after erasures whose removal has not ended."""

    def __init__(
        self, *, ledger: Ledger, work: EraseWork, bulk: BulkService, clock: Clock, logbook: ErasureLogbook
    ) -> None:
        self._ledger = ledger
        self._logbook = logbook
        self._work = work
        self._bulk = bulk
        self._clock = clock

    def begin(self, erasure: Erasure) -> ErasedScope:
        """See `service.writing.erase_memories.ScopeEraser`. The erasure is in effect, whatever happens here.

        Raises LedgerError if it could not be noted in the log of erasures. Sweep then does that, and all the rest.
        """
        id_ = erase_job_id(erasure)
        self._logbook.note(erasure)
        done, ended = 0, False
        try:
            place, done = self._work.work(erasure, deadline=self._clock.monotonic() + ERASE_IN_REQUEST_S)
            ended = self._work.finished(erasure, place)
        except (DependencyError, VersionConflictError) as error:
            _logger.warning("an erasure goes on in the background", extra={"reason": error.message})
        try:
            if ended:
                self._note(erasure, id_, done)
            else:
                start_erase_job(self._bulk, erasure, done=done)
        except DependencyError as error:  # sweep starts it
            _logger.warning("the job of an erasure waits for sweep", extra={"reason": error.message})
        return ErasedScope(done, id_)

    def look_after(self) -> int:
        """Start the jobs of erasures that have none, and late passes; returns how many erasures were looked at."""
        late_s = self._ledger.late_writes_s()
        found = self._ledger.open_erasures(limit=_LOOKED_AT)
        for erasure in found:
            age = seconds_between(erasure.begun_at, self._clock.now())
            if age >= _LOST_AFTER_S and self._bulk.job(erasure.tenant, erase_job_id(erasure)) is None:
                self._logbook.note(erasure)
                start_erase_job(self._bulk, erasure)
            if late_s and age >= late_s:
                start_erase_job(self._bulk, erasure, number=1 + int((age - late_s) // 60))
        return len(found)

    def _note(self, erasure: Erasure, id_: str, done: int) -> None:
        """Record the job of an erasure that the request itself has finished, so that its event can be looked up."""
        now = self._clock.now()
        job = BulkJob(
            id=id_,
            tenant=erasure.tenant,
            kind=BulkKind.ERASE,
            state=JobState.SUCCEEDED,
            created_at=erasure.begun_at,
            updated_at=now,
            request=_request(erasure),
            done=done,
            total=done,
            started_at=erasure.begun_at,
            completed_at=now,
        )
        self._ledger.put_document(job.document())


def start_erase_job(bulk: BulkService, erasure: Erasure, *, number: int = 0, done: int = 0) -> None:
    """Start the job of a pass; `done` memories were removed before."""
    id_ = erase_job_id(erasure, number)
    bulk.start(erasure.tenant, BulkKind.ERASE, _request(erasure), job_id=id_, done=done)


def erase_job_id(erasure: Erasure, number: int = 0) -> str:
    """The id of the job of a pass: 0 for the first one, which is the event that the client was told.

    It comes from the random id of the erasure, so it is another one in every ledger, and after every restore.
    """
    return str(uuid.uuid5(_ERASE_JOBS, f"{erasure.identity}\x00{number}"))


def _request(erasure: Erasure) -> Mapping[str, Any]:
    """What the job's record says. The ids stay in the erasure, which loses them when it ends."""
    return {"number": erasure.number}


def _ended(job: Job, now: str) -> Job:
    return replace(job.as_erased(), completed_at=now, updated_at=now, started_at=job.started_at or job.created_at)
