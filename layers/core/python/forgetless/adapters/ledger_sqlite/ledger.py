"""SqliteLedger: all stores of the ledger port in one file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.ledger_sqlite import backup, compaction
from forgetless.adapters.ledger_sqlite.backlog import BacklogStore
from forgetless.adapters.ledger_sqlite.connections import Connections
from forgetless.adapters.ledger_sqlite.documents import DocumentStore
from forgetless.adapters.ledger_sqlite.erasures import ErasureStore
from forgetless.adapters.ledger_sqlite.expiry import ExpiryStore
from forgetless.adapters.ledger_sqlite.idempotency_records import IdempotencyStore
from forgetless.adapters.ledger_sqlite.inspection import InspectionStore
from forgetless.adapters.ledger_sqlite.jobs import JobStore
from forgetless.adapters.ledger_sqlite.keys import KeyStore
from forgetless.adapters.ledger_sqlite.leases import LeaseStore
from forgetless.adapters.ledger_sqlite.memories import MemoryStore
from forgetless.adapters.ledger_sqlite.messages import MessageStore
from forgetless.adapters.ledger_sqlite.names import NameStore
from forgetless.adapters.ledger_sqlite.page_ends import PageEndStore
from forgetless.adapters.ledger_sqlite.ranges import RangeStore
from forgetless.adapters.ledger_sqlite.set_aside import RefusalStore
from forgetless.adapters.ledger_sqlite.tenant_removal import TenantStore
from forgetless.adapters.ledger_sqlite.usage import UsageStore
from forgetless.domain.limits import SCRUB_PATIENCE_S
from forgetless.ports.ledger import Compaction, Tell

__all__ = ["SqliteLedger"]

#: The name of a lease that nobody takes, and the size of its owner when it is written to test whether a write succeeds.
#: The size is that of a large add, because a few bytes may still fit on a disk that is full for everything else.
_TRIAL = b"write trial"
_TRIAL_BYTES = 256 * 1024


class SqliteLedger(
    MemoryStore,
    MessageStore,
    JobStore,
    LeaseStore,
    KeyStore,
    DocumentStore,
    IdempotencyStore,
    PageEndStore,
    NameStore,
    ErasureStore,
    TenantStore,
    InspectionStore,
    RangeStore,
    ExpiryStore,
    RefusalStore,
    UsageStore,
    BacklogStore,
):
    """The ledger in the file at `path`, which several threads and processes can share.

    The file is created at the first use and can be read only by its owner. The file and its -wal and -shm must be on
    a local disk, because the write-ahead log needs shared memory. A call waits for the lock of another process up to
    `busy_timeout_s` seconds.
    """

    def __init__(self, path: Path | str, *, busy_timeout_s: float = 10.0) -> None:
        super().__init__(Connections(path, busy_timeout_s=busy_timeout_s))

    def back_up(self, target: Path, tell: backup.Tell = lambda _done, _all: None) -> dict[str, int]:
        """Copy the ledger's present state to `target`, completely or not at all; returns the rows counted by table."""
        return backup.back_up(self._connections, target, tell)

    def tidy(self) -> int:
        return 0  # an uncommitted transaction disappears with its process

    def scrub_erased(self, *, patience_s: float = SCRUB_PATIENCE_S) -> bool:
        compaction.settle(self._connections, SystemClock())
        return self._connections.scrub(patience_s=patience_s)

    def compact(self, tell: Tell) -> Compaction:
        return compaction.compact(self._connections, SystemClock(), tell)

    def migrate(self) -> int:
        self.ping()  # opening the file migrates it to our schema
        return 0

    def ping(self) -> None:
        self._connections.read(lambda db: db.execute("SELECT 1 FROM memories LIMIT 1").fetchone())
        if self._connections.write_health.in_doubt:
            self._connections.write(_try_to_write, durable=True)
            self._connections.write(lambda db: db.execute("DELETE FROM leases WHERE name = ?", (_TRIAL,)), durable=True)
            self._connections.write_health.note_success()

    def close(self) -> None:
        self._connections.close()


def _try_to_write(db: sqlite3.Connection) -> None:
    statement = "INSERT OR REPLACE INTO leases (name, owner, until) VALUES (?, zeroblob(?), '')"
    db.execute(statement, (_TRIAL, _TRIAL_BYTES))
