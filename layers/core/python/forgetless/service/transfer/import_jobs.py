"""ImportJobs: imports that a client drives. It sends the lines of a file in portions, and the ledger knows the place.

A portion may be sent again, whatever became of its first try: lines that are recorded as imported are left out, and
the others, if they were stored before, are repeats. A digest over all lines so far shows whether it is the same file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from forgetless.domain.bulk_jobs import BulkJob, BulkKind
from forgetless.domain.errors import (
    ConflictError,
    InvalidRequestError,
    RateLimitedError,
    StoredQuotaError,
    VersionConflictError,
)
from forgetless.domain.export_lines import parse_line
from forgetless.domain.jobs import JobState
from forgetless.domain.limits import RequestLimits
from forgetless.domain.memory import EventKind
from forgetless.domain.portions import weighed_portions
from forgetless.domain.webhook_deliveries import Summary
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.transfer.event_import import BATCH, EventImport, ImportReport, Numbered, Payer
from forgetless.service.transfer.transfer_jobs import TransferJobs
from forgetless.service.webhooks.outbox import WebhookOutbox

__all__ = ["PORTION_S", "ImportJobs", "ImportPlace", "digest_of", "lines_of", "numbered_records"]

#: A request takes no further lines after this many seconds, so that its function ends in time.
PORTION_S = 10.0
#: The most bytes of lines that are stored at once, unless one line has more.
_BATCH_BYTES = 1024 * 1024
#: How often lines are tried whose memories somebody else is changing.
_TRIES = 4


@dataclass(frozen=True, slots=True)
class ImportPlace:
    """How far an import has come."""

    #: The number of the next line, counted from 1, and the digest of all lines before it.
    line: int = 1
    digest: str = ""
    memories: int = 0
    events: int = 0
    jobs: int = 0
    refused: int = 0
    #: Whether all lines have been imported.
    ended: bool = False
    #: What was refused by this call, in words; further ones are only counted.
    problems: Sequence[str] = ()
    #: The lines of memories that this ledger has deleted: an import does not bring them back.
    left_out: int = 0


@dataclass(slots=True)
class _Progress:
    """The cursor of the job's record."""

    line: int = 1
    digest: str = ""
    memories: int = 0
    events: int = 0
    jobs: int = 0
    ours: bool = False
    refused_memory: str = ""
    #: What is to be announced to webhooks when the import ends: how many memories are new, and which of the ids of the
    #: first one all of them share. The ids themselves are read from it, so that they go when it is erased.
    new: int = 0
    new_memory: str = ""
    shared: list[str] = field(default_factory=list)
    shared_ids: dict[str, str] = field(default_factory=dict)
    refused: int = 0
    problems: list[str] = field(default_factory=list)
    left_out: int = 0

    @classmethod
    def of(cls, job: BulkJob) -> _Progress:
        """The progress that a job has recorded."""
        cursor = dict(job.cursor or {})
        cursor.pop("new_ids", None)  # an earlier version recorded the ids themselves
        return cls(**cursor, refused=job.set_aside)

    def cursor(self) -> dict[str, Any]:
        """What is recorded: no problems, because they may contain words of the lines."""
        # Without new memories, and without lines that were left out, an earlier version can read it.
        apart = {"refused", "problems", "shared_ids", *([] if self.left_out else ["left_out"])}
        apart |= set() if self.new else {"new_memory", "shared"}
        return {name: value for name, value in asdict(self).items() if name not in apart}

    @property
    def added(self) -> Summary | None:
        """The memories that the ledger did not have before."""
        return Summary(EventKind.ADD, self.shared_ids, self.new) if self.new else None

    def announced(self) -> None:
        """Begin to count new memories again."""
        self.new, self.new_memory, self.shared, self.shared_ids = 0, "", [], {}

    def include(self, report: ImportReport) -> None:
        """Add what a part of the import did."""
        self.memories += report.memories
        self.events += report.events
        self.jobs += report.jobs
        self.refused += report.refused
        self.problems += report.problems
        self.left_out += report.left_out
        self.ours, self.refused_memory = report.ours, report.refused_memory

    def include_added(self, report: ImportReport) -> None:
        """Add the memories that are new, which are announced."""
        if report.added is not None:
            added = report.added if self.added is None else self.added.plus(report.added)
            self.new, self.new_memory = added.count, self.new_memory or report.first_added
            self.shared_ids, self.shared = dict(added.scope), sorted(added.scope)

    def place(self, *, ended: bool) -> ImportPlace:
        counts = (self.memories, self.events, self.jobs, self.refused)
        problems = tuple(self.problems)
        return ImportPlace(self.line, self.digest, *counts, ended=ended, problems=problems, left_out=self.left_out)


class ImportJobs:
    """The imports of one ledger.

    When an import ends, webhooks get one delivery about all memories that were new, and none about memories that the
    ledger already had.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        clock: Clock,
        limits: RequestLimits | None = None,
        outbox: WebhookOutbox | None = None,
    ) -> None:
        self._outbox = outbox
        self._ledger = ledger
        self._jobs = TransferJobs(ledger=ledger, clock=clock, kind=BulkKind.IMPORT)
        self._imports = EventImport(ledger=ledger, clock=clock, limits=limits)
        self._clock = clock

    def begin(
        self, tenant: str, job_id: str, *, file: str = "", lines: int | None = None, afresh: bool = False
    ) -> ImportPlace:
        """Begin the import, or go on with it, and return its place.

        An import that succeeded or was cancelled begins again at the first line, as it does with `afresh`. One that
        failed at a line goes on there.
        """
        job = self._jobs.begin(tenant, job_id, {"file": file}, total=lines)
        if afresh or job.finished:
            keep = job.state is JobState.FAILED and not job.cancelled and not afresh
            job = self._jobs.begin_again(job, total=lines, keep_place=keep)
        return _place_of(job)

    def take(
        self,
        tenant: str,
        job_id: str,
        body: bytes,
        *,
        line: int,
        before: str | None = None,
        last: bool = False,
        payer: Payer | None = None,
    ) -> ImportPlace:
        """Import the lines of `body`, the first of which has the number `line`; `last` says that no more will follow.

        `before` is the digest of all lines before; it is compared unless it is None. The place that is returned may
        lie before the end of `body`, when the time was over: send the rest again. Raises InvalidRequestError, with the
        number of the line, for a line that is not JSON: the import then has failed at this line, and the lines before
        it are stored. Raises ConflictError when these are not the lines that follow, and RateLimitedError or
        StoredQuotaError when the payer's quotas do not allow an add of the file: it goes on there when they do again.
        """
        job = self._jobs.going_on(tenant, job_id)
        if job.state is JobState.SUCCEEDED:
            return _place_of(job)
        progress = self._progress(job)
        rest = _following(progress, lines_of(body), line, before)
        if rest is None:
            return _place_of(job)
        try:
            everything = self._store(tenant, rest, progress, payer)
        except InvalidRequestError as error:
            self._record(job, progress, JobState.FAILED, error.message)
            raise
        except (RateLimitedError, StoredQuotaError):
            self._record(job, progress, JobState.RUNNING)
            raise
        ended = last and everything
        return self._record(job, progress, JobState.SUCCEEDED if ended else JobState.RUNNING)

    def _progress(self, job: BulkJob) -> _Progress:
        progress = _Progress.of(job)
        if progress.shared:
            first = self._ledger.read(job.tenant, [progress.new_memory]).get(progress.new_memory)
            ids = {} if first is None else first.scope.ids()
            progress.shared_ids = {name: ids[name] for name in progress.shared if name in ids}
        return progress

    def _store(self, tenant: str, lines: Sequence[bytes], progress: _Progress, payer: Payer | None) -> bool:
        """Store lines until the time is over; False if some remain. Raises InvalidRequestError for a broken line."""
        give_up = self._clock.monotonic() + PORTION_S
        # Few long lines are a batch, too, so that the clock is looked at between them.
        for number, batch in enumerate(weighed_portions(lines, len, most=_BATCH_BYTES, count=BATCH)):
            if number and self._clock.monotonic() >= give_up:
                return False
            records, broken = numbered_records(batch, progress.line)
            self._take(tenant, records, progress, payer)
            whole = len(batch) if broken is None else broken[0] - progress.line
            progress.digest = digest_of(batch[:whole], progress.digest)
            progress.line += whole
            if broken is not None:
                raise InvalidRequestError(f"line {broken[0]}: {broken[1]}")
        return True

    def _take(self, tenant: str, records: Sequence[Numbered], progress: _Progress, payer: Payer | None) -> None:
        for attempt in range(_TRIES):
            report = ImportReport(ours=progress.ours, refused_memory=progress.refused_memory)
            try:
                self._imports.take(tenant, records, report, payer=payer)
                break
            except VersionConflictError:  # the next try sees the other's change
                if attempt == _TRIES - 1:
                    raise
            finally:
                progress.include_added(report)  # what was stored before an error is no longer new to the next try
        progress.include(report)

    def _record(self, job: BulkJob, progress: _Progress, state: JobState, error: str | None = None) -> ImportPlace:
        if state is not JobState.RUNNING and self._outbox is not None and progress.added is not None:
            # If this process dies before the end is recorded, the next one announces the same once more.
            self._outbox.record_summary(job.tenant, progress.added, once=f"{job.id} {job.version}")
            progress.announced()
        try:
            self._jobs.record(
                job,
                cursor=progress.cursor(),
                done=progress.line - 1,
                set_aside=progress.refused,
                state=state,
                error=error,
            )
        except ConflictError:
            # The same portion was sent twice, or the import was cancelled. The other's place counts.
            moved = _place_of(self._jobs.going_on(job.tenant, job.id))
            return replace(moved, problems=tuple(progress.problems))
        return progress.place(ended=state is JobState.SUCCEEDED)


def digest_of(lines: Iterable[bytes], before: str = "") -> str:
    """The digest of all lines up to these, given the digest of those before. It does not depend on the portions."""
    for line in lines:
        before = hashlib.sha256(before.encode() + line).hexdigest()
    return before


def _place_of(job: BulkJob) -> ImportPlace:
    return _Progress.of(job).place(ended=job.state is JobState.SUCCEEDED)


def lines_of(body: bytes) -> list[bytes]:
    """The lines of a portion, without their ends."""
    lines = body.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def _following(progress: _Progress, lines: Sequence[bytes], line: int, before: str | None) -> Sequence[bytes] | None:
    """Those of the lines that are not imported yet; None if the portion is an old one."""
    known = progress.line - line
    if known < 0:
        raise ConflictError(f"line: the next line of this import is {progress.line}, not {line}; go on there")
    if len(lines) < known:
        return None
    if before is not None and digest_of(lines[:known], before) != progress.digest:
        raise ConflictError(
            f"before: the {progress.line - 1} lines that were imported are not those before these ones: the file has "
            "changed; begin the import afresh"
        )
    return lines[known:]


def numbered_records(lines: Sequence[bytes], first: int) -> tuple[list[Numbered], tuple[int, str] | None]:
    """The numbered records of the lines, and the number and fault of the first line that is broken, if one is."""
    records: list[Numbered] = []
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        try:
            records.append((number, parse_line(line)))
        except InvalidRequestError as error:
            return records, (number, error.message)
    return records, None
