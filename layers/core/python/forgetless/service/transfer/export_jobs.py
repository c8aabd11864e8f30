"""ExportJobs: exports that a client drives. It fetches one portion after the other, and the ledger knows the place.

A request for a portion says that everything before it is written to the client's file. So the record of the job never
is ahead of the file, and after a kill the client cuts the file to the recorded size and goes on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from forgetless.domain.bulk_jobs import BulkJob, BulkKind
from forgetless.domain.errors import ConflictError
from forgetless.domain.jobs import JobState
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.transfer.event_export import EventExport
from forgetless.service.transfer.export_portions import full_portion
from forgetless.service.transfer.transfer_jobs import TransferJobs

__all__ = ["ExportAnswer", "ExportJobs", "ExportPlace"]

#: The cursor after the last portion. The request with it ends the job.
END = "end."


@dataclass(frozen=True, slots=True)
class ExportPlace:
    """How far an export has come: the cursor of the next portion (None: the first), and what lies before it."""

    cursor: str | None = None
    bytes: int = 0
    events: int = 0
    ended: bool = False


@dataclass(frozen=True, slots=True)
class ExportAnswer:
    """The lines of a portion, and the place after them; its cursor is None when the export has ended."""

    lines: bytes
    after: ExportPlace


@dataclass(frozen=True, slots=True)
class _Cursor:
    """The cursor of the job's record: the portion that was fetched last, and the one after it."""

    at: str | None = None
    bytes: int = 0
    events: int = 0
    next: str | None = None
    next_bytes: int = 0
    next_events: int = 0

    @classmethod
    def of(cls, job: BulkJob) -> _Cursor:
        return cls(**(job.cursor or {}))


class ExportJobs:
    """The exports of one ledger."""

    def __init__(self, *, ledger: Ledger, clock: Clock) -> None:
        self._jobs = TransferJobs(ledger=ledger, clock=clock, kind=BulkKind.EXPORT)
        self._exports = EventExport(ledger=ledger)

    def begin(self, tenant: str, job_id: str) -> ExportPlace:
        """Begin the export, or go on with it, and return its place; raises ConflictError if it was cancelled."""
        self._jobs.begin(tenant, job_id, {}, total=None)
        job = self._jobs.going_on(tenant, job_id)
        cursor = _Cursor.of(job)
        return ExportPlace(cursor.at, cursor.bytes, cursor.events, job.state is JobState.SUCCEEDED)

    def fetch(self, tenant: str, job_id: str, cursor: str | None, *, most_bytes: int, enough: int) -> ExportAnswer:
        """The portion at `cursor`. All lines before it are now known to be written.

        The last portion is empty: its request says that everything is written. Raises ConflictError for any other
        cursor than that of the last portion or of the one after it.
        """
        job = self._jobs.going_on(tenant, job_id)
        held = _Cursor.of(job)
        if job.state is JobState.SUCCEEDED and cursor == END:
            return _ended(held)
        if cursor == held.at and job.state is not JobState.SUCCEEDED:
            size, events = held.bytes, held.events
        elif cursor is not None and cursor == held.next:
            size, events = held.next_bytes, held.next_events
        else:
            raise ConflictError(
                "cursor: neither the last portion of this export begins there, nor the one after it; begin an export "
                "to see its place"
            )
        if cursor == END:
            held = _Cursor(END, size, events)
            self._jobs.record(job, cursor=asdict(held), done=events, state=JobState.SUCCEEDED)
            return _ended(held)
        portion = full_portion(self._exports, tenant, cursor=cursor, most_bytes=most_bytes, enough=enough)
        held = _Cursor(cursor, size, events, portion.cursor or END, size + len(portion.lines), events + portion.events)
        self._jobs.record(job, cursor=asdict(held), done=events)
        return ExportAnswer(portion.lines, ExportPlace(held.next, held.next_bytes, held.next_events))


def _ended(held: _Cursor) -> ExportAnswer:
    return ExportAnswer(b"", ExportPlace(None, held.bytes, held.events, ended=True))
