"""The commands `check` and `reindex`: whether ledger and index are undamaged and match, and a rebuild of the index."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from forgetless.adapters.clock import SystemClock
from forgetless.cli.progress import progress
from forgetless.cli.text import printable, printable_lines
from forgetless.domain.errors import IndexUnavailableError, LedgerDamagedError, LedgerError, LedgerLostError
from forgetless.domain.generations import Generations, Phase
from forgetless.domain.recipe import Recipe
from forgetless.domain.recipes import RECIPES
from forgetless.ports.index import Index
from forgetless.ports.ledger import Ledger
from forgetless.runtime.composition import (
    build_ledger,
    build_openings,
    build_record,
    build_services,
    is_absent,
    present_generation,
    wanted_generation,
)
from forgetless.runtime.index_note import place_of, read_note, write_note
from forgetless.runtime.settings import Settings
from forgetless.service.access.hiding_operator_ledger import HidingOperatorLedger
from forgetless.service.generations.opened import Openings
from forgetless.service.generations.record import GenerationRecord
from forgetless.service.stores.check import SAMPLES, StoreCheck, damage
from forgetless.service.stores.ledger_identity import (
    IndexNote,
    LedgerIdentity,
    Rebuild,
    new_identity,
    read_identity,
    write_identity,
)
from forgetless.service.stores.old_ids import with_old_ids
from forgetless.service.stores.report import AFRESH, StoreReport, Verdict
from forgetless.service.stores.start import StoreStart, absent_findings, noted_findings, patiently
from forgetless.service.stores.table import lines_of

__all__ = ["INDEX_STALE", "LEDGER_BROKEN", "add_store_commands", "exit_code_of"]

#: Everything is in order; the command failed.
OK, FAILED = 0, 1
#: The index does not match the ledger: rebuild it.
INDEX_STALE = 3
#: The ledger is damaged, or is empty although it once was not: restore it.
LEDGER_BROKEN = 4

#: At most this many memories are counted for a progress bar.
_COUNTED = 1_000_000

_CODES = {Verdict.SOUND: OK, Verdict.INDEX: INDEX_STALE, Verdict.LEDGER: LEDGER_BROKEN}

_CHECK = (
    f"compare the ledger and the index of all tenants; exit codes: {OK} in order, {INDEX_STALE} rebuild the index, "
    f"{LEDGER_BROKEN} the ledger is damaged or lost, {FAILED} a part does not answer"
)


@dataclass(frozen=True, slots=True)
class _Stores:
    """The stores that both commands use."""

    settings: Settings
    ledger: Ledger
    generations: GenerationRecord
    openings: Openings
    marker: Path

    @property
    def known(self) -> Generations:
        """The generations of the index; without a ledger that can be read, the one that the settings ask for."""
        try:
            if not self.absent:
                return patiently(self.generations.now, clock=SystemClock())
        except LedgerError:  # whoever looks into the ledger next says what is wrong
            pass
        return Generations(wanted_generation(self.settings))

    @property
    def index(self) -> Index:
        """The index of the generation that serves."""
        return self.openings.of(self.known.serving).index

    @property
    def recipe(self) -> Recipe:
        """The recipe of that index's rows."""
        return RECIPES[self.known.serving.recipe]

    @property
    def collection(self) -> str:
        return self.known.serving.collection

    @property
    def others(self) -> list[str]:
        """The collections of the other generations."""
        return [one.collection for one in self.known.all[1:]]

    @property
    def absent(self) -> bool:
        """Whether the SQLite file is missing or empty. Opening the ledger would create it."""
        return is_absent(self.settings)

    @property
    def log_left(self) -> bool:
        """Whether the file is missing but its log exists. Opening a new ledger would delete the log."""
        path = Path(self.settings.ledger_path)
        log = path.with_name(f"{path.name}-wal")
        return self.absent and log.exists() and log.stat().st_size > 0


def add_store_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands."""
    check = commands.add_parser("check", help="check the ledger and the index and compare them", description=_CHECK)
    check.add_argument("--tenant", help="compare only this tenant")
    check.add_argument("--samples", type=int, default=SAMPLES, help="samples of each tenant (default: %(default)s)")
    check.add_argument("--thorough", action="store_true", help="read everything inside the ledger")
    check.add_argument("--seconds", type=float, default=60.0, help="limit for checks inside the ledger (default: 60)")
    check.add_argument("--json", action="store_true", help="print the report as JSON")
    check.add_argument(
        "--start",
        action="store_true",
        help="the check before a service starts: the last line is ok, reindex, or fill if the service fills another "
        "index while the present one serves; it fails when the ledger is lost",
    )
    check.add_argument(
        "--accept-empty-ledger",
        action="store_true",
        help="the ledger is empty on purpose: drop the rows of the index (implies --start)",
    )
    check.set_defaults(run=_check)
    reindex = commands.add_parser("reindex", help="rebuild the index from the ledger")
    reindex.add_argument(
        "--afresh", action="store_true", help="drop all rows first, even stray ones; searches find less until it ends"
    )
    reindex.add_argument("--if-needed", action="store_true", help="do it only if check --start says reindex")
    reindex.add_argument("--accept-empty-ledger", action="store_true", help="the same as for check")
    reindex.set_defaults(run=_reindex)
    for command in (check, reindex):
        command.add_argument(
            "--marker",
            type=Path,
            help="the file that says what the index was made from; keep it beside the index's data "
            "(default: beside the ledger)",
        )


def exit_code_of(error: Exception) -> int:
    """The exit code of a command that ended with this error."""
    return LEDGER_BROKEN if isinstance(error, LedgerDamagedError | LedgerLostError) else FAILED


def _check(settings: Settings, options: argparse.Namespace) -> int:
    with _stores(settings, options) as stores:
        if options.start or options.accept_empty_ledger:
            reason = _start(stores, accept_empty=options.accept_empty_ledger)
            print("reindex" if reason else "fill" if _is_filled_beside(stores) else "ok")
            return OK
        report, failure = _report(stores, options)
    code = FAILED if failure and report.verdict is not Verdict.LEDGER else _CODES[report.verdict]
    if options.json:
        verdict = {"verdict": report.verdict, "exit_code": code, "error": failure}
        print(json.dumps({**verdict, **asdict(report)}, indent=1))
        return code
    print("\n".join(map(printable, lines_of(report, whole=not failure))))
    if failure:
        print(printable_lines(f"forgetless: {failure}"), file=sys.stderr)
    return code


def _report(stores: _Stores, options: argparse.Namespace) -> tuple[StoreReport, str]:
    """The report, and the error that kept it from being complete, or ""."""
    note = read_note(stores.marker)
    check = StoreCheck(
        ledger=stores.ledger,
        index=stores.index,
        clock=SystemClock(),
        collection=stores.collection,
        recipe=stores.recipe,
        past_is_filled=stores.known.past_is_filled,
    )
    if stores.absent:
        report = StoreReport(stores.collection, "nothing, because there is no ledger yet")
    else:
        report = check.inside_the_ledger(seconds=options.seconds, thorough=options.thorough)
    if report.findings:
        return report, ""
    try:
        if stores.absent:
            return replace(report, findings=absent_findings(note, stores.index, log_left=stores.log_left)), ""
        collections = {stores.collection, *stores.others}
        report = replace(report, findings=noted_findings(stores.ledger, stores.index, note, collections))
        if report.verdict is Verdict.LEDGER:
            return report, ""
        report = check.beside_each_other(report, tenant=options.tenant, samples=options.samples)
        return with_old_ids(stores.ledger, report), ""
    except LedgerDamagedError as error:
        return replace(report, findings=(damage(error.reason),)), ""
    except (IndexUnavailableError, LedgerError) as error:
        return report, error.message


def _start(stores: _Stores, *, accept_empty: bool) -> str:
    """Why the index must be rebuilt, or "" when it matches; writes the new identity to the ledger and the marker."""
    note = read_note(stores.marker)
    _give_up_unserved(stores)
    start = StoreStart(
        ledger=stores.ledger,
        index=stores.index,
        clock=SystemClock(),
        collection=stores.collection,
        others=stores.others,
        recipe=stores.recipe,
    )
    verdict = start.decide(note, absent=stores.absent, log_left=stores.log_left, accept_empty=accept_empty)
    if verdict.dropped:
        print(f"note: {printable(verdict.dropped)}; as you asked, the rows of the index are dropped")
    if verdict.rebuild:
        print(f"note: the index is rebuilt: {printable(verdict.rebuild)}")
        _serve_wanted(stores)
    known = note.stamps if note is not None and note.ledger == verdict.identity.id else ()
    # Write both identities first, so that the marker matches the ledger even if this process dies in between.
    _mark(stores, verdict.identity, earlier=known[-1:])
    start.settle(verdict.identity)
    _mark(stores, verdict.identity)
    return verdict.rebuild


def _is_filled_beside(stores: _Stores) -> bool:
    """Whether the service that starts now fills another generation; says so."""
    known, wanted = stores.known, wanted_generation(stores.settings)
    # With DynamoDB, an operator begins.
    begins = stores.settings.ledger == "sqlite" and known.lacks(wanted.collection)
    if not begins and not known.worked_on:
        return False
    following = wanted.collection if begins or known.other is None else known.other.collection
    print(f"note: {known.serving.collection} serves until {following} is filled: forgetless generations")
    return True


def _give_up_unserved(stores: _Stores) -> None:
    """Ask for a rebuild if the settings know no embedder for the generation that serves: another took its place."""
    settings, serving = stores.settings, stores.known.serving
    configured = [present_generation(settings), wanted_generation(settings)]
    if any((serving.model, serving.dimensions) == (one.model, one.dimensions) for one in configured):
        return
    print(f"note: no embedder serves {printable(serving.model)} any more, as FORGETLESS_NEXT_EMBEDDER_URL would let it")
    identity = read_identity(stores.ledger) or new_identity()
    # In this order, a command that is killed leaves a request for a rebuild.
    write_identity(stores.ledger, replace(identity, rebuild=Rebuild.NEEDED), clock=SystemClock())
    _serve_wanted(stores)


def _serve_wanted(stores: _Stores) -> None:
    """Let the generation serve that the settings ask for: what is built from nothing can be the right one at once."""
    wanted, now = wanted_generation(stores.settings), SystemClock().now()

    def alone(held: Generations) -> Generations | None:
        gone = [one for one in held.all if one.collection != wanted.collection]
        return held.alone(wanted, now) if gone else None

    stores.generations.change(alone)


def _reindex(settings: Settings, options: argparse.Namespace) -> int:
    with _stores(settings, options) as stores:
        if options.if_needed and not _start(stores, accept_empty=options.accept_empty_ledger):
            _is_filled_beside(stores)
            print(f"{stores.collection} is up to date")
            return OK
        count = _rebuilt(stores, afresh=options.afresh)
    print(f"indexed {count} memories into {stores.collection}")
    return OK


def _rebuilt(stores: _Stores, *, afresh: bool) -> int:
    """Rebuild, or continue a rebuild; `afresh` drops all rows first. Returns the number of indexed memories."""
    identity = read_identity(stores.ledger) or new_identity()
    clock = SystemClock()
    with closing(build_services(stores.settings)) as services:
        if afresh or identity.rebuild is Rebuild.NEEDED:
            # Noted first: a command may be killed before every memory is marked and a run has begun.
            write_identity(stores.ledger, replace(identity, rebuild=Rebuild.NEEDED), clock=clock)
            stores.index.drop_all()
            # So that every process knows what is missing in the index until the run has come there.
            stores.ledger.mark_unindexed(at=clock.now())
            services.reindex_all.begin(afresh=True)
            identity = replace(identity, rebuild=Rebuild.FILLING)
            write_identity(stores.ledger, identity, clock=clock)
        services.reindex_all.begin()
        total = _live(stores.ledger)
        with progress("Indexed", "memories") as tell:
            done = services.reindex_all.finish(lambda count: tell(count, total))
        if done.set_aside:
            print(
                f"{done.set_aside} memories were set aside: they are found by their words at most; the log names them",
                file=sys.stderr,
            )
        count = done.done + services.sweep.index_pending()
    _refuse_a_hole(stores)
    identity = replace(identity, rebuild=Rebuild.NONE)
    write_identity(stores.ledger, identity, clock=clock)
    _mark(stores, identity)
    return count


def _live(ledger: Ledger) -> int | None:
    """The number of live memories, if it is known without much reading."""
    tally = ledger.tally(limit=_COUNTED)
    return tally.live if tally.exact else None


def _refuse_a_hole(stores: _Stores) -> None:
    """Raise IndexUnavailableError if rows are still missing: a rebuild cannot repair the index's own data."""
    check = StoreCheck(
        ledger=stores.ledger,
        index=stores.index,
        clock=SystemClock(),
        collection=stores.collection,
        recipe=stores.recipe,
    )
    report = check.beside_each_other(StoreReport(stores.collection, ""), samples=0)
    lacking = [finding.text for finding in report.findings if finding.remedy != AFRESH]
    if lacking or report.index_answers_with_errors:
        text = lacking[0] if lacking else report.findings[0].text
        raise IndexUnavailableError(f"after the rebuild {text}; stop Milvus, move its data away, start it, and reindex")


def _mark(stores: _Stores, identity: LedgerIdentity, *, earlier: tuple[str, ...] = ()) -> None:
    known = stores.known
    beside = [] if known.phase is Phase.STALE else stores.others
    note = IndexNote(known.serving.collection, identity.id, (*earlier, identity.stamp), tuple(beside))
    write_note(stores.marker, note)


@contextmanager
def _stores(settings: Settings, options: argparse.Namespace) -> Iterator[_Stores]:
    ledger = HidingOperatorLedger(build_ledger(settings))
    openings = build_openings(settings)
    record = build_record(settings, ledger, openings)
    try:
        yield _Stores(settings, ledger, record, openings, place_of(settings, options.marker))
    finally:
        openings.close()
        ledger.close()
