"""Opens SQLite's file beside the service, as an operator's programs do: `python FILE read|checkpoint|copy LEDGER`.

Each opens the file, and closes it when it is done: whoever closes the last connection checkpoints the log and unlinks
it, unless the locks of others hold. Only the standard library is loaded, so that it may be done often.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

__all__ = ["WAYS", "main"]


def _read(db: sqlite3.Connection, _path: Path) -> None:
    db.execute("SELECT count(*) FROM memories").fetchone()


def _checkpoint(db: sqlite3.Connection, _path: Path) -> None:
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _copy(db: sqlite3.Connection, path: Path) -> None:
    copy = sqlite3.connect(path.with_name("copy.db"))
    try:
        db.backup(copy)
    finally:
        copy.close()


WAYS = {"read": _read, "checkpoint": _checkpoint, "copy": _copy}


def main(way: str, ledger: str) -> None:
    """Do it once."""
    db = sqlite3.connect(ledger, timeout=10, isolation_level=None)
    try:
        WAYS[way](db, Path(ledger))
    finally:
        db.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
