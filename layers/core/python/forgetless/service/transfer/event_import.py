"""Import: stores the lines of an export, or memories from mem0, in a tenant's ledger. A repeat changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.export_lines import is_header, read_record
from forgetless.domain.imported_memory import (
    check_imported,
    check_imported_job,
    check_imported_messages,
    kept_request,
)
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.keys import ApiKey
from forgetless.domain.limits import MAX_IMPORTED_CHARS, RequestLimits
from forgetless.domain.memory import MEMORY_ID, Event, EventKind, Memory, Message
from forgetless.domain.portions import weighed_portions
from forgetless.domain.times import later
from forgetless.domain.usage import UsageKind, Use, day_of
from forgetless.domain.webhook_deliveries import Summary
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.ports.named_ids import note_id, note_scope
from forgetless.service.access.usage_meter import UsageMeter
from forgetless.service.transfer.mem0_history import foreign_events
from forgetless.service.transfer.own_sources import with_own_sources
from forgetless.service.writing.add import one_add
from forgetless.service.writing.infer import LONGEST_LEASE_S, waiting

__all__ = ["BATCH", "EventImport", "ImportReport", "Numbered", "Payer"]

#: The most lines that are stored at once: the memories among them in one transaction, the jobs in another.
BATCH = 200
#: As many sources a memory may have in any case.
_MOST_SOURCES = 1000
#: How many rows of memories and their sources one transaction writes, unless one memory has more.
_ROWS_AT_ONCE = 2000
#: How many bytes of a history are read at once.
_BYTES_AT_ONCE = 512 * 1024
#: A report names at most this many problems; further ones are only counted.
_NAMED = 20

#: Why the history of a memory, or the end of it, is refused.
_OTHER = "the ledger already has another history of it"
_BROKEN = "its next line has not its next version"
_TOO_LONG = "its earlier versions take more bytes than FORGETLESS_MAX_HISTORY_BYTES allows"

#: The names of workers, as they stay recorded of a job that has ended.
_OWNER = re.compile(rf"[a-z]+-{MEMORY_ID.pattern}")
_KINDS = frozenset(map(str, EventKind))

#: The number of a line, for error messages, and its record.
Numbered = tuple[int, Any]
_Read = Event | tuple[Job, list[Message]]


@dataclass(slots=True)
class ImportReport:
    """What an import has done so far, and what its next lines depend on."""

    events: int = 0
    memories: int = 0
    jobs: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)
    #: Events of memories that were deleted in this ledger, with texts that it has erased. They stay erased.
    left_out: int = 0
    #: Whether the header of an export has been read: the lines are those of an export, not mem0's.
    ours: bool = False
    #: The memory of the last event, if that event was refused. Events of it that follow are refused with it.
    refused_memory: str = ""
    #: The memories that the ledger did not have before; None if there are none.
    added: Summary | None = None
    #: The id of the first of them.
    first_added: str = ""

    def add(self, memories: Sequence[Memory]) -> None:
        """Count memories that the ledger did not have before."""
        if memories:
            more = Summary.of(EventKind.ADD, memories)
            self.added = more if self.added is None else self.added.plus(more)
            self.first_added = self.first_added or memories[0].id

    def refuse(self, problem: str) -> None:
        """Count a record that was refused, and name the problem if there are few so far."""
        self.refused += 1
        if len(self.problems) < _NAMED:
            self.problems.append(problem)


@dataclass(frozen=True, slots=True)
class _Here:
    """What the ledger has of a memory: its last version, and the events at the versions that a file has, too."""

    last: Memory | None = None
    beside: Sequence[Event] = ()

    @property
    def version(self) -> int:
        return 0 if self.last is None else self.last.version


_NOT_HERE = _Here()


@dataclass(frozen=True, slots=True)
class Payer:
    """The key that asks for an import. What the file's adds still cost counts for it, whatever key the file names."""

    key: ApiKey
    meter: UsageMeter


class EventImport:
    """Reads the lines of `EventExport` and the records of mem0."""

    def __init__(self, *, ledger: Ledger, clock: Clock, limits: RequestLimits | None = None) -> None:
        self._ledger = ledger
        self._clock = clock
        self._limits = limits or RequestLimits()

    def take(
        self,
        tenant: str,
        records: Iterable[Numbered],
        report: ImportReport | None = None,
        *,
        payer: Payer | None = None,
    ) -> ImportReport:
        """Store all records; the report names those that cannot be stored, and the others are stored nevertheless.

        With the report of the records before, `records` may begin anywhere, even between two events of a memory. The
        memories can be searched once sweep has indexed them. Raises LedgerError, and VersionConflictError when
        somebody changes the same memories meanwhile: import again. With a `payer`, memories may raise
        StoredQuotaError, and an add that has not succeeded, because it runs here, RateLimitedError as well: import
        again when the quotas allow it.
        """
        report = report or ImportReport()
        remaining = iter(records)
        while batch := list(islice(remaining, BATCH)):
            self._take_batch(tenant, batch, report, payer)
        return report

    def _take_batch(self, tenant: str, batch: Sequence[Numbered], report: ImportReport, payer: Payer | None) -> None:
        jobs: list[tuple[Job, list[Message]]] = []
        histories: dict[str, list[Event]] = {}
        for read in self._read(tenant, batch, report):
            if isinstance(read, Event):
                histories.setdefault(read.memory.id, []).append(read)
            else:
                jobs.append(read)
        if jobs:
            self._put_jobs(tenant, jobs, payer)
        report.jobs += len(jobs)
        if payer is not None and histories:
            payer.meter.check(payer.key, None)
        self._append(tenant, list(histories.values()), report, payer)

    def _read(self, tenant: str, records: Iterable[Numbered], report: ImportReport) -> Iterator[_Read]:
        for line, record in records:
            if isinstance(record, Mapping) and is_header(record):
                report.ours = True
                continue
            try:
                yield from self.read(tenant, record, ours=report.ours)
            except InvalidRequestError as error:
                report.refuse(f"line {line}: {error.message}")
            except RecursionError:
                report.refuse(f"line {line}: it nests too deeply to be read")

    def read(self, tenant: str, record: Any, *, ours: bool) -> Sequence[_Read]:
        """What a line says: a job, an event, or all events of a memory of mem0; InvalidRequestError names the fault."""
        if not isinstance(record, Mapping):
            raise InvalidRequestError("expected a JSON object")
        reads: Sequence[_Read] = [read_record(tenant, record)] if ours else self._foreign(tenant, record)
        most_chars = max(self._limits.message_chars, MAX_IMPORTED_CHARS)
        most_sources = max(self._limits.messages, _MOST_SOURCES)
        for one in reads:
            if isinstance(one, Event):
                check_imported(one.memory, most_chars=most_chars, most_sources=most_sources)
                note_id("memory_id", one.memory.id)
                note_scope(one.memory.scope)
            else:
                check_imported_job(*one, prompt_chars=self._limits.prompt_chars, message_chars=most_chars)
                check_imported_messages(one[1], self._limits)
                for scope in {one[0].scope, *(message.scope for message in one[1])}:
                    note_scope(scope)
        return reads

    def _put_jobs(self, tenant: str, jobs: Sequence[tuple[Job, list[Message]]], payer: Payer | None) -> None:
        # What is imported is new here: no earlier erasure of this ledger covers it.
        number = self._ledger.erasure_state(tenant).last
        deleted = self._deleted(tenant, [job for job, _ in jobs])
        now = self._clock.now()
        ready = [
            (
                replace(_as_own(job, said, now), erasures_before=number),
                [replace(one, erasures_before=number) for one in said],
            )
            for job, said in ((job, [] if job.id in deleted else said) for job, said in jobs)
        ]
        if payer is not None:
            for job, said in ready:
                if job.state is not JobState.SUCCEEDED:
                    self._put_paid(job, said, payer)
        self._ledger.put_jobs([one for one in ready if payer is None or one[0].state is JobState.SUCCEEDED])

    def _put_paid(self, job: Job, messages: Sequence[Message], payer: Payer) -> None:
        """Store an add that is to run here, or may be started again here: it counts as one that is accepted now."""
        if self._ledger.job(job.tenant, job.id) is not None:
            return  # it was imported before
        if not job.finished:
            payer.meter.check(payer.key, UsageKind.LLM_TOKENS)
        taken = payer.meter.take(payer.key, UsageKind.ADDS)
        done = False
        try:
            bought = job.paid_by(payer.key.id, at=taken.at)
            done = self._ledger.put_job(bought, messages, used=[one_add(bought)]).payer == bought.payer
        finally:
            payer.meter.settle(taken, done=done)

    def _deleted(self, tenant: str, jobs: Sequence[Job]) -> set[str]:
        """The jobs of which a memory was deleted here. Their messages may say what was deleted, so they stay out.

        It matters only where the job's own record has ended: what the ledger still knows of a job, it does not replace.
        """
        named = [(result["id"], job.id) for job in jobs for result in job.results]
        found = self._ledger.known_ids(tenant, list(dict.fromkeys(id_ for id_, _ in named)))
        return {job_id for id_, job_id in named if found.get(id_)}

    def _foreign(self, tenant: str, record: Mapping[str, Any]) -> list[Event]:
        return foreign_events(tenant, record, now=self._clock.now(), most_chars=self._limits.message_chars)

    def _append(self, tenant: str, histories: list[list[Event]], report: ImportReport, payer: Payer | None) -> None:
        """Append the events that are missing. A history that contradicts the one in the ledger is refused."""
        if not histories:
            return
        number = self._ledger.erasure_state(tenant).last
        held = self._ledger.known_ids(tenant, [history[0].memory.id for history in histories])
        free: list[Event] = []
        paid: list[list[Event]] = []
        for events in histories:
            id_, first = events[0].memory.id, events[0].memory.version
            if id_ == report.refused_memory:
                continue
            history = _connected(events)
            here = self._here(tenant, history) if id_ in held else _NOT_HERE
            reason = _refusal(here, history)
            following = list(_continued(here.last, history[max(0, here.version - first + 1) :], number))
            if reason is None and any(one.memory.history_bytes > self._limits.history_bytes for one in following):
                reason = _TOO_LONG
            if reason is None:
                if payer is not None and _ends_superseded(following) and not _is_superseded(here.last):
                    paid.append(following)
                else:
                    free += following
                gone = [_is_erased(here, event) for event in history]
                report.left_out += sum(gone)
                report.events += len(history) - sum(gone)
                report.memories += first == 1 and not gone[0]
                reason = _BROKEN if events[len(history) :] else None
            if reason is not None:
                report.refuse(f"memory {id_}: {reason}")
                report.refused_memory = id_
        if histories[-1][0].memory.id != report.refused_memory:
            report.refused_memory = ""
        free = with_own_sources(self._ledger, tenant, free)
        # Each transaction ends soon, so that other writers need not wait for a whole portion of many sources.
        for events in weighed_portions(free, _rows_of, most=_ROWS_AT_ONCE, count=len(free)):
            self._ledger.append(events, unique=False)
            _note_added(events, report, payer)
        for one in paid:
            assert payer is not None
            self._store_paid(with_own_sources(self._ledger, tenant, one), payer)
            _note_added(one, report, payer)

    def _here(self, tenant: str, history: Sequence[Event]) -> _Here:
        """What the ledger has of a memory beside these events: no more than that is read, and held without contents."""
        id_, first, last = history[0].memory.id, history[0].memory.version, history[-1].memory.version
        beside: list[Event] = []
        newest, more = None, True
        while more and (following := first + len(beside)) <= last:
            most = _BYTES_AT_ONCE if following < last else 1
            found, more = self._ledger.history_portion(tenant, id_, following, most=most)
            newest = found[-1].memory if found else None
            beside += map(_emptied, found[: last - following + 1])
            if not found:
                break
        if newest is None or more:
            newest = self._ledger.read(tenant, [id_]).get(id_)
            # What an erasure hides looks deleted, and has no history.
            if newest is None or not self._ledger.history_portion(tenant, id_, newest.version, most=1)[0]:
                return _NOT_HERE
        return _Here(newest, beside)

    def _store_paid(self, events: Sequence[Event], payer: Payer) -> None:
        """Append the events of a memory that is superseded; it counts as an add, as it was where it comes from.

        `stored_memories` counts what is live, so that it would bound nothing here.
        """
        taken = payer.meter.take(payer.key, UsageKind.ADDS)
        done = False
        try:
            one = Use(payer.key.tenant, payer.key.id, day_of(taken.at), {UsageKind.ADDS: 1})
            self._ledger.append(events, unique=False, used=[one])
            done = True
        finally:
            payer.meter.settle(taken, done=done)


def _ends_superseded(events: Sequence[Event]) -> bool:
    return bool(events) and _is_superseded(events[-1].memory)


def _is_superseded(memory: Memory | None) -> bool:
    return memory is not None and not memory.deleted and not memory.live


def _emptied(event: Event) -> Event:
    """The event without what it says, except for whether it says anything."""
    bare = replace(event.memory, text=event.memory.text[:1], metadata={}, categories=(), context=(), sources=())
    return replace(event, memory=bare)


def _note_added(events: Sequence[Event], report: ImportReport, payer: Payer | None) -> None:
    added = [event.memory for event in events if event.kind is EventKind.ADD]
    report.add(added)
    if payer is not None:
        payer.meter.note_stored(payer.key, len(added))


def _rows_of(event: Event) -> int:
    return 1 + len(event.memory.context)


def _as_own(job: Job, messages: Sequence[Message], now: str) -> Job:
    """The job as one of this ledger. Whatever else a file says of it would outlive the erasure of its scope.

    That finds a job by its messages: of one that has ended and has none, no ledger keeps whose it was.

    One that has not ended waits: no worker of this ledger has it, and no time of the file holds it back, although the
    clock of the ledger that it comes from may be a little ahead.
    """
    job = replace(job, request=kept_request(job))
    if not job.finished:
        latest = later(now, LONGEST_LEASE_S)
        started_at = None if job.started_at is None else min(job.started_at, latest)
        return replace(waiting(job, min(job.updated_at, latest)), started_at=started_at, results=())
    owner = job.lease_owner if _OWNER.fullmatch(job.lease_owner or "") else None
    failed = job.state is JobState.FAILED
    job = replace(job, lease_owner=owner, results=() if failed else tuple(map(_own_result, job.results)))
    job = job if failed else replace(job, request={}, error=None)
    return job if any(one.scope == job.scope for one in messages) else job.nobodys()


def _own_result(result: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"id": result["id"], "event": result.get("event") if result.get("event") in _KINDS else "ADD"}


def _continued(last: Memory | None, missing: Sequence[Event], number: int) -> Iterator[Event]:
    """The events that follow the last version in the ledger, with what only this ledger can say of them."""
    room = 0 if last is None else last.history_bytes + last.stored_bytes
    for event in missing:
        yield replace(event, memory=replace(event.memory, erasures_before=number, history_bytes=room))
        room += event.memory.stored_bytes


def _connected(events: Sequence[Event]) -> list[Event]:
    """The events from the first one on, until a version is missing or is there again with another content."""
    history: list[Event] = []
    for event in events:
        if history and event.memory.version == history[-1].memory.version and _same(history[-1], event):
            continue
        if history and event.memory.version != history[-1].memory.version + 1:
            break
        history.append(event)
    return history


def _refusal(here: _Here, history: Sequence[Event]) -> str | None:
    """Why the ledger, which has this of a memory, cannot take the `history`; None if it can."""
    before = history[0].memory.version - 1
    if here.version < before:
        return f"its version {before} is missing"
    return _OTHER if _contradict(here.beside, history) else None


def _contradict(one: Sequence[Event], other: Sequence[Event]) -> bool:
    """Whether neither history is the beginning of the other. Texts are not compared, because an erasure blanks them."""
    return any(not _same(mine, theirs) for mine, theirs in zip(one, other, strict=False))


def _same(mine: Event, theirs: Event) -> bool:
    if mine.memory.event_id and theirs.memory.event_id:
        return (mine.kind, mine.memory.event_id) == (theirs.kind, theirs.memory.event_id)
    return _mark(mine) == _mark(theirs)


def _is_erased(here: _Here, event: Event) -> bool:
    """Whether the ledger had the event and has erased its text, because the memory was deleted: it stays erased."""
    if here.last is None or not here.last.deleted or not event.memory.text:
        return False
    return any(mine.memory.version == event.memory.version and not mine.memory.text for mine in here.beside)


def _mark(event: Event) -> tuple[str, int, str, str]:
    memory = event.memory
    # The time of a first version is not compared: a mem0 record without a time gets a new one at each import.
    return (event.kind, memory.version, memory.job_id, memory.updated_at if memory.version > 1 else "")
