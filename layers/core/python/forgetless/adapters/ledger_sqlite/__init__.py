"""The ledger on one SQLite file, shared by the threads and processes of one machine."""

from __future__ import annotations

from forgetless.adapters.ledger_sqlite.ledger import SqliteLedger

__all__ = ["SqliteLedger"]
