"""SQLite's errors and the system's in a user's words: what is wrong with the ledger's file, and what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from forgetless.domain.errors import LedgerDamagedError, LedgerError

__all__ = ["failure_of"]

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def failure_of(path: Path, error: OSError | sqlite3.Error) -> LedgerError:
    """The error to raise for one that is not a lock."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if isinstance(error, OSError) or code == sqlite3.SQLITE_CANTOPEN:
        reason = "it is a folder" if path.is_dir() else getattr(error, "strerror", None) or str(error)
        return LedgerError(
            f"the ledger {path.name} cannot be opened ({reason}): FORGETLESS_LEDGER_PATH must name a file in a folder "
            "that can be written to"
        )
    if code in _DAMAGED:
        return LedgerDamagedError(
            f"the ledger {path.name} is damaged ({error}): restore a backup with "
            "`make restore FILE=... ARGS=--replace` (`forgetless restore FILE --replace`), or give up all memories "
            "with `make reset-data`",
            reason=str(error),
        )
    return LedgerError(f"the ledger {path.name} failed: {error}")
