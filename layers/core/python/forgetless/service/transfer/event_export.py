"""Export: everything of a tenant's memories as lines, in bounded portions that follow each other by a cursor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.export_lines import event_line, header_line, job_line
from forgetless.ports.ledger import Ledger

__all__ = ["EventExport", "ExportPortion"]

#: Jobs, or memories, that one portion holds.
PORTION = 200
_JOBS, _EVENTS = "jobs", "events"


@dataclass(frozen=True, slots=True)
class ExportPortion:
    """Some lines, how many of them are events, and the cursor of what follows (None at the end)."""

    lines: bytes
    events: int
    cursor: str | None


class EventExport:
    """Writes what `EventImport` reads."""

    def __init__(self, *, ledger: Ledger) -> None:
        self._ledger = ledger

    def portions(self, tenant: str, *, cursor: str | None = None) -> Iterator[ExportPortion]:
        """All portions from `cursor` on (None: from the start)."""
        while True:
            portion = self.portion(tenant, cursor=cursor)
            yield portion
            cursor = portion.cursor
            if cursor is None:
                return

    def portion(self, tenant: str, *, cursor: str | None = None, limit: int = PORTION) -> ExportPortion:
        """The next portion; raises InvalidRequestError for a cursor of somebody else."""
        phase, _, place = (cursor or f"{_JOBS}.").partition(".")
        if phase == _JOBS:
            return self._jobs(tenant, place or None, limit, first=cursor is None)
        if phase == _EVENTS:
            return self._events(tenant, place or None, limit)
        raise InvalidRequestError("cursor: not one that an export gave; leave it out to start at the beginning")

    def _jobs(self, tenant: str, place: str | None, limit: int, *, first: bool) -> ExportPortion:
        jobs, following = self._ledger.jobs(tenant, limit=limit, cursor=place)
        lines = [header_line()] if first else []
        lines += [job_line(job, self._ledger.job_messages(tenant, job.id)) for job in jobs]
        return ExportPortion(b"".join(lines), 0, f"{_JOBS}.{following}" if following else f"{_EVENTS}.")

    def _events(self, tenant: str, place: str | None, limit: int) -> ExportPortion:
        page = self._ledger.list_events(tenant, limit=limit, cursor=place)
        lines = [event_line(event) for event in page.items]
        return ExportPortion(b"".join(lines), len(lines), f"{_EVENTS}.{page.cursor}" if page.cursor else None)
