"""The look at what waits, for metrics: each part is read from an index, up to a limit."""

from __future__ import annotations

import contextlib
import sqlite3

from forgetless.adapters.ledger_codec import from_blob, load_job
from forgetless.adapters.ledger_sqlite.connections import Store
from forgetless.domain.limits import JOBS_AT_ONCE
from forgetless.domain.portions import until_heavy
from forgetless.ports.ledger import Backlog

__all__ = ["BacklogStore"]

_OPEN = "FROM jobs INDEXED BY jobs_open WHERE state IN ('PENDING', 'RUNNING')"
_OPEN_COUNT = f"SELECT count(*) FROM (SELECT 1 {_OPEN} LIMIT ?)"  # noqa: S608 - our own names
#: What they ask for is not read.
_OLDEST = f"""
SELECT tenant, jobs.body FROM (SELECT tenant, id {_OPEN} ORDER BY created_at, id LIMIT ?)
CROSS JOIN jobs USING (tenant, id)
"""  # noqa: S608
# The condition of the index itself must be there, or SQLite does not see that it applies.
_FAILED_COUNT = """
SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_ended
                      WHERE state IN ('SUCCEEDED', 'FAILED') AND state = 'FAILED' LIMIT ?)
"""
_PENDING = "SELECT min(pending_since) FROM memories INDEXED BY memories_pending WHERE pending_since IS NOT NULL"


class BacklogStore(Store):
    """The part of `forgetless.ports.ledger.Maintenance` about what waits."""

    def backlog(self, *, jobs: int, counted: int) -> Backlog:
        def read(db: sqlite3.Connection) -> Backlog:
            # A statement that is not read to its end goes on reading the log.
            with contextlib.closing(db.execute(_OLDEST, (jobs,))) as rows:
                oldest = list(until_heavy(rows, lambda row: len(row[1]), most=JOBS_AT_ONCE))
            found = [load_job(from_blob(tenant), body, b"") for tenant, body in oldest]
            return Backlog(
                oldest_jobs=tuple(sorted(found, key=lambda job: (job.created_at, job.id))),
                open_jobs=db.execute(_OPEN_COUNT, (counted,)).fetchone()[0],
                failed_jobs=db.execute(_FAILED_COUNT, (counted,)).fetchone()[0],
                pending_since=db.execute(_PENDING).fetchone()[0],
            )

        return self._connections.read(read)
