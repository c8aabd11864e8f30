"""The command line's `check` and `reindex`: whether ledger and index are sound and fit each other, and a rebuild."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from forgetless.adapters.clock import SystemClock
from forgetless.domain.errors import IndexUnavailableError, LedgerDamagedError, LedgerError, LedgerLostError
from forgetless.ports.index import Index
from forgetless.ports.ledger import Ledger
from forgetless.runtime.composition import build_index, build_ledger, build_services, collection_name
from forgetless.runtime.index_note import place_of, read_note, write_note
from forgetless.runtime.settings import Settings
from forgetless.service.stores.check import SAMPLES, StoreCheck, damage
from forgetless.service.stores.ledger_identity import (
    IndexNote,
    LedgerIdentity,
    Rebuild,
    new_identity,
    read_identity,
    write_identity,
)
from forgetless.service.stores.report import AFRESH, StoreReport, Verdict
from forgetless.service.stores.start import StoreStart, absent_findings, noted_findings
from forgetless.service.stores.table import lines_of

__all__ = ["INDEX_STALE", "LEDGER_BROKEN", "add_store_commands", "exit_code_of"]

#: Everything is sound; the command could not be done.
OK, FAILED = 0, 1
#: The index does not hold what the ledger does: rebuild it.
INDEX_STALE = 3
#: The ledger is damaged, or empty where it was not: restore it.
LEDGER_BROKEN = 4

_CODES = {Verdict.SOUND: OK, Verdict.INDEX: INDEX_STALE, Verdict.LEDGER: LEDGER_BROKEN}

_CHECK = (
    f"compare ledger and index of all tenants; exit code {OK}: sound, {INDEX_STALE}: the index must be rebuilt, "
    f"{LEDGER_BROKEN}: the ledger is damaged or lost, {FAILED}: a part does not answer"
)


@dataclass(frozen=True, slots=True)
class _Stores:
    """What both commands work on."""

    settings: Settings
    ledger: Ledger
    index: Index
    marker: Path

    @property
    def collection(self) -> str:
        return collection_name(self.settings)

    @property
    def absent(self) -> bool:
        """Whether SQLite's file is not there, or has nothing in it; opening it would make it."""
        path = Path(self.settings.ledger_path)
        return self.settings.ledger == "sqlite" and (not path.exists() or path.stat().st_size == 0)

    @property
    def log_left(self) -> bool:
        """Whether the log of a ledger lies beside where its file should be; opening a new one would delete it."""
        path = Path(self.settings.ledger_path)
        log = path.with_name(f"{path.name}-wal")
        return self.absent and log.exists() and log.stat().st_size > 0


def add_store_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands."""
    check = commands.add_parser("check", help="say whether ledger and index are sound and fit", description=_CHECK)
    check.add_argument("--tenant", help="compare this tenant alone")
    check.add_argument("--samples", type=int, default=SAMPLES, help="of each tenant (default: %(default)s)")
    check.add_argument("--thorough", action="store_true", help="look at all that belongs together inside the ledger")
    check.add_argument("--seconds", type=float, default=60.0, help="for the look into the ledger (default: 60)")
    check.add_argument("--json", action="store_true", help="print the report as JSON")
    check.add_argument(
        "--start",
        action="store_true",
        help="as a service asks before it starts: prints ok or reindex as the last line, fails on a lost ledger",
    )
    check.add_argument(
        "--accept-empty-ledger",
        action="store_true",
        help="an empty ledger beside a full index is meant: drop the index's rows (implies --start)",
    )
    check.set_defaults(run=_check)
    reindex = commands.add_parser("reindex", help="rebuild the index from the ledger")
    reindex.add_argument(
        "--afresh", action="store_true", help="drop all rows first, also those that no memory has; searches miss them"
    )
    reindex.add_argument("--if-needed", action="store_true", help="as check --start asks, and then only if it says so")
    reindex.add_argument("--accept-empty-ledger", action="store_true", help="see check")
    reindex.set_defaults(run=_reindex)
    for command in (check, reindex):
        command.add_argument(
            "--marker",
            type=Path,
            help="the file that tells what the index was made from; keep it beside the index's data "
            "(default: beside the ledger)",
        )


def exit_code_of(error: Exception) -> int:
    """What a command ends with that this error stopped."""
    return LEDGER_BROKEN if isinstance(error, LedgerDamagedError | LedgerLostError) else FAILED


def _check(settings: Settings, options: argparse.Namespace) -> int:
    with _stores(settings, options) as stores:
        if options.start or options.accept_empty_ledger:
            reason = _start(stores, accept_empty=options.accept_empty_ledger)
            print("reindex" if reason else "ok")
            return OK
        report, failure = _report(stores, options)
    code = FAILED if failure and report.verdict is not Verdict.LEDGER else _CODES[report.verdict]
    if options.json:
        verdict = {"verdict": report.verdict, "exit_code": code, "error": failure}
        print(json.dumps({**verdict, **asdict(report)}, indent=1))
        return code
    print("\n".join(lines_of(report, whole=not failure)))
    if failure:
        print(f"forgetless: {failure}", file=sys.stderr)
    return code


def _report(stores: _Stores, options: argparse.Namespace) -> tuple[StoreReport, str]:
    """The report, and what kept it from being whole."""
    note = read_note(stores.marker)
    check = StoreCheck(ledger=stores.ledger, index=stores.index, clock=SystemClock(), collection=stores.collection)
    if stores.absent:
        report = StoreReport(stores.collection, "nothing, for there is no ledger yet")
    else:
        report = check.inside_the_ledger(seconds=options.seconds, thorough=options.thorough)
    if report.findings:
        return report, ""
    try:
        if stores.absent:
            return replace(report, findings=absent_findings(note, stores.index, log_left=stores.log_left)), ""
        report = replace(report, findings=noted_findings(stores.ledger, stores.index, note, stores.collection))
        if report.verdict is Verdict.LEDGER:
            return report, ""
        return check.beside_each_other(report, tenant=options.tenant, samples=options.samples), ""
    except LedgerDamagedError as error:
        return replace(report, findings=(damage(error.reason),)), ""
    except (IndexUnavailableError, LedgerError) as error:
        return report, error.message


def _start(stores: _Stores, *, accept_empty: bool) -> str:
    """Why the index must be rebuilt, empty when it fits; notes in ledger and marker what they are from now on."""
    note = read_note(stores.marker)
    start = StoreStart(ledger=stores.ledger, index=stores.index, clock=SystemClock(), collection=stores.collection)
    verdict = start.decide(note, absent=stores.absent, log_left=stores.log_left, accept_empty=accept_empty)
    if verdict.dropped:
        print(f"note: {verdict.dropped}; this is meant, and the index's rows are dropped")
    if verdict.rebuild:
        print(f"note: the index is made anew: {verdict.rebuild}")
    known = note.stamps if note is not None and note.ledger == verdict.identity.id else ()
    # Whatever ends us in between: the one that stands in the ledger then stands here too.
    _mark(stores, verdict.identity, earlier=known[-1:])
    start.settle(verdict.identity)
    _mark(stores, verdict.identity)
    return verdict.rebuild


def _reindex(settings: Settings, options: argparse.Namespace) -> int:
    with _stores(settings, options) as stores:
        if options.if_needed and not _start(stores, accept_empty=options.accept_empty_ledger):
            print(f"{stores.collection} is up to date")
            return OK
        count = _rebuilt(stores, afresh=options.afresh)
    print(f"indexed {count} memories into {stores.collection}")
    return OK


def _rebuilt(stores: _Stores, *, afresh: bool) -> int:
    """Rebuild, from nothing where that was asked for; one that was interrupted goes on. How many were indexed."""
    identity = read_identity(stores.ledger) or new_identity()
    clock = SystemClock()
    with closing(build_services(stores.settings)) as services:
        if afresh or identity.rebuild is Rebuild.NEEDED:
            stores.index.drop_all()
            stores.ledger.mark_unindexed(at=clock.now())
            identity = replace(identity, rebuild=Rebuild.FILLING)
            write_identity(stores.ledger, identity, clock=clock)
        filling = identity.rebuild is Rebuild.FILLING
        count = services.sweep.index_pending() if filling else services.sweep.index_all()
    _refuse_a_hole(stores)
    identity = replace(identity, rebuild=Rebuild.NONE)
    write_identity(stores.ledger, identity, clock=clock)
    _mark(stores, identity)
    return count


def _refuse_a_hole(stores: _Stores) -> None:
    """An index may take rows and hold none: then its own data is broken beyond what a rebuild mends."""
    check = StoreCheck(ledger=stores.ledger, index=stores.index, clock=SystemClock(), collection=stores.collection)
    report = check.beside_each_other(StoreReport(stores.collection, ""), samples=0)
    lacking = [finding.text for finding in report.findings if finding.remedy != AFRESH]
    if lacking or report.index_answers_with_errors:
        text = lacking[0] if lacking else report.findings[0].text
        raise IndexUnavailableError(f"after the rebuild {text}; stop Milvus, move its data away, start it, and reindex")


def _mark(stores: _Stores, identity: LedgerIdentity, *, earlier: tuple[str, ...] = ()) -> None:
    write_note(stores.marker, IndexNote(stores.collection, identity.id, (*earlier, identity.stamp)))


@contextmanager
def _stores(settings: Settings, options: argparse.Namespace) -> Iterator[_Stores]:
    stores = _Stores(settings, build_ledger(settings), build_index(settings), place_of(settings, options.marker))
    try:
        yield stores
    finally:
        stores.index.close()
        stores.ledger.close()
