"""Removal: deletes what a task covers, as it is found, many in a transaction, and announces it to webhooks.

Up to MOST_ANNOUNCED memories are announced one by one, more in one delivery. How many there are is known at the end
only. So where a webhook wants deletions, what is found is held until it is more than that, or until the end. Then
everything that was held is removed. One delivery at the end stands for a removal that is larger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from forgetless.domain.bulk_jobs import BulkJob, Progress, owners_of
from forgetless.domain.errors import DependencyError, LedgerError, VersionConflictError
from forgetless.domain.key_limits import KeyLimits
from forgetless.domain.limits import MOST_ANNOUNCED
from forgetless.domain.memory import EventKind, Memory
from forgetless.domain.webhook_deliveries import Summary
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.access.limited_ledger import LimitedLedger
from forgetless.service.conflict_retry import ConflictRetry
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
    covers: Callable[[Memory], bool]
    #: The id of the job, from which the ids of the events and of the delivery come.
    name: str
    #: If there are any, only what is within the limits of the key that asked.
    limits: KeyLimits | None = None


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
        while True:
            found = list_spelled(shown, task.tenant, ids, limit=limit, cursor=cursor, superseded=True)
            try:
                return found.cursor, self._take(task, removal, [one for one in found.items if task.covers(one)])
            except VersionConflictError:
                if not retry.again():
                    raise

    def finish(self, task: RemovalTask, removal: Removal) -> Removal:
        """Remove what is held and announce what is not announced yet. It may be done again."""
        if removal.held:
            removed = self._remove_held(task, removal.held, announced=True)
            return replace(removal, held=(), removed=removal.removed + removed)
        if removal.many and removal.removed:
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
        begin = scan = Scan.of(job.cursor) if job.cursor is not None else Scan(removal=self.begin(task.tenant))
        for _ in range(MOST_STEPS):
            if scan.ended or (scan is not begin and self._clock.monotonic() >= deadline):
                break
            try:
                scan = self.step(task, scan)
            except (DependencyError, VersionConflictError):
                if scan is begin:
                    raise
                break  # what was done before it is recorded; the next portion meets the same error
        if not scan.ended:
            return Progress(scan.cursor(), scan.removal.removed)
        return self.ended(self.finish(task, scan.removal).removed)

    def ended(self, removed: int) -> Progress:
        """The progress of a job that has removed everything: it ends when the ledger's files have lost it as well."""
        return Progress(None if self._ledger.scrub_erased() else {_SCRUB: True}, removed, removed)

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
            self._eraser.erase(task.tenant, found, request_name=task.name, announced=False)
            return replace(removal, removed=removal.removed + len(found))
        held = tuple(dict.fromkeys((*removal.held, *(memory.id for memory in found))))
        if len(held) <= MOST_ANNOUNCED:
            return replace(removal, held=held)
        removed = self._remove_held(task, held, announced=False)
        return Removal(many=True, removed=removal.removed + removed)

    def _remove_held(self, task: RemovalTask, held: tuple[str, ...], *, announced: bool) -> int:
        """Remove those of these memories that the task still covers; returns how many."""
        removed = 0
        for start in range(0, len(held), STEP):
            retry = ConflictRetry(self._clock)
            while True:
                found = self._ledger.read(task.tenant, held[start : start + STEP]).values()
                there = [memory for memory in found if not memory.deleted and task.covers(memory)]
                try:
                    if there:
                        self._eraser.erase(task.tenant, there, request_name=task.name, announced=announced)
                except VersionConflictError:
                    if not retry.again():
                        raise
                else:
                    removed += len(there)
                    break
        return removed
