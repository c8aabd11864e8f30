"""Puts another file in the ledger's place, if no process uses the ledger. The old file is kept beside it."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from forgetless.adapters.ledger_codec import from_blob
from forgetless.adapters.ledger_sqlite.backup import move_to, read_only
from forgetless.adapters.ledger_sqlite.erasures import incarnation_of, open_erasures
from forgetless.adapters.ledger_sqlite.schema import SCHEMA_VERSION, is_usable, version_of
from forgetless.adapters.ledger_sqlite.usage_lock import alone
from forgetless.domain.erasures import Erasure
from forgetless.domain.errors import LedgerError

__all__ = ["beside", "holds_anything", "put_in_place", "refuse_use", "tenants_of", "unfinished_erasures"]

#: A ledger with any of these has content. A key does not count, because every start registers one.
_CONTENT = {
    "memories": "SELECT 1 FROM memories LIMIT 1",
    "jobs": "SELECT 1 FROM jobs LIMIT 1",
    "documents": "SELECT 1 FROM documents WHERE tenant <> x'' LIMIT 1",
}
#: The suffixes of the files that SQLite keeps beside a database.
_BESIDE = ("-wal", "-shm", "-journal")


def holds_anything(place: Path) -> bool:
    """Whether a restore would replace any content; a damaged file or another program's file counts as content."""
    if not place.is_file():
        return place.exists()
    if place.stat().st_size == 0:
        return False
    try:
        with closing(read_only(place)) as raw:
            tables = {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            return bool(tables) and any(
                table not in tables or raw.execute(query).fetchone() for table, query in _CONTENT.items()
            )
    except sqlite3.Error:
        return True


def unfinished_erasures(place: Path) -> tuple[str, list[Erasure]]:
    """The ledger's incarnation and the erasures whose ids it still has, read without writing to it.

    Nothing, if the file is no ledger of a version that has them, or cannot be read.
    """
    if not place.is_file() or place.stat().st_size == 0:
        return "", []
    try:
        with closing(read_only(place)) as raw:
            if version_of(raw) < SCHEMA_VERSION or not is_usable(raw):
                return "", []
            return incarnation_of(raw), open_erasures(raw, each=sys.maxsize)
    except sqlite3.Error:
        return "", []


def tenants_of(staged: Path) -> list[str]:
    """The tenants that have anything in a copy."""
    with closing(sqlite3.connect(staged, isolation_level=None)) as raw:
        query = "SELECT tenant FROM memories UNION SELECT tenant FROM messages UNION SELECT tenant FROM jobs"
        return [from_blob(tenant) for (tenant,) in raw.execute(query)]


def refuse_use(place: Path) -> None:
    """Raise LedgerError when another process has the ledger open."""
    with _held(place):
        pass


def put_in_place(staged: Path, place: Path, *, aside: Path) -> bool:
    """Put a copy in the ledger's place and move the old files into the folder `aside`; returns whether there were any.

    Raises LedgerError when another process has the ledger open, because it would write to the files moved away.
    """
    with _held(place):
        there = [file for file in (place, *beside(place)) if os.path.lexists(file)]
        if there:
            aside.mkdir(mode=0o700)
        # The log is moved first: beside a new file, SQLite would apply it to that file.
        for file in reversed(there):
            _set_aside(file, aside / file.name, stays=file == place)
        move_to(staged, place)
    return bool(there)


def _set_aside(file: Path, name: Path, *, stays: bool) -> None:
    """Move a file. One that `stays` is linked instead, where the disk supports it, so that its place is never empty."""
    if stays:
        try:
            os.link(file, name, follow_symlinks=False)
        except OSError:
            pass
        else:
            return
    file.rename(name)


def beside(place: Path) -> Iterator[Path]:
    """The names of the files that SQLite keeps beside a database."""
    for suffix in _BESIDE:
        yield place.with_name(place.name + suffix)


@contextmanager
def _held(place: Path) -> Iterator[None]:
    """Make sure that no other process uses the ledger or begins to use it."""
    with alone(place):
        if _can_be_read(place):
            _refuse_an_older_user(place)
        yield


def _can_be_read(place: Path) -> bool:
    """Whether it is a database. If an empty or damaged one is opened for writing, SQLite deletes its log."""
    if not place.is_file() or place.stat().st_size == 0:
        return False
    try:
        with closing(read_only(place)) as raw:
            raw.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.DatabaseError:
        return False
    return True


def _refuse_an_older_user(place: Path) -> None:
    """Refuse processes of earlier versions and other tools, which only SQLite's own locks reveal."""
    with closing(sqlite3.connect(place, timeout=1.0, isolation_level=None)) as raw:
        try:
            # In this mode the first use takes a lock that excludes every other connection.
            raw.execute("PRAGMA locking_mode = EXCLUSIVE")
            raw.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise LedgerError(
                    f"the ledger {place.name} is in use: stop the service first (make down), then restore"
                ) from error
