"""Adds and bulk jobs in one list: whatever their order and the size of a page, each is there once, newest first."""

from __future__ import annotations

import random
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.bulk_jobs import BulkJob, BulkKind
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.scope import Scope
from forgetless.service.reading.job_lists import any_jobs, count_any_jobs
from tests.contract.ledger.making import at

SCOPE = Scope("acme", user_id="anna")


@pytest.mark.parametrize(("adds", "bulk"), [(0, 0), (5, 0), (0, 5), (1, 30), (30, 1), (20, 20)])
def test_the_pages_of_any_size_have_every_job_once_newest_first(tmp_path: Path, adds: int, bulk: int) -> None:
    draw = random.Random(adds * 100 + bulk)
    with closing(SqliteLedger(tmp_path / "ledger.db")) as ledger:
        made: list[tuple[str, str]] = []
        for number in range(adds + bulk):
            id_, when = str(uuid.UUID(int=draw.getrandbits(128))), at(draw.randrange(20))
            made.append((when, id_))
            if number < adds:
                ledger.put_job(Job(id_, SCOPE, JobState.PENDING, when, when), [])
            else:
                job = BulkJob(id_, "acme", BulkKind.ERASE, JobState.PENDING, when, when, {})
                assert ledger.put_document(job.document())
        for limit in (1, 2, 3, 7, 100):
            found: list[tuple[str, str]] = []
            cursor: str | None = None
            while True:
                page, cursor = any_jobs(ledger, "acme", limit=limit, cursor=cursor)
                assert len(page) <= limit
                found += [(job.created_at, job.id) for job in page]
                if cursor is None:
                    break
            assert found == sorted(made, reverse=True)
        assert count_any_jobs(ledger, "acme", limit=1000) == adds + bulk
        assert any_jobs(ledger, "other", limit=9) == ([], None)
