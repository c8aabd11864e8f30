"""The commands `export` and `import`: files of JSON lines, from and to a ledger on this machine or a service."""

from __future__ import annotations

import argparse
import codecs
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.erasure_log_file import read_log
from forgetless.cli.export_file import ExportSource, export_file, told_what_stays
from forgetless.cli.formats.history_db import HistoryDb
from forgetless.cli.formats.notes import Notes
from forgetless.cli.formats.recognise import EXPECTED
from forgetless.cli.import_file import ImportTarget, SourceFile, import_file
from forgetless.cli.import_verify import CheckTarget, comparison, verified_counts
from forgetless.cli.private_files import replacing
from forgetless.cli.progress import Tell, progress
from forgetless.cli.service import RemoteExports, RemoteImports, Service, read_key
from forgetless.cli.text import printable, printable_json
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.identifiers import new_identifier
from forgetless.domain.limits import PORTION_BYTES, RequestLimits
from forgetless.domain.scope import SCOPE_IDS
from forgetless.ports.ledger import Ledger
from forgetless.runtime.composition import build_ledger, build_services
from forgetless.runtime.settings import Settings
from forgetless.service.access.audit import AuditLog
from forgetless.service.access.hiding_operator_ledger import HidingOperatorLedger
from forgetless.service.transfer.erased_lines import ErasedLines
from forgetless.service.transfer.event_export import EventExport
from forgetless.service.transfer.export_jobs import ExportAnswer, ExportJobs, ExportPlace
from forgetless.service.transfer.import_check import ImportCheck, ImportCounts
from forgetless.service.transfer.import_jobs import ImportJobs, ImportPlace
from forgetless.service.transfer.person_export import PersonExport
from forgetless.service.webhooks.outbox import WebhookOutbox

__all__ = ["INCOMPLETE", "add_transfer_commands"]

DEFAULT_TENANT = "default"
#: Everything was imported; some lines were not.
OK, INCOMPLETE = 0, 1
_STAYS_DELETED = (
    "--include-erased: what a ledger has deleted does not come back there by an import; import the file into an empty "
    "ledger, or go back to a backup with: forgetless restore --include-erased FILE"
)
#: The most problems that are named; further ones are only counted.
_NAMED = 20
#: The sizes of a portion that a ledger on this machine exports.
_ENOUGH_BYTES = 1024 * 1024


class CommandTarget(ImportTarget, CheckTarget, Protocol):
    """Where the lines go, and where they are looked for afterwards."""


def add_transfer_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands."""
    export = commands.add_parser("export", help="write the memories of a tenant and their history as JSON lines")
    export.add_argument(
        "file",
        type=Path,
        nargs="?",
        help="the file; an interrupted export continues there (default: standard output)",
    )
    export.add_argument("--out", type=Path, dest="file_of_option", help="the same as FILE")
    for name in SCOPE_IDS:
        what = name.removesuffix("_id")
        export.add_argument(
            f"--{what}", dest=name, metavar="ID", help=f"only what is held about this {what}, in a form of its own"
        )
    export.set_defaults(run=_export)
    import_ = commands.add_parser(
        "import",
        help="import the file of an export, or what mem0, its Platform, its vector stores or OpenMemory have",
        description=f"Import memories: {EXPECTED}.",
    )
    import_.add_argument("file", type=Path, help="the file; `-` is standard input. An interrupted import continues")
    import_.add_argument("--index", action="store_true", help="index the memories now instead of waiting for sweep")
    import_.add_argument(
        "--erasures", type=Path, metavar="LOG", help="leave out what this log covers; `forgetless erasures` writes it"
    )
    import_.add_argument(
        "--include-erased",
        action="store_true",
        help="ignore the log; what was deleted in this very ledger stays deleted nevertheless",
    )
    import_.add_argument("--user", metavar="ID", help="whose the memories are that name no user, agent, app or run")
    import_.add_argument(
        "--history", type=Path, metavar="HISTORY_DB", help="mem0's history.db: import the earlier texts, too"
    )
    import_.add_argument(
        "--verify",
        action="store_true",
        help="count at the end which memories of the file are there, for each id; exit code 1 if one is missing",
    )
    import_.set_defaults(run=_import)
    for command in (export, import_):
        command.add_argument("--tenant", help="the tenant (default: default); with --url, it is the tenant of the key")
        command.add_argument("--url", help="the service; without it, the ledger that the settings name is used")
        command.add_argument(
            "--api-key", help="an administrator's key (default: FORGETLESS_API_KEY, or make up's file)"
        )
        command.add_argument("--afresh", action="store_true", help="begin at the start, whatever was done before")


def _export(settings: Settings, options: argparse.Namespace) -> int:
    path: Path | None = options.file or options.file_of_option
    ids = {name: getattr(options, name) for name in SCOPE_IDS if getattr(options, name) is not None}
    if ids:
        return _export_person(settings, options, ids, path)
    with _source(settings, options) as (source, name):
        if path is not None:
            with told_what_stays(path), progress("export", "events") as tell:
                export_file(source, path, name=name, afresh=options.afresh, tell=tell)
            return OK
        with progress("export", "lines") as tell:
            _print(source.all_lines(), tell)
    return OK


def _export_person(settings: Settings, options: argparse.Namespace, ids: Mapping[str, str], path: Path | None) -> int:
    """Write what is held about a person. It is short enough to begin again after an interruption."""
    if options.url is not None:
        raise InvalidRequestError("--url: an export about one person reads the ledger that the settings name")
    tenant = options.tenant or DEFAULT_TENANT
    with closing(HidingOperatorLedger(build_ledger(settings))) as ledger, progress("export", "lines") as tell:
        person = PersonExport(ledger=ledger, audit=AuditLog(ledger=ledger, clock=SystemClock()))
        portions = person.portions(tenant, ids)
        if path is None:
            _print(portions, tell)
            return OK
        try:
            with replacing(path) as out:
                _print(portions, tell, out)
        except OSError as error:
            raise InvalidRequestError(f"{path}: {error.strerror}") from None
    return OK


def _print(portions: Iterator[bytes], tell: Tell, out: BinaryIO | None = None) -> None:
    """Write the lines to a file or, without characters that a terminal would obey, to standard output."""
    target, lines = out or sys.stdout.buffer, 0
    decoder = codecs.getincrementaldecoder("utf-8")("surrogatepass")
    for portion in portions:
        shown = portion if out is not None else printable_json(decoder.decode(portion)).encode("utf-8", "surrogatepass")
        target.write(shown)
        lines += portion.count(b"\n")
        tell(lines, None)
    target.flush()


def _import(settings: Settings, options: argparse.Namespace) -> int:
    if options.url is not None and options.index:
        raise InvalidRequestError("--index: only without --url; a service indexes the memories by itself, soon after")
    if options.verify and str(options.file) == "-":
        raise InvalidRequestError("--verify: it reads the file twice, so give its path")
    if options.user is not None:
        options.user = new_identifier("--user", options.user)
    problems, without = _Problems(), _without(options)
    with _target(settings, options) as target:
        with _source_file(options, without) as source, progress("import", "lines") as tell:
            place = import_file(
                target, source, afresh=options.afresh, tell=tell, warn=problems.note, clock=SystemClock()
            )
        problems.say_rest(place.refused)
        _report(place, source.notes, without, options)
        verified = _verify(target, options) if options.verify else True
    if options.index:
        with closing(build_services(settings)) as services:
            count = services.sweep.index_pending(options.tenant or DEFAULT_TENANT)
        print(f"indexed {count} memories", file=sys.stderr)
    missing = place.refused or (options.include_erased and place.left_out) or not verified
    return INCOMPLETE if missing else OK


def _report(place: ImportPlace, notes: Notes, without: ErasedLines | None, options: argparse.Namespace) -> None:
    """Say what was imported, and what was not."""
    taken = f"{place.memories} memories with {place.events} events, {place.jobs} jobs"
    print(f"imported: {taken}; not imported: {place.refused}", file=sys.stderr)
    for sentence in notes.sentences():
        print(f"forgetless: {printable(sentence)}", file=sys.stderr)
    if without is not None:
        print(f"left out, because it was erased: {without.left_out} lines", file=sys.stderr)
    if place.left_out:
        print(f"left out, because it was deleted in this ledger: {place.left_out} lines", file=sys.stderr)
        if options.include_erased:
            print(f"forgetless: {_STAYS_DELETED}", file=sys.stderr)


def _verify(target: CommandTarget, options: argparse.Namespace) -> bool:
    """Compare the file with what is there now, and say how they differ; False if they do."""
    with _source_file(options, _without(options)) as source, progress("verify", "lines") as tell:
        counts = verified_counts(target, source, tell=tell)
    for sentence in comparison(counts):
        print(printable(sentence), file=sys.stderr)
    return counts.found == counts.memories


@contextmanager
def _source_file(options: argparse.Namespace, without: ErasedLines | None) -> Iterator[SourceFile]:
    """The file, from its beginning."""
    most_bytes = None if options.url is None else PORTION_BYTES
    with ExitStack() as opened:
        file = opened.enter_context(_opened(options.file))
        history = None
        if options.history is not None:
            history = opened.enter_context(closing(_history(options.history)))
        yield SourceFile(file, options.file, most_bytes=most_bytes, without=without, user=options.user, history=history)


def _history(path: Path) -> HistoryDb:
    try:
        return HistoryDb(path)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"--history: {path}: {error.message}") from None


def _without(options: argparse.Namespace) -> ErasedLines | None:
    """What is left out by the log that the options name."""
    path: Path | None = options.erasures
    if path is None or options.include_erased:
        return None
    try:
        key, of_one, lines = read_log(path)
    except (OSError, ValueError) as error:
        raise InvalidRequestError(f"--erasures: {path}: {getattr(error, 'strerror', None) or error}") from None
    if not of_one:
        raise InvalidRequestError(
            f"--erasures: {path} is the log of all tenants; write that of one with: forgetless erasures FILE"
        )
    return ErasedLines(key, lines)


class _Problems:
    """Says at once what was not imported."""

    def __init__(self) -> None:
        self._count = 0

    def note(self, problem: str) -> None:
        self._count += 1
        if self._count <= _NAMED:
            print(f"forgetless: not imported: {printable(problem)}", file=sys.stderr)

    def say_rest(self, refused: int) -> None:
        if refused > (named := min(self._count, _NAMED)):
            print(f"forgetless: and {refused - named} more", file=sys.stderr)


class _LocalImports:
    """The imports of a ledger on this machine."""

    def __init__(self, ledger: Ledger, tenant: str, limits: RequestLimits) -> None:
        clock = SystemClock()
        outbox = WebhookOutbox(ledger=ledger, clock=clock)
        self._jobs = ImportJobs(ledger=ledger, clock=clock, limits=limits, outbox=outbox)
        self._check = ImportCheck(ledger=ledger, clock=clock, limits=limits)
        self._tenant = tenant

    def begin(self, job_id: str, *, file: str, lines: int | None, afresh: bool) -> ImportPlace:
        return self._jobs.begin(self._tenant, job_id, file=file, lines=lines, afresh=afresh)

    def take(self, job_id: str, body: bytes, *, line: int, before: str, last: bool) -> ImportPlace:
        return self._jobs.take(self._tenant, job_id, body, line=line, before=before, last=last)

    def check(self, body: bytes, *, ours: bool) -> ImportCounts:
        return self._check.count(self._tenant, body, ours=ours)


class _LocalExports:
    """The exports of a ledger on this machine."""

    def __init__(self, ledger: Ledger, tenant: str) -> None:
        self._jobs = ExportJobs(ledger=ledger, clock=SystemClock())
        self._exports = EventExport(ledger=ledger)
        self._tenant = tenant

    def begin(self, job_id: str) -> ExportPlace:
        return self._jobs.begin(self._tenant, job_id)

    def fetch(self, job_id: str, cursor: str | None) -> ExportAnswer:
        return self._jobs.fetch(self._tenant, job_id, cursor, most_bytes=PORTION_BYTES, enough=_ENOUGH_BYTES)

    def all_lines(self) -> Iterator[bytes]:
        return (portion.lines for portion in self._exports.portions(self._tenant))


@contextmanager
def _target(settings: Settings, options: argparse.Namespace) -> Iterator[CommandTarget]:
    if options.url is not None:
        with closing(_service(options)) as service:
            yield RemoteImports(service)
        return
    with closing(HidingOperatorLedger(build_ledger(settings))) as ledger:
        yield _LocalImports(ledger, options.tenant or DEFAULT_TENANT, settings.limits)


@contextmanager
def _source(settings: Settings, options: argparse.Namespace) -> Iterator[tuple[ExportSource, str]]:
    """Where an export's lines come from, and its name for the note beside the file."""
    if options.url is not None:
        with closing(_service(options)) as service:
            yield RemoteExports(service), options.url
        return
    tenant = options.tenant or DEFAULT_TENANT
    with closing(HidingOperatorLedger(build_ledger(settings))) as ledger:
        yield _LocalExports(ledger, tenant), tenant


def _service(options: argparse.Namespace) -> Service:
    if options.tenant is not None:
        raise InvalidRequestError("--tenant: only without --url; a service takes the tenant of the key")
    return Service(options.url, read_key(options.api_key, os.environ), clock=SystemClock())


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    if path.is_fifo() and os.path.lexists(path.resolve()):  # not what a shell makes of <(command), which has a writer
        raise InvalidRequestError(f"{path}: a named pipe has no end of its own: give `-` and send it to standard input")
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidRequestError(f"{path}: {error.strerror}") from None
    with file:
        yield file
