"""Removal: deletes what a task covers, as it is found, many in a transaction, and announces it to webhooks.

Up to MOST_ANNOUNCED memories are announced one by one, more in one delivery. How many there are is known at the end
only. So where a webhook wants deletions, what is found is held until it is more than that, or until the end. Then
everything that was held is removed. One delivery at the end stands for a removal that is larger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from forgetless.domain.bulk_jobs import BulkJob, Progress, owners_of
from forgetless.domain.errors import DependencyError, LedgerError, VersionConflictError
from forgetless.domain.filters.evaluate import Matcher
from forgetless.domain.key_limits import KeyLimits
from forgetless.domain.limits import MOST_ANNOUNCED, SCRUB_PATIENCE_S
from forgetless.domain.memory import EventKind, Memory
from forgetless.domain.webhook_deliveries import Summary
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.ports.request_ledger import MemoryPage
from forgetless.service.access.limited_ledger import LimitedLedger
from forgetless.service.conflict_retry import ConflictRetry
from forgetless.service.history_portions import few_of, light_page
from forgetless.service.jobs.bulk import has_moved
from forgetless.service.merged_lists import list_spelled
from forgetless.service.webhooks.outbox import WebhookOutbox
from forgetless.service.writing.erase_memories import MemoryEraser

__all__ = ["Removal", "RemovalTask", "Remover", "Scan"]

#: How many memories are read, and at most removed, in one step.
STEP = 200
#: A portion ends after this many steps, even if its time is not over.
MOST_STEPS = 100
#: The key of a cursor that says that everything is removed, but erased text may still be in the ledger's files.
_SCRUB = "scrub"


@dataclass(frozen=True, slots=True)
class RemovalTask:
    """What is removed: of the memories with these ids, those that are covered at the moment when they are removed."""

    tenant: str
    ids: Mapping[str, str]
    #: Judges a memory. A `Matcher` also says when it has done as much work as a page may cost.
    covers: Callable[[Memory], bool]
    #: The id of the job, from which the ids of the events and of the delivery come.
    name: str
    #: If there are any, only what is within the limits of the key that asked.
    limits: KeyLimits | None = None
    #: Whether nothing more may be removed, because the job has been cancelled or its time is over. It is asked after
    #: each transaction.
    stopped: Callable[[], bool] = lambda: False
    #: Is called before anything is removed: what it writes is there when the first memory goes.
    before: Callable[[], None] = lambda: None

    def covered(self, memories: Iterable[Memory]) -> tuple[list[Memory], int]:
        """Those of the memories that are covered, and how many of them were judged: at least the first one."""
        found, judged = [], 0
        if isinstance(self.covers, Matcher):
            self.covers.rested()
        for memory in memories:
            if judged and isinstance(self.covers, Matcher) and self.covers.exhausted:
                break
            judged += 1
            if self.covers(memory):
                found.append(memory)
        return found, judged


@dataclass(frozen=True, slots=True)
class Removal:
    """How far a removal has come, as a part of a job's cursor."""

    #: What was found, but is not removed yet.
    held: tuple[str, ...] = ()
    #: Whether one delivery stands for all.
    many: bool = False
    removed: int = 0

    def state(self) -> dict[str, Any]:
        """The removal as JSON."""
        return {"held": list(self.held), "many": self.many, "removed": self.removed}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Removal:
        """The removal that `state` gave."""
        return cls(tuple(state["held"]), state["many"], state["removed"])


@dataclass(frozen=True, slots=True)
class Scan:
    """Where a removal is that goes through one list of memories."""

    page: str | None = None
    ended: bool = False
    removal: Removal = field(default_factory=Removal)

    def cursor(self) -> dict[str, Any]:
        """The place as the cursor of a bulk job."""
        return {"page": self.page, "ended": self.ended, "removal": self.removal.state()}

    @classmethod
    def of(cls, cursor: Mapping[str, Any]) -> Scan:
        """The place that `cursor` gave."""
        return cls(cursor["page"], cursor["ended"], Removal.of(cursor["removal"]))


class Remover:
    """Removes memories; whoever uses it gives it the ledger that shows what may be removed."""

    def __init__(self, *, ledger: Ledger, eraser: MemoryEraser, outbox: WebhookOutbox, clock: Clock) -> None:
        self._ledger = ledger
        self._eraser = eraser
        self._outbox = outbox
        self._clock = clock

    def owners(self, tenant: str, users: Iterable[str]) -> list[str]:
        """What stands for these users in a job's record when it has ended."""
        return owners_of(self._ledger.digest_key(), tenant, users)

    def begin(self, tenant: str) -> Removal:
        """The removal before anything is removed."""
        return Removal(many=not self._outbox.wants(tenant, EventKind.DELETE))

    def page(
        self, task: RemovalTask, ids: Mapping[str, str], cursor: str | None, removal: Removal, *, limit: int
    ) -> tuple[str | None, Removal]:
        """Remove or hold what the task covers of one page of the memories with these ids; returns the next cursor.

        Raises VersionConflictError if others keep changing the memories of the page.
        """
        shown = self._ledger if task.limits is None else LimitedLedger(self._ledger, task.limits)
        retry = ConflictRetry(self._clock)

        def read(few: int) -> MemoryPage:
            return list_spelled(shown, task.tenant, ids, limit=few, cursor=cursor, superseded=True)

        while True:
            # What is only held costs nothing yet.
            found = light_page(read, limit) if removal.many else read(limit)
            covered, judged = task.covered(found.items)
            cursor_after = found.cursor if judged == len(found.items) else read(judged).cursor
            try:
                return cursor_after, self._take(task, removal, covered)
            except VersionConflictError:
                if not retry.again():
                    raise

    def finish(self, task: RemovalTask, removal: Removal) -> Removal:
        """Remove what is held and announce what is not announced yet. It may be done again.

        If something is still held then, the task was stopped or met an error, and it has not ended.
        """
        if removal.held:
            removal = self._remove_held(task, removal)
        if removal.many and removal.removed and not removal.held:
            summary = Summary(EventKind.DELETE, task.ids, removal.removed)
            self._outbox.record_summary(task.tenant, summary, once=task.name)
        return removal

    def step(self, task: RemovalTask, scan: Scan) -> Scan:
        """Remove or hold what the task covers of the next page of its list."""
        page, removal = self.page(task, task.ids, scan.page, scan.removal, limit=STEP)
        return Scan(page, page is None, removal)

    def portion(self, task: RemovalTask, job: BulkJob, *, deadline: float) -> Progress:
        """A portion of a job that goes through the task's list; see `service.jobs.bulk.PortionWork`."""
        if self.is_scrubbing(job):
            return self.scrubbed(job)
        task = replace(task, stopped=lambda: self._clock.monotonic() >= deadline or has_moved(self._ledger, job))
        begin = scan = Scan.of(job.cursor) if job.cursor is not None else Scan(removal=self.begin(task.tenant))
        try:
            for _ in range(MOST_STEPS):
                if scan.ended or (scan is not begin and task.stopped()):
                    break
                scan = self.step(task, scan)
            if scan.ended:
                scan = replace(scan, removal=self.finish(task, scan.removal))
                if not scan.removal.held:
                    return self.ended(scan.removal.removed)
        except (DependencyError, VersionConflictError):
            if scan is begin:
                raise  # otherwise, what was done before it is recorded; the next portion meets the same error
        return Progress(scan.cursor(), scan.removal.removed)

    def ended(self, removed: int, *, patience_s: float = SCRUB_PATIENCE_S) -> Progress:
        """The progress of a job that has removed everything: it ends when the ledger's files have lost it as well."""
        scrubbed = self._ledger.scrub_erased(patience_s=patience_s)
        return Progress(None if scrubbed else {_SCRUB: True}, removed, removed)

    def is_scrubbing(self, job: BulkJob) -> bool:
        """Whether only the ledger's files may still have something of what the job has removed."""
        return job.cursor is not None and _SCRUB in job.cursor

    def scrubbed(self, job: BulkJob) -> Progress:
        """The end of such a job; raises LedgerError, so that it is tried again, if readers are in the way."""
        if not self._ledger.scrub_erased():
            raise LedgerError("erased text is still in the ledger's log, because others are reading it")
        return Progress(None, job.done, job.done)

    def _take(self, task: RemovalTask, removal: Removal, found: list[Memory]) -> Removal:
        if not found:
            return removal
        if removal.many:
            task.before()
            self._eraser.erase(found, request_name=task.name, announced=False)
            return replace(removal, removed=removal.removed + len(found))
        held = tuple(dict.fromkeys((*removal.held, *(memory.id for memory in found))))
        if len(held) <= MOST_ANNOUNCED:
            return replace(removal, held=held)
        return self._remove_held(task, replace(removal, held=held, many=True))

    def _remove_held(self, task: RemovalTask, removal: Removal) -> Removal:
        """Remove what is held. What a stop or an error leaves of it stays held."""
        now = removal
        while now.held:
            try:
                looked_at, removed = self._remove_some(task, now.held[:STEP], announced=not now.many)
            except (DependencyError, VersionConflictError):
                if now is removal:
                    raise
                break
            now = replace(now, held=now.held[looked_at:], removed=now.removed + removed)
            if now.held and task.stopped():
                break
        return now

    def _remove_some(self, task: RemovalTask, held: tuple[str, ...], *, announced: bool) -> tuple[int, int]:
        """Remove the first of these memories, as far as the task still covers them; returns how many were looked at.

        The second number is how many were removed.
        """
        retry = ConflictRetry(self._clock)
        while True:
            found = self._ledger.read(task.tenant, held)
            living = [found[id_] for id_ in held if id_ in found and not found[id_].deleted]
            those, judged = task.covered(living)
            if judged < len(living):
                held = held[: held.index(living[judged].id)]
            covered = {memory.id: memory for memory in those}
            weights = {id_: memory.all_bytes for id_, memory in covered.items()}
            few = few_of(held, partial(_weight, weights))
            there = [covered[id_] for id_ in held[:few] if id_ in covered]
            if not there:
                return few, 0
            task.before()
            try:
                self._eraser.erase(there, request_name=task.name, announced=announced)
            except VersionConflictError:
                if not retry.again():
                    raise
            else:
                return few, len(there)


def _weight(weights: Mapping[str, int], id_: str) -> int:
    return weights.get(id_, 0)
