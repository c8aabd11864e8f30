"""Runs a service, or the commands `import` and `export`, in a process that dies after a chosen step."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.queue_none import NoQueue
from forgetless.api.app import create_app
from forgetless.api.selfhosted.routes import transfer_jobs
from forgetless.cli import import_file
from forgetless.cli.export_file import export_file
from forgetless.ports.ledger import Ledger
from forgetless.service.services import Ports, Services
from forgetless.service.transfer.event_export import EventExport
from forgetless.service.transfer.export_jobs import ExportAnswer, ExportJobs, ExportPlace
from forgetless.service.transfer.import_jobs import ImportJobs, ImportPlace
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.index import MemoryIndex
from tests.faults.fault_injection import watched
from tests.faults.ledgers import OpenLedger
from tests.unit.servers import serve_app

__all__ = ["EXPORT_BYTES", "TENANT", "Order", "Steps", "command", "run_command", "serve_service", "small_portions"]

TENANT = "default"
#: Small, so that there are several portions.
EXPORT_BYTES = 1_500
_IMPORT_BYTES = 600
#: The exit code of a process that died at its step.
DIED = 9

#: What changes something, or tells the other side that something has changed.
_STEPS = frozenset(
    {"ledger.put_document", "ledger.put_jobs", "ledger.append", "target.begin", "target.take", "source.begin"}
    | {"source.fetch", "file.synchronized", "file.replaced", "file.removed"}
)


@dataclass
class Steps:
    """Counts the steps; at the number `die_at` the process ends on the spot."""

    die_at: int | None = None
    seen: list[str] = field(default_factory=list)

    def after(self, call: str) -> None:
        """Note that a call has just returned."""
        if call in _STEPS:
            self.seen.append(call)
            if len(self.seen) == self.die_at:
                os._exit(DIED)


@dataclass(frozen=True)
class Order:
    """What a command shall do, and over which ledger."""

    name: str
    file: Path
    open_ledger: OpenLedger


class _Target:
    def __init__(self, ledger: Ledger) -> None:
        self._jobs = ImportJobs(ledger=ledger, clock=SystemClock())

    def begin(self, job_id: str, *, file: str, lines: int | None, afresh: bool) -> ImportPlace:
        return self._jobs.begin(TENANT, job_id, file=file, lines=lines, afresh=afresh)

    def take(self, job_id: str, body: bytes, *, line: int, before: str, last: bool) -> ImportPlace:
        return self._jobs.take(TENANT, job_id, body, line=line, before=before, last=last)


class _Source:
    def __init__(self, ledger: Ledger) -> None:
        self._jobs = ExportJobs(ledger=ledger, clock=SystemClock())
        self._exports = EventExport(ledger=ledger)

    def begin(self, job_id: str) -> ExportPlace:
        return self._jobs.begin(TENANT, job_id)

    def fetch(self, job_id: str, cursor: str | None) -> ExportAnswer:
        return self._jobs.fetch(TENANT, job_id, cursor, most_bytes=EXPORT_BYTES, enough=EXPORT_BYTES)


@contextmanager
def small_portions() -> Iterator[None]:
    """Let the command and the service use small portions."""
    held = import_file._FIRST_BYTES, import_file._QUICK_S, transfer_jobs.MOST_BYTES, transfer_jobs.ENOUGH_BYTES
    import_file._FIRST_BYTES, import_file._QUICK_S = _IMPORT_BYTES, 0.0
    transfer_jobs.MOST_BYTES = transfer_jobs.ENOUGH_BYTES = EXPORT_BYTES
    try:
        yield
    finally:
        (
            import_file._FIRST_BYTES,
            import_file._QUICK_S,
            transfer_jobs.MOST_BYTES,
            transfer_jobs.ENOUGH_BYTES,
        ) = held


def command(name: str, file: Path, other_side: Any) -> None:
    """Do what the command does, over a target or a source."""
    with small_portions():
        if name == "export":
            export_file(other_side, file, name="here", afresh=False, tell=_tell)
            return
        with file.open("rb") as lines:
            import_file.import_file(
                other_side,
                import_file.SourceFile(lines, file),
                afresh=False,
                tell=_tell,
                warn=_complain,
                clock=SystemClock(),
            )


def run_command(order: Order, die_at: int | None) -> list[str]:
    """Run a command over its ledger, and return its steps unless it dies."""
    steps = Steps(die_at)
    ledger = order.open_ledger()
    over = watched(ledger, "ledger", steps)  # type: ignore[arg-type] - it only needs `after`
    side, name = (_Source(over), "source") if order.name == "export" else (_Target(over), "target")
    with _watched_files(steps):
        command(order.name, order.file, watched(side, name, steps))  # type: ignore[arg-type] - as above
    ledger.close()
    return steps.seen


def serve_service(open_ledger: OpenLedger, listener: socket.socket, die_at: int | None, line: Connection) -> None:
    """Serve the API until the other end of the line is closed, or until the step."""
    steps = Steps(die_at)
    ledger = open_ledger()
    over = watched(ledger, "ledger", steps)  # type: ignore[arg-type] - it only needs `after`
    services = Services(Ports(over, MemoryIndex(), FakeEmbedder(), NoQueue(), SystemClock()))
    with small_portions(), serve_app(create_app(lambda: services, inline=False), listener):
        line.send("ready")
        line.recv()
        line.send(steps.seen)
    ledger.close()


@contextmanager
def _watched_files(steps: Steps) -> Iterator[None]:
    real = os.fsync, Path.replace, Path.unlink

    def fsync(descriptor: int) -> None:
        real[0](descriptor)
        steps.after("file.synchronized")

    def replace(path: Path, to: Path) -> Path:
        moved = real[1](path, to)
        steps.after("file.replaced")
        return moved

    def unlink(path: Path, missing_ok: bool = False) -> None:
        real[2](path, missing_ok)
        steps.after("file.removed")

    os.fsync, Path.replace, Path.unlink = fsync, replace, unlink  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        os.fsync, Path.replace, Path.unlink = real  # type: ignore[method-assign]


def _tell(done: int, total: int | None) -> None:
    pass


def _complain(problem: str) -> None:
    raise AssertionError(problem)
