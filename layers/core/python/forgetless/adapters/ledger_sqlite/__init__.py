"""The ledger in one SQLite file, which the threads and processes of one machine share."""

from __future__ import annotations

from forgetless.adapters.ledger_sqlite.ledger import SqliteLedger

__all__ = ["SqliteLedger"]
