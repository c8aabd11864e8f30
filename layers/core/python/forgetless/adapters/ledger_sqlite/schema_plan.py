"""What a migration of the file would do: read from the file, and tried on a copy."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from forgetless.adapters.ledger_sqlite.backup import workplace
from forgetless.adapters.ledger_sqlite.inspection import counts_of
from forgetless.adapters.ledger_sqlite.schema import LEAST_VERSION, SCHEMA_VERSION, least_of, migrate, version_of
from forgetless.domain.errors import LedgerError
from forgetless.ports.schema_plan import SchemaPlan

__all__ = ["plan"]


def plan(path: Path, *, trial: bool = True) -> SchemaPlan:
    """The plan for this file, which a service may be using. The trial needs room for a copy beside it.

    Raises LedgerError if the file is no ledger or cannot be read.
    """
    name = f"sqlite {path}"
    if not path.exists() or path.stat().st_size == 0:
        return SchemaPlan(name, 0, SCHEMA_VERSION, LEAST_VERSION)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as raw:
            held = version_of(raw)
            least = least_of(raw) if held > SCHEMA_VERSION else LEAST_VERSION
            counts = counts_of(raw)
            live = counts.pop("live")
            seconds = _seconds(raw, path) if trial and held < SCHEMA_VERSION else None
    except sqlite3.Error as error:
        raise LedgerError(f"{path} cannot be read as a ledger: {error}") from error
    return SchemaPlan(name, held, SCHEMA_VERSION, least, sum(counts.values()), live, seconds)


def _seconds(raw: sqlite3.Connection, path: Path) -> float:
    """How long the migration of a copy takes."""
    with workplace(path) as folder, closing(sqlite3.connect(folder / "ledger.db", isolation_level=None)) as copy:
        raw.backup(copy)
        began = time.monotonic()
        migrate(copy)
        return time.monotonic() - began
