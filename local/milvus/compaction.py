"""Compaction: rewrites the file of a stopped Milvus Lite, so that no deleted row stays legible in it.

Milvus Lite deletes rows of its SQLite file without overwriting them. A rebuild of the collection inside the same file
would leave the old pages as well.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

__all__ = ["CompactionError", "compacted_at", "is_due", "note_new", "rewrite"]

#: Its time of change is when the file was compacted last.
_STAMP = "compacted"
#: A file that is busy longer than this is not compacted: a stopped Milvus Lite holds no lock.
_BUSY_S = 5.0


class CompactionError(Exception):
    """The file was not rewritten; the message says why. It is as it was before."""


def rewrite(database: Path) -> None:
    """Rewrite the file and note the time; raises CompactionError. Nothing else may have the file open.

    It needs free space for a second copy of the file.
    """
    began = time.time()
    if database.exists():
        try:
            with closing(sqlite3.connect(database, timeout=_BUSY_S, isolation_level=None)) as db:
                db.execute("PRAGMA secure_delete = ON")
                db.execute("VACUUM")
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise CompactionError(f"{database} was not compacted: {error}") from error
    _note(database, began)


def note_new(database: Path) -> None:
    """Note that a file which does not exist yet holds nothing that was deleted."""
    if not database.exists():
        _note(database, time.time())


def compacted_at(database: Path) -> float | None:
    """When the last compaction of the file began, in seconds since 1970; None if there was none."""
    try:
        return float(_stamp(database).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def is_due(database: Path, every_s: float, *, now: float) -> bool:
    """Whether the file has changed since its last compaction, and that is at least `every_s` ago (0: never)."""
    if not every_s or not database.exists():
        return False
    last = compacted_at(database)
    if last is None:
        return True
    # Rewriting it changes the file too, but by the same process, which notes the time before it begins.
    changed = max(file.stat().st_mtime for file in _files(database))
    return now - last >= every_s and changed > _stamp(database).stat().st_mtime


def _note(database: Path, at: float) -> None:
    _stamp(database).write_text(f"{at:.3f}\n", encoding="ascii")


def _stamp(database: Path) -> Path:
    return database.with_name(_STAMP)


def _files(database: Path) -> list[Path]:
    return [file for suffix in ("", "-wal") if (file := database.with_name(database.name + suffix)).exists()]
