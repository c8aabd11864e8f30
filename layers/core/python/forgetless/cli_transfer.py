"""The commands `export` and `import`: files of JSON lines, with a progress bar on a terminal."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from forgetless.adapters.clock import SystemClock
from forgetless.cli_progress import Tell, progress
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.export_lines import parse_line
from forgetless.ports.ledger import Ledger
from forgetless.runtime.composition import build_ledger, build_services
from forgetless.runtime.settings import Settings
from forgetless.service.access.hiding_operator_ledger import HidingOperatorLedger
from forgetless.service.transfer.event_export import EventExport
from forgetless.service.transfer.event_import import EventImport, ImportReport, Numbered
from forgetless.service.webhooks.outbox import WebhookOutbox

__all__ = ["add_transfer_commands", "records_of"]

#: Everything was imported; some lines were not.
OK, INCOMPLETE = 0, 1


def add_transfer_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands."""
    export = commands.add_parser("export", help="write the memories of a tenant and their history as JSON lines")
    export.add_argument("--tenant", default="default", help="the tenant with the memories (default: %(default)s)")
    export.add_argument(
        "--out", type=Path, help="the file; an interrupted export continues there (default: standard output)"
    )
    export.set_defaults(run=_export)
    import_ = commands.add_parser(
        "import", help="import the file of an export, mem0's JSON list, or payloads of its vector store as JSON lines"
    )
    import_.add_argument("file", type=Path, help="the file; `-` is standard input")
    import_.add_argument("--tenant", default="default", help="the tenant that gets the memories (default: %(default)s)")
    import_.add_argument("--index", action="store_true", help="index the memories now instead of waiting for sweep")
    import_.set_defaults(run=_import)


def _export(settings: Settings, options: argparse.Namespace) -> int:
    with _ledger(settings) as ledger, progress("export", "events") as tell:
        if options.out is None:
            _write(EventExport(ledger=ledger), options.tenant, sys.stdout.buffer, tell)
        else:
            _write_file(EventExport(ledger=ledger), options.tenant, options.out, tell)
    return OK


def _write(exports: EventExport, tenant: str, out: BinaryIO, tell: Tell) -> None:
    events = 0
    for portion in exports.portions(tenant):
        out.write(portion.lines)
        events += portion.events
        tell(events, None)
    out.flush()


def _write_file(exports: EventExport, tenant: str, path: Path, tell: Tell) -> None:
    """Write to PATH.part and note the complete part in PATH.progress; both disappear when PATH is complete."""
    part, noted = path.with_name(path.name + ".part"), path.with_name(path.name + ".progress")
    place = _read_progress(noted, tenant) if part.exists() else None
    cursor, size, events = place or (None, 0, 0)
    with _private(part) as out:
        out.truncate(size)
        out.seek(size)
        for portion in exports.portions(tenant, cursor=cursor) if place is None or cursor else ():
            out.write(portion.lines)
            out.flush()
            os.fsync(out.fileno())
            events += portion.events
            note = {"tenant": tenant, "cursor": portion.cursor, "size": out.tell(), "events": events}
            noted.write_text(json.dumps(note), encoding="utf-8")
            tell(events, None)
    part.replace(path)
    noted.unlink(missing_ok=True)


def _private(path: Path) -> BinaryIO:
    # Other users of this machine must not read the memories.
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")


def _read_progress(noted: Path, tenant: str) -> tuple[str | None, int, int] | None:
    try:
        note = json.loads(noted.read_text(encoding="utf-8"))
        return (note["cursor"], note["size"], note["events"]) if note["tenant"] == tenant else None
    except (OSError, ValueError, KeyError):
        return None


def _import(settings: Settings, options: argparse.Namespace) -> int:
    with _ledger(settings) as ledger, _opened(options.file) as (file, size), progress("import", "bytes") as tell:
        clock = SystemClock()
        outbox = WebhookOutbox(ledger=ledger, clock=clock)
        imports = EventImport(ledger=ledger, clock=clock, limits=settings.limits, outbox=outbox)
        report = imports.take(options.tenant, records_of(file, lambda place: tell(place, size)))
    for problem in report.problems:
        print(f"forgetless: not imported: {problem}", file=sys.stderr)
    if report.refused > len(report.problems):
        print(f"forgetless: and {report.refused - len(report.problems)} more", file=sys.stderr)
    _say(report)
    if options.index:
        with closing(build_services(settings)) as services:
            print(f"indexed {services.sweep.index_pending(options.tenant)} memories", file=sys.stderr)
    return INCOMPLETE if report.refused else OK


def _say(report: ImportReport) -> None:
    taken = f"{report.memories} memories with {report.events} events, {report.jobs} jobs"
    print(f"imported: {taken}; not imported: {report.refused}", file=sys.stderr)


def records_of(file: BinaryIO, tell: Callable[[int], None] = lambda _: None) -> Iterator[Numbered]:
    """The records of JSON lines, or of one JSON list (by itself, or under `results` or `memories`)."""
    place = number = 0
    for number, line in enumerate(file, 1):
        place += len(line)
        if not line.strip():
            continue
        if number == 1 and not _is_whole(line):
            yield from _listed(line + file.read())
            return
        record = parse_numbered(number, line)
        if number == 1 and (many := _many(record)) is not None:
            yield from enumerate(many, 1)
            return
        yield number, record
        tell(place)


def parse_numbered(number: int, line: bytes) -> Any:
    """The value of one line of JSON; raises InvalidRequestError, which names the line."""
    try:
        return parse_line(line)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"line {number}: {error.message}") from None


def _is_whole(line: bytes) -> bool:
    try:
        parse_line(line)
    except InvalidRequestError:
        return False
    return True


def _listed(text: bytes) -> Iterator[Numbered]:
    many = _many(parse_numbered(1, text))
    if many is None:
        raise InvalidRequestError("line 1: expected JSON lines, or a list, or an object with results or memories")
    yield from enumerate(many, 1)


def _many(record: Any) -> list[Any] | None:
    if isinstance(record, dict):
        record = record.get("results", record.get("memories"))
    return record if isinstance(record, list) else None


@contextmanager
def _ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = HidingOperatorLedger(build_ledger(settings))
    try:
        yield ledger
    finally:
        ledger.close()


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int | None]]:
    if str(path) == "-":
        yield sys.stdin.buffer, None
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidRequestError(f"{path}: {error.strerror}") from None
    with file:
        yield file, path.stat().st_size
