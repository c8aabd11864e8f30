"""A bulk job of a kind that only a later version knows is shown under its name, and nobody here works on it."""

from __future__ import annotations

from forgetless.domain.bulk_jobs import BULK_JOB, BulkJob, BulkKind
from forgetless.domain.documents import Document
from forgetless.domain.jobs import JobState


def test_a_kind_of_a_later_version_keeps_its_name() -> None:
    at = "2026-11-28T00:00:00.000000+00:00"
    made = BulkJob("j", "acme", BulkKind.REINDEX, JobState.PENDING, at, at, {}).document()
    later = Document(made.tenant, BULK_JOB, made.id, {**made.body, "kind": "translate"}, at, 1)
    job = BulkJob.of(later)
    assert str(job.kind) == "translate"
    assert job.kind not in {*BulkKind}
    assert job.document().body["kind"] == "translate"
