"""Erase: removes the rows that an erasure covers: in the request for a moment, then in the portions of a bulk job.

The marker of the erasure hides them already, so it does not matter how long this takes. A pass goes through the
targets of the erasure. For each, it ends the jobs that wait and removes the messages, then it removes the memories.
What was accepted after the erasure stays. A pass may stop anywhere and begin again: what is gone is gone.

An erasure is noted in the log of erasures before anybody is told of it, and before its ids leave the ledger.

With a ledger that writers who began before the erasure may still write to (`late_writes_s`), the marker goes on hiding
after the first pass. When no such writer can live any more, sweep starts passes until one finds nothing. If any pass
has removed memories, this one ends after a walk through the ids of the tenant (`service.jobs.entity_walks`).
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Any

from forgetless.domain.bulk_jobs import BulkJob, BulkKind, Progress
from forgetless.domain.erasure_receipts import request_of
from forgetless.domain.erasures import Erasure
from forgetless.domain.errors import DependencyError, VersionConflictError
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.limits import ERASE_IN_REQUEST_S, SCRUB_PATIENCE_S
from forgetless.domain.times import later, seconds_between
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.jobs.bulk import BulkService
from forgetless.service.jobs.entity_walks import EntityWalks
from forgetless.service.jobs.erase_exports import erase_exports, has_exports
from forgetless.service.jobs.erasure_logbook import ErasureLogbook
from forgetless.service.jobs.removal import Removal, RemovalTask, Remover
from forgetless.service.requests import ErasedScope

__all__ = ["Advance", "EraseWork", "Erasures", "erase_job_id", "start_erase_job"]

_logger = logging.getLogger(__name__)

#: How many messages or memories are read, and at most removed, in one step.
_STEP = 200
#: How long the marker of an erasure that is over stays in the ledger.
_KEPT_S = 15 * 86_400.0
#: Sweep starts the job of an erasure whose request died before it could, after this time.
_LOST_AFTER_S = 120.0
#: At most this many erasures, of all tenants and of each, are looked after in one run of sweep, and for how long.
_LOOKED_AT, _EACH = 1000, 100
_LOOK_S = 5.0
#: How long a pass that has found nothing lets other erasures of its tenant come as far, so that they share one walk.
_GATHER_S = 30.0
#: The namespace of the ids of erase jobs.
_ERASE_JOBS = uuid.UUID("6f7267e7-1e55-5f1e-9d6b-000000000003")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a pass is: the target, whether its memories are next (otherwise its messages), and the page.

    After the last target come the exports, then the names of speakers, target by target. These have numbers of their
    own, so that a version without them takes such a place for the end of a pass.
    """

    target: int = 0
    memories: bool = False
    page: str | None = None
    #: How many messages this pass has removed, and whether it began when no writer from before the erasure could live.
    messages: int = 0
    late: bool = False
    #: The number of the walk through the tenant's ids that it waits for, after it has found nothing; 0 before that.
    walk: int = 0
    #: What it has done to memories.
    removal: Removal = field(default_factory=Removal)

    def cursor(self) -> dict[str, Any]:
        """The place as the cursor of a bulk job. A version that knows no walks can read it where there is none."""
        names = (name for name in self.__slots__ if name != "walk" or self.walk)
        return {**{name: getattr(self, name) for name in names}, "removal": self.removal.state()}

    @classmethod
    def of(cls, cursor: Mapping[str, Any]) -> _Place:
        """The place that `cursor` gave."""
        return cls(**{**cursor, "removal": Removal.of(cursor["removal"])})

    def counts(self) -> dict[str, int]:
        """What the receipt counts besides memories."""
        return {"messages": self.messages}

    @property
    def waits(self) -> bool:
        """Whether a pass that has been through everything has not ended."""
        return bool(self.removal.held) or self.walk > 0

    def after(self, page: str | None) -> _Place:
        """The place after a page; `page` is None if it was the last one."""
        here = replace(self, page=page)
        if page is not None:
            return here
        if not self.memories:
            return replace(here, memories=True)
        return replace(here, memories=False, target=self.target + 1)


@dataclass(frozen=True, slots=True)
class Advance:
    """Where a step has come to (None: the pass has ended), and how much the pass has removed so far."""

    cursor: Mapping[str, Any] | None
    memories: int
    messages: int


class EraseWork:
    """Removes rows; `ledger` must show all rows, those that markers hide too, and `remover` remove them from it."""

    def __init__(self, *, ledger: Ledger, remover: Remover, clock: Clock, logbook: ErasureLogbook) -> None:
        self._ledger = ledger
        self._logbook = logbook
        self._walks = EntityWalks(ledger=ledger, clock=clock)
        self._remover = remover
        self._clock = clock

    def portion(self, job: BulkJob, *, deadline: float) -> Progress:
        """See `service.jobs.bulk.PortionWork`. `done` counts memories."""
        if self._remover.is_scrubbing(job):
            return self._remover.scrubbed(job)
        erasure = self._ledger.erasure(job.tenant, int(job.request["number"]))
        if erasure is None:
            return self._remover.ended(job.done)
        begin = place = _Place.of(job.cursor) if job.cursor is not None else self.start(erasure)
        while not _is_through(erasure, place):
            try:
                place = self.step(erasure, place, job.id, deadline=deadline)
            except (DependencyError, VersionConflictError) as error:
                if place is begin:
                    raise
                _logger.warning("an erasure goes on later", extra={"reason": error.message})
                break  # what was done before it is recorded
            if self._clock.monotonic() >= deadline:
                break
        if not _is_through(erasure, place):
            return Progress(place.cursor(), place.removal.removed, job.total)
        place = self.finish(erasure, place, job.id, deadline=deadline)
        if place.waits:
            wait_s = _GATHER_S if place.walk > begin.walk and self._has_company(erasure) else 0.0
            return Progress(place.cursor(), place.removal.removed, job.total, wait_s=wait_s)
        return self.ended(place)

    def ended(self, place: _Place, *, patience_s: float = SCRUB_PATIENCE_S) -> Progress:
        """The progress of a pass that has ended; see `Remover.ended`."""
        return replace(self._remover.ended(place.removal.removed, patience_s=patience_s), counts=place.counts())

    def advance(self, erasure: Erasure, cursor: Mapping[str, Any] | None, job_id: str) -> Advance:
        """One step of a pass that another job makes; `cursor` is None at its beginning, and again at its end."""
        place = self.start(erasure) if cursor is None else _Place.of(cursor)
        through = _is_through(erasure, place)
        now = self._clock.monotonic()
        work = self.finish if through else self.step
        place = work(erasure, place, job_id, deadline=now)
        ended = through and not place.waits
        return Advance(None if ended else place.cursor(), place.removal.removed, place.messages)

    def start(self, erasure: Erasure) -> _Place:
        """The place at which a pass begins."""
        age = seconds_between(erasure.begun_at, self._clock.now())
        return _Place(late=age >= self._ledger.late_writes_s(), removal=self._remover.begin(erasure.tenant))

    def step(self, erasure: Erasure, place: _Place, job_id: str, *, deadline: float) -> _Place:
        """Remove a page of messages, of memories or, at the end, of exports and of names of speakers.

        After the deadline, it leaves what is held for a later step.
        """
        if place.target > len(erasure.targets):
            page = self._erase_names(erasure, place)
            return replace(place, page=page, target=place.target + (page is None))
        if place.target == len(erasure.targets):
            page = erase_exports(self._ledger, erasure, place.page)
            return replace(place, page=page, target=place.target + (page is None))
        if not place.memories:
            page, removed = self._erase_messages(erasure, place)
            return replace(place, messages=place.messages + removed).after(page)
        ids = erasure.targets[place.target].ids
        task = self._task(erasure, job_id, deadline)
        page, removal = self._remover.page(task, ids, place.page, place.removal, limit=_STEP)
        return replace(place, removal=removal).after(page)

    def finish(self, erasure: Erasure, place: _Place, job_id: str, *, deadline: float) -> _Place:
        """End a pass that is through; then the marker stops to hide, if nothing can follow any more.

        If something is still held then, or a walk has not ended, the pass has not ended.
        """
        removal = self._remover.finish(self._task(erasure, job_id, deadline), place.removal)
        place = replace(place, removal=removal)
        if place.removal.held:
            return place
        if self._ledger.late_writes_s():
            if not place.late or place.messages or place.removal.removed:
                return place
            place = self._walked(erasure, place, deadline)
            if place.walk:
                return place
        self._logbook.note(erasure)
        expires_at = later(self._clock.now(), _KEPT_S)
        self._ledger.end_erasure(erasure.tenant, erasure.number, expires_at=expires_at)
        return place

    def _walked(self, erasure: Erasure, place: _Place, deadline: float) -> _Place:
        """Go on with the walk that the erasure needs; the place names it until it has ended.

        A memory of who is erased may have been the last one of a run or an agent, which no target names.
        """
        tenant = erasure.tenant
        if not place.walk:
            if not self._walks.needed(erasure):
                return place
            # All is removed, so a walk that begins from now on sees what was left.
            place = replace(place, walk=self._walks.following(tenant))
            if self._has_company(erasure):
                return place
        while not self._walks.has_ended(tenant, place.walk):
            if self._clock.monotonic() >= deadline:
                return place
        self._walks.done(erasure)
        return replace(place, walk=0)

    def _has_company(self, erasure: Erasure) -> bool:
        """Whether other erasures of the tenant have not ended either."""
        return self._ledger.erasure_state(erasure.tenant).hiding > 1

    def _task(self, erasure: Erasure, job_id: str, deadline: float) -> RemovalTask:
        targets = [set(target.ids.items()) for target in erasure.targets]
        common = dict(set.intersection(*targets)) if targets else {}
        over = partial(self._is_over, deadline)
        note = partial(self._walks.note, erasure)
        return RemovalTask(erasure.tenant, common, erasure.covers, job_id, stopped=over, before=note)

    def _is_over(self, deadline: float) -> bool:
        return self._clock.monotonic() >= deadline

    def _erase_messages(self, erasure: Erasure, place: _Place) -> tuple[str | None, int]:
        tenant, target = erasure.tenant, erasure.targets[place.target]
        found, page = self._ledger.scope_messages(tenant, target.ids, limit=_STEP, cursor=place.page)
        covered = [message for message in found if erasure.covers(message)]
        # Jobs end before their messages go: without messages, nobody would find them here again.
        for job_id in dict.fromkeys(message.ref.job_id for message in covered):
            self._end_job(erasure, job_id)
        removed = self._ledger.erase_messages(tenant, [message.ref for message in covered], at=self._clock.now())
        return page, removed

    def _erase_names(self, erasure: Erasure, place: _Place) -> str | None:
        target = erasure.targets[place.target - len(erasure.targets) - 1]
        tenant, before = erasure.tenant, erasure.number
        return self._ledger.erase_names(tenant, target, before=before, limit=_STEP, cursor=place.page)

    def _end_job(self, erasure: Erasure, job_id: str) -> None:
        """End a job that waits, runs, is held or has failed, so that nothing can start it again."""
        while True:
            job = self._ledger.job(erasure.tenant, job_id)
            if job is None or not erasure.covers(job) or job.state is JobState.SUCCEEDED:
                return
            if self._ledger.update_job(_ended(job, self._clock.now()), held=job):
                return


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
        place, progress = self._work.start(erasure), None
        give_up = self._clock.monotonic() + ERASE_IN_REQUEST_S
        try:
            while not _is_through(erasure, place):
                if place.target == len(erasure.targets) and has_exports(self._ledger, erasure.tenant):
                    break  # how many there are does not concern the request
                place = self._work.step(erasure, place, id_, deadline=give_up)
                if self._clock.monotonic() >= give_up:
                    break
            if _is_through(erasure, place):
                place = self._work.finish(erasure, place, id_, deadline=give_up)
                if not place.removal.held:
                    progress = self._work.ended(place, patience_s=ERASE_IN_REQUEST_S)
        except (DependencyError, VersionConflictError) as error:
            _logger.warning("an erasure goes on in the background", extra={"reason": error.message})
        try:
            self._record(erasure, progress or Progress(place.cursor(), place.removal.removed), id_)
        except DependencyError as error:  # sweep starts it
            _logger.warning("the job of an erasure waits for sweep", extra={"reason": error.message})
        return ErasedScope(place.removal.removed, id_)

    def look_after(self) -> int:
        """Start the jobs of erasures that have none, and late passes; returns how many erasures were looked at."""
        late_s = self._ledger.late_writes_s()
        give_up = self._clock.monotonic() + _LOOK_S
        looked_at = 0
        for erasure in self._ledger.open_erasures(limit=_LOOKED_AT, each=_EACH):
            if self._clock.monotonic() >= give_up:
                break
            looked_at += 1
            age = seconds_between(erasure.begun_at, self._clock.now())
            if age >= _LOST_AFTER_S and self._ledger.erasure_state(erasure.tenant).closed:
                continue  # the deletion of its tenant removes the rows
            if age >= _LOST_AFTER_S and self._bulk.job(erasure.tenant, erase_job_id(erasure)) is None:
                self._logbook.note(erasure)
                # Its request died, and has removed nobody knows how much.
                start_erase_job(self._bulk, erasure, self._ledger.digest_key(), done_at_least=True)
            if late_s and age >= late_s:
                self._start_late(erasure)
        return looked_at

    def _start_late(self, erasure: Erasure) -> None:
        """Start the next late pass, if those before it have ended: one that waits needs no other beside it."""
        for number in count(1):
            job = self._bulk.job(erasure.tenant, erase_job_id(erasure, number))
            if job is None:
                start_erase_job(self._bulk, erasure, self._ledger.digest_key(), number=number)
            if job is None or not job.finished:
                return

    def _record(self, erasure: Erasure, progress: Progress, id_: str) -> None:
        """Record the job of an erasure that the request itself has finished, or start the job that goes on."""
        tenant, request = erasure.tenant, request_of(self._ledger.digest_key(), erasure)
        kept: dict[str, Any] = {"job_id": id_, "done": progress.done, "counts": progress.counts}
        if progress.cursor is None:
            self._bulk.record(tenant, BulkKind.ERASE, request, began_at=erasure.begun_at, **kept)
        else:
            self._bulk.start(tenant, BulkKind.ERASE, request, cursor=progress.cursor, **kept)


def start_erase_job(
    bulk: BulkService, erasure: Erasure, key: bytes, *, number: int = 0, done_at_least: bool = False
) -> None:
    """Start the job of a pass; `key` is that of the ledger's digests."""
    id_, request = erase_job_id(erasure, number), request_of(key, erasure)
    bulk.start(erasure.tenant, BulkKind.ERASE, request, job_id=id_, done_at_least=done_at_least)


def erase_job_id(erasure: Erasure, number: int = 0) -> str:
    """The id of the job of a pass: 0 for the first one, which is the event that the client was told.

    It comes from the random id of the erasure, so it is another one in every ledger, and after every restore.
    """
    return str(uuid.uuid5(_ERASE_JOBS, f"{erasure.identity}\x00{number}"))


def _is_through(erasure: Erasure, place: _Place) -> bool:
    """Whether the pass has been through all targets, the exports and all names."""
    return place.target > 2 * len(erasure.targets)


def _ended(job: Job, now: str) -> Job:
    return replace(
        job.as_erased().nobodys(), completed_at=now, updated_at=now, started_at=job.started_at or job.created_at
    )
