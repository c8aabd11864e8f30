"""Export: all jobs, messages and events of a tenant as lines, in bounded portions that a cursor connects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from forgetless.domain.erasure_log import Moment
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.export_lines import event_line, header_line, job_line
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.memory import Message
from forgetless.ports.ledger import Ledger

__all__ = ["EventExport", "ExportPortion"]

#: The most jobs, or memories, in one portion.
PORTION = 200
#: The phases of an export. The second one is about messages of jobs whose records retention has removed.
_JOBS, _MESSAGES, _EVENTS = "jobs", "messages", "events"


@dataclass(frozen=True, slots=True)
class ExportPortion:
    """Some lines, how many of them are events, and the cursor of the next portion (None at the end)."""

    lines: bytes
    events: int
    cursor: str | None
    #: The phase and the id of the job or memory that the lines are about, if they are about one alone.
    only: tuple[str, str] | None = None


class EventExport:
    """Writes the lines that `EventImport` reads."""

    def __init__(self, *, ledger: Ledger) -> None:
        self._ledger = ledger

    def portions(self, tenant: str, *, cursor: str | None = None) -> Iterator[ExportPortion]:
        """All portions, beginning at `cursor` (None: at the start)."""
        while True:
            portion = self.portion(tenant, cursor=cursor)
            yield portion
            cursor = portion.cursor
            if cursor is None:
                return

    def portion(self, tenant: str, *, cursor: str | None = None, limit: int = PORTION) -> ExportPortion:
        """The portion at `cursor` (None: the first); raises InvalidRequestError for a cursor that no export gave."""
        phase, _, place = (cursor or f"{_JOBS}.").partition(".")
        if phase == _JOBS:
            return self._jobs(tenant, place or None, limit, first=cursor is None)
        if phase == _MESSAGES:
            return self._messages(tenant, place or None, limit)
        if phase == _EVENTS:
            return self._events(tenant, place or None, limit)
        raise InvalidRequestError("cursor: it does not come from an export; leave it out to start at the beginning")

    def _jobs(self, tenant: str, place: str | None, limit: int, *, first: bool) -> ExportPortion:
        lines = [header_line(self._moment(tenant))] if first else []
        jobs, following = self._ledger.jobs(tenant, limit=limit, cursor=place)
        messages = self._ledger.messages_of_jobs(tenant, [job.id for job in jobs])
        lines += [job_line(job, messages.get(job.id, [])) for job in jobs]
        cursor = f"{_JOBS}.{following}" if following else f"{_MESSAGES}."
        return ExportPortion(b"".join(lines), 0, cursor, (_JOBS, jobs[0].id) if len(jobs) == 1 else None)

    def _moment(self, tenant: str) -> Moment | None:
        """The moment at which an export begins. What is erased from now on may be in it."""
        last = self._ledger.erasure_state(tenant).last
        return Moment(self._ledger.incarnation(), last) if last else None

    def _messages(self, tenant: str, place: str | None, limit: int) -> ExportPortion:
        """Each of these jobs is written as one that succeeded without results, so an import keeps its messages."""
        found, following = self._ledger.messages_without_job(tenant, limit=limit, cursor=place)
        ids = list(dict.fromkeys(message.ref.job_id for message in found))
        said = self._ledger.messages_of_jobs(tenant, ids)
        lines = [job_line(_removed_job(said[id_][0]), said[id_]) for id_ in ids if id_ in said]
        cursor = f"{_MESSAGES}.{following}" if following else f"{_EVENTS}."
        return ExportPortion(b"".join(lines), 0, cursor, (_MESSAGES, ids[0]) if len(ids) == 1 else None)

    def _events(self, tenant: str, place: str | None, limit: int) -> ExportPortion:
        page = self._ledger.list_events(tenant, limit=limit, cursor=place)
        lines = [event_line(event) for event in page.items]
        ids = {event.memory.id for event in page.items}
        cursor = f"{_EVENTS}.{page.cursor}" if page.cursor else None
        return ExportPortion(b"".join(lines), len(lines), cursor, (_EVENTS, ids.pop()) if len(ids) == 1 else None)

    def record(self, tenant: str, phase: str, id_: str) -> bytes | None:
        """The lines of one job or, in the phase of events, of one memory; None if there are none."""
        if phase == _JOBS:
            job = self._ledger.job(tenant, id_)
            return None if job is None else job_line(job, self._ledger.job_messages(tenant, id_))
        if phase == _MESSAGES:
            messages = self._ledger.job_messages(tenant, id_)
            return job_line(_removed_job(messages[0]), messages) if messages else None
        return b"".join(event_line(event) for event in self._ledger.history(tenant, id_)) or None


def _removed_job(message: Message) -> Job:
    """What is still known of a job whose record has been removed; `message` is its first one."""
    return Job(message.ref.job_id, message.scope, JobState.SUCCEEDED, message.created_at, message.created_at)
