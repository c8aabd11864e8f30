"""Deletes by filter: as far as a request comes, and then in the portions of a bulk job.

There is no marker, unlike for the deletion of a scope: each memory is judged when its portion comes. A memory that is
added or changed meanwhile may be deleted or may stay, as with any two requests at the same time.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from forgetless.domain.bulk_jobs import FILTERS, OWNERS, BulkJob, BulkKind, Progress
from forgetless.domain.errors import DependencyError, VersionConflictError
from forgetless.domain.filters.ast import And, Compare, Field, Operator
from forgetless.domain.filters.evaluate import Matcher
from forgetless.domain.filters.parse_platform import parse_platform_filter
from forgetless.domain.filters.scope_ids import pinned_ids
from forgetless.domain.key_limits import ANY, KeyLimits
from forgetless.domain.limits import ERASE_IN_REQUEST_S, SCANNED_ROWS
from forgetless.ports.clock import Clock
from forgetless.service.jobs.bulk import BulkService
from forgetless.service.jobs.open_deletes import OpenDeletes
from forgetless.service.jobs.removal import STEP, RemovalTask, Remover, Scan
from forgetless.service.requests import ErasedScope
from forgetless.service.writing.erase_memories import FilteredDelete

__all__ = ["MatchingDeletes"]

_logger = logging.getLogger(__name__)


class MatchingDeletes:
    """Begins deletes by filter (a `MatchEraser`), and does the portions of their jobs (a `PortionWork`).

    With `limits`, it begins only deletes of what is within them.
    """

    def __init__(
        self,
        *,
        remover: Remover,
        bulk: BulkService,
        open_deletes: OpenDeletes,
        clock: Clock,
        limits: KeyLimits | None = None,
    ) -> None:
        self._remover = remover
        self._bulk = bulk
        self._open = open_deletes
        self._clock = clock
        self._limits = limits

    def within(self, limits: KeyLimits) -> MatchingDeletes:
        """The same for a key with these limits."""
        return MatchingDeletes(
            remover=self._remover, bulk=self._bulk, open_deletes=self._open, clock=self._clock, limits=limits
        )

    def begin(self, asked: FilteredDelete) -> ErasedScope:
        """See `service.writing.erase_memories.MatchEraser`. Raises LedgerError; TooManyJobsError before any work."""
        self._open.refuse_more(asked.tenant)
        began_at, job_id = self._clock.now(), str(uuid.uuid4())
        request = self._request(asked)
        request[OWNERS] = self._remover.owners(asked.tenant, _users(request))
        progress = self._as_far_as_a_request_comes(_task(asked.tenant, job_id, request))
        tenant, kind, done = asked.tenant, BulkKind.DELETE, progress.done
        if progress.cursor is None:
            self._bulk.record(tenant, kind, request, job_id=job_id, done=done, began_at=began_at)
        else:
            self._open.note(tenant, job_id)
            self._bulk.start(tenant, kind, request, job_id=job_id, cursor=progress.cursor, done=done)
        return ErasedScope(done, job_id)

    def portion(self, job: BulkJob, *, deadline: float) -> Progress:
        """See `service.jobs.bulk.PortionWork`. `done` counts the memories that were deleted."""
        return self._remover.portion(_task(job.tenant, job.id, job.request), job, deadline=deadline)

    def _as_far_as_a_request_comes(self, task: RemovalTask) -> Progress:
        """Look at as many memories as a request may. Whatever stops it is left to the job."""
        give_up = self._clock.monotonic() + ERASE_IN_REQUEST_S
        task = replace(task, stopped=lambda: self._clock.monotonic() >= give_up)
        scan = Scan(removal=self._remover.begin(task.tenant))
        try:
            for _ in range(0, SCANNED_ROWS, STEP):
                scan = self._remover.step(task, scan)
                if scan.ended or self._clock.monotonic() >= give_up:
                    break
            if scan.ended:
                scan = replace(scan, removal=self._remover.finish(task, scan.removal))
                if not scan.removal.held:
                    return self._remover.ended(scan.removal.removed, patience_s=ERASE_IN_REQUEST_S)
        except (DependencyError, VersionConflictError) as error:
            _logger.warning("a delete by filter goes on in the background", extra={"reason": error.message})
        return Progress(scan.cursor(), scan.removal.removed)

    def _request(self, asked: FilteredDelete) -> dict[str, Any]:
        """What the job's record says."""
        request = {"ids": dict(asked.ids), "names": list(asked.names), FILTERS: dict(asked.filters)}
        return (
            request if self._limits is None else request | {key: list(of) for key, of in asdict(self._limits).items()}
        )


def _users(request: Mapping[str, Any]) -> tuple[str, ...]:
    user = request["ids"].get("user_id")
    return (user,) if user else tuple(request.get("users", ()))


def _task(tenant: str, job_id: str, request: Mapping[str, Any]) -> RemovalTask:
    ids = request["ids"]
    present = [Compare(Field(name), Operator.EXISTS) for name in request["names"]]
    where = And((parse_platform_filter(request[FILTERS]), *present))
    return RemovalTask(
        tenant,
        # Ids in the filter narrow the list as well. Where both name one, the list is that of the request's.
        {**pinned_ids(where), **ids},
        Matcher(where),
        job_id,
        _limits(request),
    )


def _limits(request: Mapping[str, Any]) -> KeyLimits | None:
    if "users" not in request:
        return None
    # Jobs of earlier versions know users alone.
    return KeyLimits(tuple(request["users"]), *(tuple(request.get(name, (ANY,))) for name in ("agents", "apps")))
