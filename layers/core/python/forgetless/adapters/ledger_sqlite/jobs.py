"""The store of jobs."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Mapping, Sequence

from forgetless.adapters.ledger_codec import dump, dump_job, from_blob, load_job, to_blob
from forgetless.adapters.ledger_sqlite import blobs, erasures, leases, usage
from forgetless.adapters.ledger_sqlite import messages as message_rows
from forgetless.adapters.ledger_sqlite.connections import Store
from forgetless.domain.cursors import after_job, time_place
from forgetless.domain.documents import in_turn
from forgetless.domain.jobs import LANES, Job, JobState
from forgetless.domain.limits import JOBS_AT_ONCE
from forgetless.domain.memory import Message
from forgetless.domain.portions import first_portion, until_heavy
from forgetless.domain.slots import Slots
from forgetless.domain.usage import Use
from forgetless.ports.request_ledger import AcceptedJob

__all__ = ["JobStore", "complete"]

_PUT = """
INSERT INTO jobs (tenant, id, state, created_at, updated_at, lease_owner, lease_until, body, lane, text_id)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT (tenant, id) DO UPDATE SET
    state = ?3, created_at = ?4, updated_at = ?5, lease_owner = ?6, lease_until = ?7, body = ?8, lane = ?9,
    text_id = ?10
"""

_OPEN = "state IN ('PENDING', 'RUNNING')"
_IS_STUCK = f"""
{_OPEN} AND CASE state WHEN 'PENDING' THEN max(updated_at, coalesce(lease_until, '')) < :pending_before
    ELSE coalesce(lease_until, '') <= :now END
"""

_STUCK = f"""
SELECT tenant, jobs.body, texts.body FROM jobs CROSS JOIN texts USING (text_id)
WHERE {_IS_STUCK} AND (created_at, id) > (:created_at, :id) ORDER BY created_at, id LIMIT :limit
"""  # noqa: S608 - our own names

_NEXT_TENANT = f"SELECT min(tenant) FROM jobs WHERE tenant > ? AND {_OPEN}"  # noqa: S608

#: The oldest stuck job of each lane of a tenant, beginning after a lane. It goes from lane to lane through the index,
#: so it costs nothing that a lane has many jobs.
_OF_LANES = f"""
WITH RECURSIVE lanes (lane) AS (
    SELECT min(lane) FROM jobs WHERE tenant = :tenant AND lane > :after AND lane <= :last AND {_OPEN}
    UNION ALL
    SELECT (SELECT min(lane) FROM jobs WHERE tenant = :tenant AND lane > lanes.lane AND lane <= :last AND {_OPEN})
    FROM lanes WHERE lane IS NOT NULL
)
SELECT found.id FROM lanes CROSS JOIN jobs AS found WHERE tenant = :tenant AND found.id = (
    SELECT id FROM jobs WHERE tenant = :tenant AND lane = lanes.lane AND {_IS_STUCK} ORDER BY created_at, id LIMIT 1
) LIMIT :limit
"""  # noqa: S608

_SELECT = "SELECT jobs.body, texts.body FROM jobs CROSS JOIN texts USING (text_id)"
_ONE = "SELECT tenant, jobs.body, texts.body FROM jobs CROSS JOIN texts USING (text_id) WHERE tenant = ? AND id = ?"

#: Whose a job is, its body, and what it asks for.
_Row = tuple[bytes, bytes, bytes]


class JobStore(Store):
    """See `forgetless.ports.request_ledger.JobStore`."""

    def put_job(self, job: Job, messages: Sequence[Message], *, used: Sequence[Use] = ()) -> Job:
        return self._connections.write(lambda db: _insert(db, job, messages, used), durable=True)

    def accept_job(
        self, job: Job, messages: Sequence[Message], slots: Slots, *, used: Sequence[Use] = ()
    ) -> AcceptedJob:
        names = {name: self._named(name) for name in slots.names}  # before the write: it may read the ledger's key

        def accept(db: sqlite3.Connection) -> AcceptedJob:
            standing = _insert(db, job, messages, used)
            wanted = standing.state is not JobState.SUCCEEDED
            return AcceptedJob(standing, leases.take_slot(db, slots, names) if wanted else None)

        return self._connections.write(accept, durable=True)

    def put_jobs(self, jobs: Sequence[tuple[Job, Sequence[Message]]]) -> None:
        def insert_all(db: sqlite3.Connection) -> None:
            for job, messages in jobs:
                _insert(db, job, messages)

        if jobs:
            self._connections.write(insert_all, durable=True)

    def job(self, tenant: str, job_id: str) -> Job | None:
        return self._connections.read(lambda db: _read(db, tenant, job_id))

    def jobs(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[list[Job], str | None]:
        condition = "tenant = ?"
        params: list[bytes | str] = [to_blob(tenant)]
        if cursor is not None:
            created_at, id_ = time_place(cursor)
            condition += " AND (created_at, id) < (?, ?)"
            params += [created_at, to_blob(id_)]
        query = f"{_SELECT} WHERE {condition} ORDER BY created_at DESC, id DESC LIMIT ?"

        def look(db: sqlite3.Connection) -> tuple[list[tuple[bytes, bytes]], bool]:
            # A statement that is not read to its end goes on reading the log.
            with contextlib.closing(db.execute(query, (*params, limit + 1))) as rows:
                return first_portion(rows, lambda row: len(row[0]) + len(row[1]), most=JOBS_AT_ONCE, count=limit)

        rows, more = self._connections.read(look)
        found = [load_job(tenant, *row) for row in rows]
        return found, after_job(found[-1]) if more and found else None

    def count_jobs(self, tenant: str, *, limit: int) -> int | None:
        query = "SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_by_time WHERE tenant = ? LIMIT ?)"
        params = (to_blob(tenant), limit + 1)
        (count,) = self._connections.read(lambda db: db.execute(query, params).fetchone())
        return int(count)

    def claim_job(self, tenant: str, job_id: str, *, owner: str, now: str, until: str) -> Job | None:
        return self._connections.write(
            lambda db: _claim(db, tenant, job_id, owner=owner, now=now, until=until), durable=False
        )

    def update_job(self, job: Job, *, held: Job, used: Sequence[Use] = ()) -> bool:
        return self._connections.write(lambda db: _update(db, job, held, used), durable=True)

    def stuck_jobs(self, *, now: str, pending_before: str, limit: int, after: Job | None = None) -> list[Job]:
        place = (
            {"created_at": "", "id": b""}
            if after is None
            else {"created_at": after.created_at, "id": to_blob(after.id)}
        )
        params = {"pending_before": pending_before, "now": now, "limit": limit, **place}

        def look(db: sqlite3.Connection) -> list[_Row]:
            # A statement that is not read to its end goes on reading the log.
            with contextlib.closing(db.execute(_STUCK, params)) as rows:
                return list(until_heavy(rows, _weight, most=JOBS_AT_ONCE))

        return [load_job(from_blob(tenant), *bodies) for tenant, *bodies in self._connections.read(look)]

    def stuck_in_turn(self, *, now: str, pending_before: str, limit: int, each: int) -> list[Job]:
        params = {"pending_before": pending_before, "now": now}

        def look(db: sqlite3.Connection) -> list[_Row]:
            keys = in_turn(_stuck_by_tenant(db, params, each), limit)
            rows = (db.execute(_ONE, key).fetchone() for key in keys)
            return list(until_heavy((row for row in rows if row is not None), _weight, most=JOBS_AT_ONCE))

        return [load_job(from_blob(tenant), *bodies) for tenant, *bodies in self._connections.read(look)]


def complete(db: sqlite3.Connection, job: Job) -> bool:
    """Write the end of a job that is new or still held by this worker; False when the job has already ended."""
    held = _read(db, job.tenant, job.id)
    if held is not None and not held.ends_with(job):
        return False
    _put(db, job)
    return True


def _read(db: sqlite3.Connection, tenant: str, job_id: str) -> Job | None:
    key = (to_blob(tenant), to_blob(job_id))
    row = db.execute(f"{_SELECT} WHERE tenant = ? AND id = ?", key).fetchone()
    return None if row is None else load_job(tenant, *row)


def _weight(row: _Row) -> int:
    return len(row[1]) + len(row[2])


def _stuck_by_tenant(db: sqlite3.Connection, params: Mapping[str, str], each: int) -> list[list[tuple[bytes, bytes]]]:
    """Of each tenant the keys of stuck jobs, the oldest of a lane each; chance says with which lane it begins."""
    found: list[list[tuple[bytes, bytes]]] = []
    tenant: bytes | None = b""
    while True:
        (tenant,) = db.execute(_NEXT_TENANT, (tenant,)).fetchone()
        if tenant is None:
            random.shuffle(found)  # so that none is always left out if more tenants wait than one look reads
            return found
        ids: list[tuple[bytes]] = []
        begin = random.randrange(LANES)
        for after, last in ((begin, LANES), (-1, begin)):
            of_tenant = {**params, "tenant": tenant, "after": after, "last": last, "limit": each - len(ids)}
            ids += db.execute(_OF_LANES, of_tenant)
        found.append([(tenant, id_) for (id_,) in ids])


def _put(db: sqlite3.Connection, job: Job) -> None:
    owner = None if job.lease_owner is None else to_blob(job.lease_owner)
    lane = 0 if job.finished else job.lane
    key = (to_blob(job.tenant), to_blob(job.id))
    row = (*key, str(job.state), job.created_at, job.updated_at, owner, job.lease_until, dump_job(job), lane)
    db.execute(_PUT, (*row, _request_id(db, key, dump(job.request))))


def _request_id(db: sqlite3.Connection, key: tuple[bytes, bytes], request: bytes) -> int:
    query = "SELECT text_id, texts.body FROM jobs CROSS JOIN texts USING (text_id) WHERE tenant = ? AND id = ?"
    held: tuple[int, bytes] | None = db.execute(query, key).fetchone()
    if held is not None and held[1] == request:
        return held[0]
    if held is not None:
        blobs.blank(db, held[:1])
    return blobs.add(db, request)


def _insert(db: sqlite3.Connection, job: Job, messages: Sequence[Message], used: Sequence[Use] = ()) -> Job:
    held = _read(db, job.tenant, job.id)
    if held is not None:
        return held
    erasures.refuse(db, erasures.judge(db, job.tenant), (), messages, job)
    _put(db, job)
    message_rows.insert(db, messages)
    usage.count(db, used)
    return job


def _claim(db: sqlite3.Connection, tenant: str, job_id: str, *, owner: str, now: str, until: str) -> Job | None:
    job = _read(db, tenant, job_id)
    if job is None or not job.claimable(now) or erasures.judge(db, tenant).hides(job):
        return None
    claimed = job.claimed(owner=owner, now=now, until=until)
    _put(db, claimed)
    return claimed


def _update(db: sqlite3.Connection, job: Job, held: Job, used: Sequence[Use]) -> bool:
    standing = _read(db, job.tenant, job.id)
    if standing is None or not standing.stands_as(held):
        return False
    _put(db, job)
    usage.count(db, used)
    return True
