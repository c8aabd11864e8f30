"""Copies of a ledger's file with SQLite's backup API: made while others write, and either complete or absent.

A copy is made in a temporary folder beside its target, checked, and only then renamed. It is one file without a log
beside it. Like the ledger, it can be read only by its owner.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from glob import escape
from pathlib import Path

from forgetless.adapters.ledger_sqlite.connections import Connections
from forgetless.adapters.ledger_sqlite.inspection import counts_of
from forgetless.adapters.ledger_sqlite.schema import SCHEMA_VERSION, version_of
from forgetless.adapters.ledger_sqlite.schema_difference import schema_difference
from forgetless.domain.errors import InvalidRequestError, LedgerError

__all__ = ["Tell", "as_one_file", "back_up", "copy_out", "move_to", "read_only", "workplace"]

#: Called with the number of pages copied so far and the total number of pages.
Tell = Callable[[int, int], None]

#: How many pages are copied between two calls of `Tell`.
_PAGES = 2000
#: A folder younger than this many seconds may not be locked yet.
_YOUNG_S = 60.0
#: Errors that come from the copy and not from its source, which is only read.
_OF_THE_COPY = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}


def back_up(connections: Connections, target: Path, tell: Tell) -> dict[str, int]:
    """Copy the ledger's present state to `target`, which is replaced; returns the number of rows by table."""
    with workplace(target) as folder:
        staged = folder / "ledger.db"
        counts = connections.read(lambda raw: _copy(raw, staged, tell))
        _verify(staged, counts)
        move_to(staged, target)
    return counts


def copy_out(source: Path, staged: Path, tell: Tell) -> None:
    """Copy a backup to `staged` and check it; raises InvalidRequestError when it is not an undamaged ledger."""
    try:
        with closing(read_only(source)) as raw:
            tables = {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not {"memories", "events", "texts"} <= tables:
                raise InvalidRequestError(f"{source} is not a backup of a ledger")
            raw.execute("BEGIN")
            _duplicate(raw, staged, tell)
        _refuse_another_schema(staged, source)
        _verify(staged, None)
    except sqlite3.Error as error:
        raise InvalidRequestError(f"{source} cannot be read as a ledger: {error}") from error
    except LedgerError as error:
        raise InvalidRequestError(f"{source} is damaged: {error.message}") from error


def as_one_file(staged: Path) -> dict[str, int]:
    """Remove the log beside a copy that was opened as a ledger; returns the number of rows by table."""
    with closing(sqlite3.connect(staged, isolation_level=None)) as copy:
        copy.execute("PRAGMA journal_mode = DELETE")
        return counts_of(copy)


@contextmanager
def workplace(target: Path) -> Iterator[Path]:
    """A private temporary folder beside `target`; also removes the folders that killed processes left behind."""
    begin = f".{target.name}.part-"
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in target.parent.glob(f"{escape(begin)}*"):
        with _owned(left) as since:
            if since is not None and time.time() - since > _YOUNG_S:
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=begin, dir=target.parent))
    with _owned(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _copy(raw: sqlite3.Connection, staged: Path, tell: Tell) -> dict[str, int]:
    raw.execute("BEGIN")  # one snapshot for the counts and for all pages, however long the copy takes
    try:
        counts = counts_of(raw)
        _duplicate(raw, staged, tell)
        return counts
    finally:
        raw.execute("COMMIT")


def _duplicate(raw: sqlite3.Connection, staged: Path, tell: Tell) -> None:
    with closing(sqlite3.connect(staged, isolation_level=None)) as copy:
        staged.chmod(0o600)
        try:
            raw.backup(copy, pages=_PAGES, progress=lambda _, left, all_: tell(all_ - left, all_), sleep=0.01)
            copy.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF in _OF_THE_COPY:
                raise LedgerError(f"the copy cannot be written: {error}") from error
            raise


def _refuse_another_schema(staged: Path, source: Path) -> None:
    """Raise InvalidRequestError unless the schema is ours. The copy is asked, because the source may change."""
    with closing(sqlite3.connect(staged, isolation_level=None)) as copy:
        version = version_of(copy)
        if version > SCHEMA_VERSION:
            raise InvalidRequestError(
                f"{source} was made by a newer Forgetless (schema {version}), and this one knows the tables up to "
                f"schema {SCHEMA_VERSION}: restore it with the newer one"
            )
        if version < 1:
            raise InvalidRequestError(f"{source} has the schema {version}, which no ledger has")
        if (difference := schema_difference(copy)) is not None:
            raise InvalidRequestError(f"{source} {difference}: somebody has changed this file")


def _verify(staged: Path, counts: dict[str, int] | None) -> None:
    with closing(sqlite3.connect(staged, isolation_level=None)) as copy:
        (said,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if said != "ok":
            raise LedgerError(f"the copy is damaged ({' '.join(said.split())}); check the ledger itself")
        if counts is not None and counts_of(copy) != counts:
            raise LedgerError("the copy does not have the same rows as the ledger; try again")


def read_only(source: Path) -> sqlite3.Connection:
    """Open a file that nobody writes to, with the log beside it if there is one. Creates no files beside it."""
    if not source.is_file():
        raise InvalidRequestError(f"{source} is not a file")
    log = source.with_name(f"{source.name}-wal")
    alone_ = not log.exists() or log.stat().st_size == 0
    where = f"{source.absolute().as_uri()}?mode=ro{'&immutable=1' if alone_ else ''}"
    return sqlite3.connect(where, uri=True, isolation_level=None)


def move_to(staged: Path, target: Path) -> None:
    """Rename a finished copy so that the new name survives a power failure."""
    staged.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _owned(folder: Path) -> Iterator[float | None]:
    """Lock our folder, and yield when it was changed last; None if a living process works in it, or it is not ours.

    Others may write beside it. So a pipe, which would wait for whoever made it, a link and another's folder are left.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        found = os.fstat(descriptor)
        yield found.st_mtime if found.st_uid == os.geteuid() and _locked(descriptor) else None
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
