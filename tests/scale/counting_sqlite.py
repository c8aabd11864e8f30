"""SQLite's ledger with a meter on each connection: its statements, and the steps of SQLite's virtual machine.

A step is about one row or one field that is looked at, so the number shows work that a call of a port hides: a sort, a
count, a scan that finds little. Two things are one step at any size, `DELETE` and `count(*)` of a whole table without a
condition; the ledger has neither in requests and jobs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.adapters.ledger_sqlite.connections import Connections
from tests.scale.work import STEPS_AT_ONCE, Meter

__all__ = ["CountingSqlite"]

T = TypeVar("T")


class CountingSqlite(SqliteLedger):
    """The ledger in a file; nothing waits for the disk, which no number here depends on."""

    def __init__(self, path: Path, meter: Meter | None = None) -> None:
        super().__init__(path)
        self._connections = _CountingConnections(path, meter)


class _CountingConnections(Connections):
    def __init__(self, path: Path, meter: Meter | None) -> None:
        super().__init__(path, busy_timeout_s=10.0)
        self._meter = meter

    def write(self, work: Callable[[sqlite3.Connection], T], *, durable: bool) -> T:
        return super().write(work, durable=False)

    def _use(self, work: Callable[[sqlite3.Connection], T], *, durable: bool | None = None) -> T:
        return super()._use(lambda raw: self._counted(raw, work), durable=durable)

    def _counted(self, raw: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
        if getattr(self._local, "unsynced", None) is not raw:
            raw.execute("PRAGMA synchronous = OFF")
            self._local.unsynced = raw
        if self._meter is not None and self._meter.running:
            raw.set_trace_callback(self._meter.statement)
            raw.set_progress_handler(self._meter.step, STEPS_AT_ONCE)
        else:
            raw.set_trace_callback(None)
            raw.set_progress_handler(None, 0)
        return work(raw)
