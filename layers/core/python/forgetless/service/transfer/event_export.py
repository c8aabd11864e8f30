"""Export: all jobs, messages and events of a tenant as lines, in bounded portions that a cursor connects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from forgetless.domain.erasure_log import Moment
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.export_lines import event_line, header_line, job_line
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.memory import Event, Message
from forgetless.ports.ledger import Ledger
from forgetless.service.transfer.jobs_with_messages import jobs_page, removed_jobs_page

__all__ = ["EventExport", "ExportPortion", "removed_job"]

#: The most jobs, or memories, in one portion.
PORTION = 200
#: Where a cursor has the number of the last erasure before the export, if there was one: `events@7.…`.
_SINCE = "@"
#: The phases of an export. The second one is about messages of jobs whose records retention has removed.
_JOBS, _MESSAGES, _EVENTS = "jobs", "messages", "events"

_NO_CURSOR = "cursor: it does not come from an export; leave it out to start at the beginning"


@dataclass(frozen=True, slots=True)
class ExportPortion:
    """Some lines, how many of them are events, and the cursor of the next portion (None at the end)."""

    lines: bytes
    events: int
    cursor: str | None
    #: The phase, as cursors have it, and the id of the job or memory that the lines are about, if it is one alone.
    only: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Phase:
    """A phase of an export, and the number of the tenant's last erasure when the export began."""

    name: str
    since: int = 0

    @classmethod
    def of(cls, text: str) -> _Phase:
        """The phase of a cursor; raises InvalidRequestError if no export gave it."""
        name, _, since = text.partition(_SINCE)
        found = cls(name, int(since) if since.isdecimal() else 0)
        if name not in {_JOBS, _MESSAGES, _EVENTS} or str(found) != text:
            raise InvalidRequestError(_NO_CURSOR)
        return found

    def cursor(self, place: str | None, then: str | None = None) -> str | None:
        """The cursor of this place in the phase or, if there is none, of the beginning of the phase `then`."""
        if place:
            return f"{self}.{place}"
        return then and f"{_Phase(then, self.since)}."

    def __str__(self) -> str:
        return f"{self.name}{_SINCE}{self.since}" if self.since else self.name


class EventExport:
    """Writes the lines that `EventImport` reads."""

    def __init__(self, *, ledger: Ledger) -> None:
        self._ledger = ledger
        self._of_phase: dict[str, Callable[[str, _Phase, str | None, int], ExportPortion]] = {
            _MESSAGES: self._messages,
            _EVENTS: self._events,
        }

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
        if cursor is None:
            moment = self._moment(tenant)
            first = self._jobs(tenant, _Phase(_JOBS, 0 if moment is None else moment.last), None, limit)
            return replace(first, lines=header_line(moment) + first.lines)
        named, _, place = cursor.partition(".")
        phase = _Phase.of(named)
        if phase.name != _JOBS:
            return self._of_phase[phase.name](tenant, phase, place or None, limit)
        if not place:  # where an export without a cursor begins, so no export gives it
            raise InvalidRequestError(_NO_CURSOR)
        return self._jobs(tenant, phase, place, limit)

    def _jobs(self, tenant: str, phase: _Phase, place: str | None, limit: int) -> ExportPortion:
        jobs, following = jobs_page(self._ledger, tenant, limit=limit, cursor=place)
        lines = self._job_lines(phase, jobs)
        only = (str(phase), jobs[0][0].id) if len(jobs) == 1 else None
        return ExportPortion(lines, 0, phase.cursor(following, then=_MESSAGES), only)

    def _messages(self, tenant: str, phase: _Phase, place: str | None, limit: int) -> ExportPortion:
        """Each of these jobs is written as one that succeeded without results, so an import keeps its messages."""
        found, following = removed_jobs_page(self._ledger, tenant, limit=limit, cursor=place)
        lines = self._job_lines(phase, [(removed_job(said), said) for said in found])
        only = (str(phase), found[0][0].ref.job_id) if len(found) == 1 else None
        return ExportPortion(lines, 0, phase.cursor(following, then=_EVENTS), only)

    def _events(self, tenant: str, phase: _Phase, place: str | None, limit: int) -> ExportPortion:
        page = self._ledger.list_events(tenant, limit=limit, cursor=place)
        ids = {event.memory.id for event in page.items}
        only = (str(phase), ids.pop()) if len(ids) == 1 else None
        return ExportPortion(self._event_lines(phase, page.items), len(page.items), phase.cursor(page.cursor), only)

    def record(self, tenant: str, phase: str, id_: str) -> bytes | None:
        """The lines of one job or, in the phase of events, of one memory; None if there are none.

        Raises InvalidRequestError for a phase that no export gave.
        """
        of = _Phase.of(phase)
        if of.name == _EVENTS:
            return self._event_lines(of, self._ledger.history(tenant, id_)) or None
        messages = self._ledger.job_messages(tenant, id_)
        if of.name == _MESSAGES:
            return self._job_lines(of, [(removed_job(messages), messages)]) if messages else None
        job = self._ledger.job(tenant, id_)
        return None if job is None else self._job_lines(of, [(job, messages)])

    def _moment(self, tenant: str) -> Moment | None:
        """The moment at which an export begins. What is erased from now on may be in it."""
        last = self._ledger.erasure_state(tenant).last
        return Moment(self._ledger.incarnation(), last) if last else None

    def _job_lines(self, phase: _Phase, jobs: Sequence[tuple[Job, Sequence[Message]]]) -> bytes:
        numbers = [min([job.erasures_before, *(one.erasures_before for one in messages)]) for job, messages in jobs]
        moments = self._own_moments(phase, numbers)
        return b"".join(job_line(*job, moment) for job, moment in zip(jobs, moments, strict=True))

    def _event_lines(self, phase: _Phase, events: Sequence[Event]) -> bytes:
        moments = self._own_moments(phase, [event.memory.erasures_before for event in events])
        return b"".join(event_line(event, moment) for event, moment in zip(events, moments, strict=True))

    def _own_moments(self, phase: _Phase, numbers: Sequence[int]) -> list[Moment | None]:
        """The moments of what was accepted after an erasure that the first line does not know of.

        An import that leaves out what was erased would leave it out, too, by the number in the first line.
        """
        if all(number <= phase.since for number in numbers):
            return [None] * len(numbers)
        name = self._ledger.incarnation()
        return [Moment(name, number) if number > phase.since else None for number in numbers]


def removed_job(messages: Sequence[Message]) -> Job:
    """What is still known of a job whose record has been removed."""
    first = messages[0]
    job = Job(first.ref.job_id, first.scope, JobState.SUCCEEDED, first.created_at, first.created_at)
    return replace(job, erasures_before=first.erasures_before)
