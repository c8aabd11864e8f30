"""Import: stores the lines of an export, or memories from mem0, in a tenant's ledger. A repeat changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.export_lines import is_header, read_record
from forgetless.domain.imported_memory import check_imported
from forgetless.domain.jobs import Job
from forgetless.domain.limits import RequestLimits
from forgetless.domain.memory import Event, EventKind, Memory, Message
from forgetless.domain.webhook_deliveries import Summary
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.transfer.mem0_import import foreign_event
from forgetless.service.webhooks.outbox import WebhookOutbox

__all__ = ["EventImport", "ImportReport", "Numbered"]

#: The most memories in one transaction, each with all its events.
PORTION = 200
#: A report names at most this many problems; further ones are only counted.
_NAMED = 20

#: The number of a line, for error messages, and its record.
Numbered = tuple[int, Any]
_Read = Event | tuple[Job, list[Message]]


@dataclass(slots=True)
class ImportReport:
    """The result of an import: how many events, memories and jobs are now in the ledger, and what was refused."""

    events: int = 0
    memories: int = 0
    jobs: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)
    #: The memories that the ledger did not have before; None if there are none.
    added: Summary | None = None

    def add(self, memories: Sequence[Memory]) -> None:
        """Count memories that the ledger did not have before."""
        if memories:
            more = Summary.of(EventKind.ADD, memories)
            self.added = more if self.added is None else self.added.plus(more)

    def refuse(self, problem: str) -> None:
        """Count a record that was refused, and name the problem if there are few so far."""
        self.refused += 1
        if len(self.problems) < _NAMED:
            self.problems.append(problem)


class EventImport:
    """Reads the lines of `EventExport` and the records of mem0."""

    def __init__(
        self,
        *,
        ledger: RequestLedger,
        clock: Clock,
        limits: RequestLimits | None = None,
        outbox: WebhookOutbox | None = None,
    ) -> None:
        self._ledger = ledger
        self._outbox = outbox
        self._clock = clock
        self._limits = limits or RequestLimits()

    def take(self, tenant: str, records: Iterable[Numbered], report: ImportReport | None = None) -> ImportReport:
        """Store all records; the report names those that cannot be stored, and the others are stored nevertheless.

        The memories can be searched once sweep has indexed them. Webhooks get one delivery about all memories that were
        new, and none about memories that the ledger already had. Raises LedgerError, and VersionConflictError when
        somebody changes the same memories meanwhile: import again.
        """
        report = report or ImportReport()
        try:
            self._take(tenant, records, report)
        finally:
            if self._outbox is not None and report.added is not None:
                self._outbox.record_summary(tenant, report.added)
        return report

    def _take(self, tenant: str, records: Iterable[Numbered], report: ImportReport) -> None:
        portion: list[list[Event]] = []
        for read in self._read(tenant, records, report):
            if not isinstance(read, Event):
                self._put_job(*read)
                report.jobs += 1
            elif portion and portion[-1][0].memory.id == read.memory.id:
                portion[-1].append(read)
            else:
                if len(portion) >= PORTION:
                    self._append(portion, report)
                    portion = []
                portion.append([read])
        self._append(portion, report)

    def _read(self, tenant: str, records: Iterable[Numbered], report: ImportReport) -> Iterator[_Read]:
        ours = False
        for line, record in records:
            if isinstance(record, Mapping) and is_header(record):
                ours = True
                continue
            try:
                if not isinstance(record, Mapping):
                    raise InvalidRequestError("expected a JSON object")
                read = read_record(tenant, record) if ours else self._foreign(tenant, record)
                if isinstance(read, Event):
                    check_imported(read.memory)
                yield read
            except InvalidRequestError as error:
                report.refuse(f"line {line}: {error.message}")

    def _put_job(self, job: Job, messages: Sequence[Message]) -> None:
        # What is imported is new here: no earlier erasure of this ledger covers it.
        number = self._ledger.erasure_state(job.tenant).last
        said = [replace(message, erasures_before=number) for message in messages]
        self._ledger.put_job(replace(job, erasures_before=number), said)

    def _foreign(self, tenant: str, record: Mapping[str, Any]) -> Event:
        return foreign_event(tenant, record, now=self._clock.now(), most_chars=self._limits.message_chars)

    def _append(self, histories: list[list[Event]], report: ImportReport) -> None:
        """Append the events that are missing. A history that contradicts the one in the ledger is refused."""
        if not histories:
            return
        tenant = histories[0][0].memory.scope.tenant
        number = self._ledger.erasure_state(tenant).last
        held = self._ledger.read(tenant, [history[0].memory.id for history in histories])
        fresh: list[Event] = []
        for history in histories:
            id_ = history[0].memory.id
            here = self._ledger.history(tenant, id_) if id_ in held else []
            if _contradict(here, history):
                report.refuse(f"memory {id_}: the ledger already has another history of it")
                continue
            fresh += [
                replace(event, memory=replace(event.memory, erasures_before=number)) for event in history[len(here) :]
            ]
            report.events += len(history)
            report.memories += 1
        if fresh:
            self._ledger.append(fresh, unique=False)
            report.add([event.memory for event in fresh if event.kind is EventKind.ADD])


def _contradict(one: Sequence[Event], other: Sequence[Event]) -> bool:
    """Whether neither history is the beginning of the other. Texts are not compared, because an erasure blanks them."""
    return any(not _same(mine, theirs) for mine, theirs in zip(one, other, strict=False))


def _same(mine: Event, theirs: Event) -> bool:
    if mine.memory.event_id and theirs.memory.event_id:
        return (mine.kind, mine.memory.event_id) == (theirs.kind, theirs.memory.event_id)
    return _mark(mine) == _mark(theirs)


def _mark(event: Event) -> tuple[str, int, str, str]:
    memory = event.memory
    # The time of a first version is not compared: a mem0 record without a time gets a new one at each import.
    return (event.kind, memory.version, memory.job_id, memory.updated_at if memory.version > 1 else "")
