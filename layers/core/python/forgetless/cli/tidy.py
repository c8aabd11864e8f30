"""The command `tidy`: removes what no record needs any more from the ledger, and gives its space back."""

from __future__ import annotations

import argparse
import os
from contextlib import closing
from pathlib import Path

from forgetless.adapters.ledger_sqlite.usage_lock import alone
from forgetless.cli.progress import progress
from forgetless.domain.errors import InvalidRequestError, LedgerError
from forgetless.runtime.composition import build_ledger
from forgetless.runtime.settings import Settings
from forgetless.service.projects.left_documents import remove_left_documents

__all__ = ["add_tidy_command"]

OK = 0
#: While a larger file is written anew, writers of a running service may wait longer than they are willing to.
MOST_BYTES_BESIDE_A_SERVICE = 128 * 1024 * 1024


def add_tidy_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    tidy = commands.add_parser(
        "tidy",
        help="remove what the ledger no longer needs, and give its space back",
        description="Feedback that earlier versions left when its memory was deleted is removed. The SQLite file is "
        "written anew without empty rows; the service may run meanwhile. With DynamoDB, jobs that ended under an "
        "earlier version get the time at which they expire.",
    )
    tidy.add_argument(
        "--anyway", action="store_true", help="also if the file is large and the service runs: adds may fail meanwhile"
    )
    tidy.set_defaults(run=_tidy)


def _tidy(settings: Settings, options: argparse.Namespace) -> int:
    if settings.ledger == "sqlite":
        _check(Path(settings.ledger_path), anyway=options.anyway)
        # If SQLite needs a file for its working copy, it is as private as the ledger, and there is as much space.
        os.environ.setdefault("SQLITE_TMPDIR", str(Path(settings.ledger_path).absolute().parent))
    with closing(build_ledger(settings)) as ledger, progress("tidy", "") as tell:
        ledger.tidy()
        left = remove_left_documents(ledger)
        done = ledger.compact(tell)
    if left:
        print(f"{left:,} records of feedback removed, whose memories an earlier version deleted")
    if settings.ledger != "sqlite":
        print(f"{settings.ledger_table}: {done.rows:,} ended jobs now expire")
        return OK
    freed = max(0, done.bytes_before - done.bytes_after)
    print(
        f"{settings.ledger_path}: {done.rows:,} empty rows removed, {freed:,} bytes given back "
        f"({done.bytes_before:,} before, {done.bytes_after:,} now)"
    )
    return OK


def _check(place: Path, *, anyway: bool) -> None:
    if not place.is_file() or place.stat().st_size == 0:
        raise InvalidRequestError(f"there is no ledger at {place}; set FORGETLESS_LEDGER_PATH to its file")
    if anyway or place.stat().st_size <= MOST_BYTES_BESIDE_A_SERVICE:
        return
    try:
        with alone(place):
            pass
    except LedgerError:
        raise InvalidRequestError(
            f"{place} is larger than {MOST_BYTES_BESIDE_A_SERVICE // 1024**2} MB and in use: writers would wait until "
            "it has been written anew. Stop the service first (make down), or give --anyway"
        ) from None
