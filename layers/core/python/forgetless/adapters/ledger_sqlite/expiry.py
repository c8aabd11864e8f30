"""Removes what is older than its retention, in transactions of bounded size."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from forgetless.adapters.ledger_sqlite import blobs, idempotency_records, messages
from forgetless.adapters.ledger_sqlite.connections import Store
from forgetless.domain.jobs import JobState

__all__ = ["ENDED_JOBS", "EXPIRED_MESSAGES", "EXPIRED_REQUESTS", "ExpiryStore"]

#: A transaction that has removed this many messages of failed jobs removes no further job.
_MESSAGES_AT_ONCE = 1000

#: The jobs in a state that ended before a time. The first condition is that of the partial index.
ENDED_JOBS = """
SELECT tenant, id, text_id FROM jobs
WHERE state IN ('SUCCEEDED', 'FAILED') AND state = ? AND updated_at < ? ORDER BY updated_at LIMIT ?
"""
#: What an add still has to read stays, however old its client says it is.
EXPIRED_MESSAGES = """
SELECT text_id, tenant, job_id, position FROM messages WHERE created_at < ? AND NOT EXISTS (
    SELECT 1 FROM jobs WHERE jobs.tenant = messages.tenant AND jobs.id = job_id AND state IN ('PENDING', 'RUNNING')
) ORDER BY created_at LIMIT ?
"""

_STILL_EXPIRED = """
SELECT 1 FROM messages WHERE text_id = ?1 AND tenant = ?2 AND job_id = ?3 AND position = ?4 AND NOT EXISTS (
    SELECT 1 FROM jobs WHERE jobs.tenant = ?2 AND jobs.id = ?3 AND state IN ('PENDING', 'RUNNING')
)
"""
EXPIRED_REQUESTS = "SELECT tenant, name FROM requests WHERE expires_at < ? LIMIT ?"

_MESSAGES_OF_JOB = "SELECT text_id, tenant, job_id, position FROM messages WHERE tenant = ? AND job_id = ?"

_Row = tuple[int, bytes, bytes, int]


class ExpiryStore(Store):
    """See `forgetless.ports.ledger.Maintenance`."""

    def expire_messages(self, *, before: str, limit: int) -> int:
        # Messages of open adds may be many, and are passed over without keeping others from writing.
        rows: list[_Row] = self._connections.read(lambda db: db.execute(EXPIRED_MESSAGES, (before, limit)).fetchall())
        return self._expire(lambda db: _expire_messages(db, rows)) if rows else 0

    def expire_jobs(self, *, succeeded_before: str | None, failed_before: str | None, limit: int) -> int:
        expired = 0
        if succeeded_before is not None:
            expired += self._expire(lambda db: _expire_jobs(db, JobState.SUCCEEDED, succeeded_before, limit))
        if failed_before is not None and expired < limit:
            expired += self._expire(lambda db: _expire_jobs(db, JobState.FAILED, failed_before, limit - expired))
        return expired

    def expire_records(self, *, before: str, limit: int) -> int:
        return self._expire(lambda db: _expire_records(db, before, limit))

    def _expire(self, work: Callable[[sqlite3.Connection], int]) -> int:
        expired = self._connections.write(work, durable=False)
        if expired:
            self._connections.note_erased()
        return expired


def _remove(db: sqlite3.Connection, rows: list[_Row]) -> int:
    """Remove messages. The links of the memories that have them as context remain, as their words are in the index."""
    blobs.blank(db, (text_id for text_id, *_ in rows))
    db.executemany("DELETE FROM messages WHERE tenant = ? AND job_id = ? AND position = ?", [key for _, *key in rows])
    return len(rows)


def _expire_messages(db: sqlite3.Connection, rows: list[_Row]) -> int:
    """Remove those that still stand there, and whose add has not been started again meanwhile."""
    expired = [row for row in rows if db.execute(_STILL_EXPIRED, row).fetchone() is not None]
    removed = _remove(db, expired)
    for tenant, job_id in {(tenant, job_id) for _, tenant, job_id, _ in expired}:
        messages.forget_orphaned_job(db, tenant, job_id)
    return removed


def _expire_jobs(db: sqlite3.Connection, state: JobState, before: str, limit: int) -> int:
    expired = removed = 0
    for tenant, id_, text_id in db.execute(ENDED_JOBS, (str(state), before, limit)).fetchall():
        if state is JobState.FAILED:
            removed += _remove(db, db.execute(_MESSAGES_OF_JOB, (tenant, id_)).fetchall())
        blobs.blank(db, [text_id])
        db.execute("DELETE FROM jobs WHERE tenant = ? AND id = ?", (tenant, id_))
        expired += 1
        if removed >= _MESSAGES_AT_ONCE:
            break
    return expired


def _expire_records(db: sqlite3.Connection, before: str, limit: int) -> int:
    requests = db.execute(EXPIRED_REQUESTS, (before, limit)).fetchall()
    for key in requests:
        idempotency_records.drop(db, key)
    # There are few leases, as most are given up. Only a killed process leaves one behind.
    leases = db.execute("SELECT name FROM leases WHERE until < ? LIMIT ?", (before, limit - len(requests))).fetchall()
    db.executemany("DELETE FROM leases WHERE name = ?", leases)
    return len(requests) + len(leases)
