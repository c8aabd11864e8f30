"""The commands `backup`, `restore` and `checkpoint`: copy the SQLite ledger while it is used, and put a copy back.

`restore` also erases again what was erased after the copy was made, and what was revoked since stays revoked. With
DynamoDB, it only erases again and says which keys are valid: DynamoDB itself restores the table.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.adapters.ledger_sqlite.backup import as_one_file, copy_out, workplace
from forgetless.adapters.ledger_sqlite.restore import (
    beside,
    holds_anything,
    put_in_place,
    refuse_use,
    unfinished_erasures,
)
from forgetless.adapters.ledger_sqlite.restore import tenants_of as tenants_in
from forgetless.cli.progress import progress
from forgetless.cli.restored_keys import AS_ASKED, OF_TABLE, keep_access, told_access
from forgetless.domain.errors import ForgetlessError, InvalidRequestError, LedgerError
from forgetless.ports.erasure_log import ErasureLog
from forgetless.ports.ledger import Ledger
from forgetless.runtime.composition import build_erasure_log, build_ledger
from forgetless.runtime.settings import Settings
from forgetless.service.jobs.erasure_logbook import note_unfinished
from forgetless.service.jobs.erasure_replay import ErasureReplay, ReplayReport, tenants_of
from forgetless.service.stores.copy_marks import note_copy
from forgetless.service.stores.ledger_identity import Rebuild, new_identity, read_identity, write_identity

__all__ = ["add_backup_commands"]

OK = 0

_DYNAMODB = (
    "the ledger is in DynamoDB, which makes its own backups: turn on point-in-time recovery, restore from it to a "
    "new table, name it with FORGETLESS_LEDGER_TABLE, and run forgetless restore (without a file) and forgetless "
    "reindex --afresh"
)


def add_backup_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the three commands."""
    backup = commands.add_parser("backup", help="copy the ledger while the service runs")
    backup.add_argument("target", help="the file of the copy, or a folder, where its name is the time")
    backup.add_argument("--overwrite", action="store_true", help="replace an older copy with this name")
    backup.set_defaults(run=_backup)
    restore = commands.add_parser("restore", help="replace the ledger with a copy while the service is stopped")
    restore.add_argument(
        "source", type=Path, nargs="?", help="the file that backup wrote; none with DynamoDB, whose table is restored"
    )
    restore.add_argument(
        "--include-erased", action="store_true", help="keep what was erased after the copy was made, too"
    )
    restore.add_argument(
        "--replace", action="store_true", help="replace a ledger that has memories; it is kept beside the new one"
    )
    restore.add_argument(
        "--keys-of-copy",
        action="store_true",
        help="let the keys, quotas, webhooks and log-ins of the copy hold, also those that were revoked since; by "
        "default those of the replaced ledger do, if it can be read and is not older than the copy",
    )
    restore.set_defaults(run=_restore)
    checkpoint = commands.add_parser("checkpoint", help="write the ledger's log to its file after the service stops")
    checkpoint.set_defaults(run=_checkpoint)


def _backup(settings: Settings, options: argparse.Namespace) -> int:
    place = _sqlite(settings)
    target = _named(options.target)
    if not place.is_file() or place.stat().st_size == 0:
        raise InvalidRequestError(f"there is no ledger at {place}; set FORGETLESS_LEDGER_PATH to its file")
    if target.resolve() in {file.resolve() for file in (place, *beside(place))}:
        raise InvalidRequestError(f"{target} is the ledger itself; name another file")
    if os.path.lexists(target) and not options.overwrite:
        raise InvalidRequestError(f"{target} already exists; name another file, or give --overwrite")
    with closing(SqliteLedger(place)) as ledger, progress("backup", "pages") as tell, _writing(target):
        # A restore needs the name to know which ledger is later. A full disk must not keep anybody from a backup.
        with suppress(ForgetlessError):
            note_copy(ledger, clock=SystemClock())
        counts = ledger.back_up(target, tell)
    print(f"{target}: {_told(counts)}, {target.stat().st_size:,} bytes, verified")
    return OK


def _restore(settings: Settings, options: argparse.Namespace) -> int:
    if settings.ledger == "dynamodb" and options.source is None:
        return _restored_table(settings, options)
    place, source = _sqlite(settings), options.source
    if source is None:
        raise InvalidRequestError("name the file that backup wrote: forgetless restore FILE")
    if place.exists() and source.exists() and source.samefile(place):
        raise InvalidRequestError(f"{source} is the ledger itself; name a copy of it")
    if holds_anything(place) and not options.replace:
        raise InvalidRequestError(
            f"{place} already has a ledger; give --replace (make restore FILE=... ARGS=--replace) to put the copy "
            "in its place; the old ledger is kept beside it"
        )
    aside = _free(place.parent, f"{place.name}.before-restore-{_moment()}")
    with _writing(place), workplace(place) as folder, progress("restore", "pages") as tell:
        refuse_use(place)  # before the work, and again in put_in_place
        staged = folder / place.name
        copy_out(source, staged, tell)
        with closing(build_erasure_log(settings)) as log:
            note_unfinished(log, *unfinished_erasures(place))
            _migrate(staged)
            # Before the erasures, which also take the keys of tenants that were deleted.
            kept = AS_ASKED if options.keys_of_copy else keep_access(place, staged, log)
            erased = _erase_again(staged, log, include_erased=options.include_erased)
        pending = _unlike_any_index(staged)
        with closing(SqliteLedger(staged)) as ledger:
            told = told_access(ledger, kept)
        counts = as_one_file(staged)
        replaced = put_in_place(staged, place, aside=aside)
    print(f"{place}: {_told(counts)}; {pending:,} must be indexed")
    _say(erased, options)
    print(*told, sep="\n")
    if replaced:
        print(f"the old ledger is now in {aside}; delete it when you no longer need it")
    print("the next `make up` rebuilds the index; elsewhere, run forgetless reindex")
    return OK


def _restored_table(settings: Settings, options: argparse.Namespace) -> int:
    """Erase again in a table that DynamoDB restored, and mark the index as made from another ledger."""
    with closing(build_ledger(settings)) as ledger, closing(build_erasure_log(settings)) as log:
        ledger.tidy()
        with progress("erase again", "memories") as tell:
            again = ErasureReplay(ledger=ledger, log=log, clock=SystemClock())
            erased = again.run(tenants_of(ledger), include_erased=options.include_erased, tell=tell)
        _mark_index(ledger)
        print(f"{settings.ledger_table}: ready")
        _say(erased, options)
        print(*told_access(ledger, OF_TABLE), sep="\n")
    print("now run forgetless reindex, and then let the functions use the table")
    return OK


def _migrate(staged: Path) -> None:
    with closing(SqliteLedger(staged)) as ledger:
        ledger.migrate()


def _erase_again(staged: Path, log: ErasureLog, *, include_erased: bool) -> ReplayReport:
    with closing(SqliteLedger(staged)) as ledger, progress("erase again", "memories") as tell:
        again = ErasureReplay(ledger=ledger, log=log, clock=SystemClock())
        return again.run(tenants_in(staged), include_erased=include_erased, tell=tell)


def _say(erased: ReplayReport, options: argparse.Namespace) -> None:
    if options.include_erased:
        print("what was erased after the copy was made is back, as you asked")
    elif erased.lines:
        print(
            f"erased again, as after the copy was made: {erased.targets:,} users, agents, apps or runs by "
            f"{erased.lines:,} erasures; they are hidden now, and the service removes their rows"
        )


def _mark_index(ledger: Ledger) -> None:
    identity = (read_identity(ledger) or new_identity()).restamped(Rebuild.NEEDED)
    write_identity(ledger, identity, clock=SystemClock())


def _unlike_any_index(staged: Path) -> int:
    """Mark the index as made from another ledger: all memories become pending, and other rows must be removed."""
    with closing(SqliteLedger(staged)) as ledger:
        _mark_index(ledger)
        return ledger.mark_unindexed(at=SystemClock().now())


def _checkpoint(settings: Settings, options: argparse.Namespace) -> int:
    """Open and close the ledger: the last process to close it writes its log, which killed processes do not do."""
    del options
    path = Path(settings.ledger_path)
    if settings.ledger == "sqlite" and path.is_file() and path.stat().st_size > 0:
        with closing(SqliteLedger(path)) as ledger:
            ledger.ping()
    return OK


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise LedgerError(f"{file} cannot be written: {error}") from error


def _sqlite(settings: Settings) -> Path:
    if settings.ledger != "sqlite":
        raise InvalidRequestError(_DYNAMODB)
    return Path(settings.ledger_path)


def _named(given: str) -> Path:
    if not (Path(given).is_dir() or given.endswith(os.sep)):
        return Path(given)
    return _free(Path(given), f"ledger-{_moment()}", ".db")


def _free(folder: Path, begin: str, end: str = "") -> Path:
    """A name that nothing in the folder has: another copy may have been made in the same second."""
    names = (f"{begin}{f'-{number}' if number > 1 else ''}{end}" for number in count(1))
    return next(file for name in names if not os.path.lexists(file := folder / name))


def _moment() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def _told(counts: dict[str, int]) -> str:
    """The counts in words. Memories are those that `check` counts: neither deleted nor superseded."""
    rest = ", ".join(f"{counts[table]:,} {table}" for table in ("events", "messages", "jobs", "keys"))
    return f"{counts['live']:,} memories, {rest}"
