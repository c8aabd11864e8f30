"""OpenDeletes: bounds how many jobs of deletes by filter a tenant may have that have not ended.

A document of the tenant names them. Nobody takes an ended one out before there are too many.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forgetless.domain.documents import Document
from forgetless.domain.errors import TooManyJobsError
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import DocumentStore
from forgetless.service.document_change import Change, change_document
from forgetless.service.jobs.bulk import BulkService

__all__ = ["MOST_OPEN_DELETES", "OpenDeletes"]

#: The most deletes by filter of a tenant that go on after their answers.
MOST_OPEN_DELETES = 20
#: The kind and the id of the document.
_KIND = "open_deletes"
#: When to ask again: a portion of a job takes seconds.
_RETRY_S = 30


class OpenDeletes:
    """The deletes by filter of each tenant that have not ended, as far as they are known."""

    def __init__(self, *, ledger: DocumentStore, bulk: BulkService, clock: Clock) -> None:
        self._ledger = ledger
        self._bulk = bulk
        self._clock = clock

    def refuse_more(self, tenant: str) -> None:
        """Raise TooManyJobsError if the tenant has as many as it may have. Those that begin at once may exceed that."""
        if len(_known(self._ledger.document(tenant, _KIND, _KIND))) < MOST_OPEN_DELETES:
            return
        held = change_document(self._ledger, (tenant, _KIND, _KIND), self._without_ended(tenant), clock=self._clock)
        if len(_known(held)) >= MOST_OPEN_DELETES:
            raise TooManyJobsError(
                f"{MOST_OPEN_DELETES} deletes by filter have not ended, and no more may begin: wait until the event of "
                f"one has SUCCEEDED, or delete all of a user, agent, app or run; try again in {_RETRY_S} s.",
                retry_after=_RETRY_S,
            )

    def note(self, tenant: str, job_id: str) -> None:
        """Count a job that is about to start."""

        def change(held: Document | None) -> Mapping[str, Any]:
            return {"jobs": [*_known(held), job_id]}

        change_document(self._ledger, (tenant, _KIND, _KIND), change, clock=self._clock)

    def _without_ended(self, tenant: str) -> Change:
        def is_open(job_id: str) -> bool:
            job = self._bulk.job(tenant, job_id)
            return job is not None and not job.finished

        def change(held: Document | None) -> Mapping[str, Any] | None:
            left = [job_id for job_id in _known(held) if is_open(job_id)]
            return {"jobs": left} if len(left) < len(_known(held)) else None

        return change


def _known(held: Document | None) -> list[str]:
    return [] if held is None else list(held.body["jobs"])
