"""Recognises a damaged SQLite file whose content can be made again, and sets it aside."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

__all__ = ["UnusableFileError", "fault_of", "files_of", "set_aside"]

#: Seconds that the check of one file may take; damage deeper in a large file is found later.
LOOK_SECONDS = 5.0
#: Seconds to wait for a lock that another program holds.
LOCK_SECONDS = 5.0
_STEPS = 10_000
#: The files that SQLite keeps beside a database while it is written.
_BESIDE = ("-journal", "-wal", "-shm")
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
#: The file is shorter than it says. Other errors of the disk are not a damage of the file.
_UNREADABLE = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}


class UnusableFileError(Exception):
    """The file cannot be opened, but it may be sound; the text says what to do."""


def fault_of(database: Path, *, tables: dict[str, set[str]], seconds: float = LOOK_SECONDS) -> str | None:
    """Return what is wrong with a database that nobody else uses; None if it is sound or does not exist.

    ``tables`` are the columns by which the program that owns the file recognises it. Raises UnusableFileError for a
    file that is locked or that we may not open: it may be sound.
    """
    for file in files_of(database):
        if os.path.lexists(file) and not file.is_file():
            return f"{file.name} is {_kind(file)}"
    if not database.exists() or database.stat().st_size == 0:
        return None
    if not os.access(database, os.R_OK | os.W_OK):
        raise UnusableFileError(f"{database} cannot be read and written by this user: change its owner or its mode")
    try:
        with closing(sqlite3.connect(database, timeout=LOCK_SECONDS, isolation_level=None)) as db:
            # This comes first, because it rolls back a transaction that a killed process left open.
            found = _fault_inside(db, tables, seconds)
            (page_size,) = db.execute("PRAGMA page_size").fetchone()
        # SQLite reads the missing rest of a page as zeros.
        return found or (None if database.stat().st_size % page_size == 0 else "it ends within a page")
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0)
        if code & 0xFF in _DAMAGED or code in _UNREADABLE:
            return str(error)
        if code & 0xFF == sqlite3.SQLITE_BUSY:
            raise UnusableFileError(f"another program holds {database}; stop it first") from error
        raise UnusableFileError(f"{database} cannot be opened: {error}") from error


def files_of(database: Path) -> Iterator[Path]:
    """Return the names of all files that may belong to one database, whether they exist or not."""
    yield database
    for suffix in _BESIDE:
        yield database.with_name(database.name + suffix)


def set_aside(database: Path) -> Path:
    """Move a database into a folder beside it whose name holds the time, and return the folder.

    Only the newest such folder is kept.

    Raises OSError when it cannot be moved.
    """
    begin = f"{database.name}.damaged-"
    earlier = list(database.parent.glob(f"{begin}*"))
    folder = _new_folder(database.with_name(begin + time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())))
    # The database comes last: a new database would take a log that was left behind for its own.
    for file in reversed(list(files_of(database))):
        if os.path.lexists(file):
            file.rename(folder / file.name)
    for old in earlier:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def _fault_inside(db: sqlite3.Connection, tables: dict[str, set[str]], seconds: float) -> str | None:
    held = {str(name) for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table, columns in tables.items():
        found = {str(row[1]) for row in db.execute(f"PRAGMA table_info({table})")}
        if held and not columns <= found:
            return "it is another program's file"
    end = time.monotonic() + seconds
    db.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
    try:
        (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return None
        raise
    return None if said == "ok" else " ".join(str(said).replace("*** in database main ***", "").split())


def _kind(file: Path) -> str:
    if file.is_dir():
        return "a folder"
    return "a link that leads nowhere" if file.is_symlink() else "no file"


def _new_folder(wanted: Path) -> Path:
    folder, number = wanted, 1
    while os.path.lexists(folder):
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    folder.mkdir(mode=0o700)
    return folder
