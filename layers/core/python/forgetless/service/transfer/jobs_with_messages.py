"""Pages of jobs with their messages: no page has more bytes of messages than are read at once, unless one job has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from forgetless.domain.jobs import Job
from forgetless.domain.memory import Message
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger

__all__ = ["JobPage", "jobs_page", "removed_jobs_page"]

#: Some jobs, each with its messages, and the cursor of the next page.
JobPage = tuple[list[tuple[Job, Sequence[Message]]], str | None]


def jobs_page(ledger: Ledger, tenant: str, *, limit: int, cursor: str | None) -> JobPage:
    """Up to `limit` of the tenant's jobs in the ledger's order."""
    said: dict[str, list[Message]] = {}
    read: list[str] = []
    while True:
        jobs, following = ledger.jobs(tenant, limit=limit, cursor=cursor)
        ids = [job.id for job in jobs]
        if ids != read:  # what is read again, to find where the next page begins, is nearly always what was read
            said, looked = ledger.messages_of_jobs(tenant, ids)
            read = ids[:looked]
        if ids == read:
            return [(job, said.get(job.id, ())) for job in jobs], following
        limit = len(read)


def removed_jobs_page(
    ledger: Ledger, tenant: str, *, limit: int, cursor: str | None, of: Callable[[Scope], bool] = lambda _: True
) -> tuple[list[list[Message]], str | None]:
    """The messages of up to `limit` jobs that no longer exist, job by job, where the first one's scope is `of` whom."""
    while True:
        found, following = ledger.messages_without_job(tenant, limit=limit, cursor=cursor)
        ids = list(dict.fromkeys(message.ref.job_id for message in found if of(message.scope)))
        said, looked = ledger.messages_of_jobs(tenant, ids)
        if looked == len(ids):
            return [said[id_] for id_ in ids if id_ in said], following
        limit = looked
