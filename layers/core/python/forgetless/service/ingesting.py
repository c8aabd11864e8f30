"""Ingest: what the queue's worker does with one job."""

from __future__ import annotations

import logging
import uuid

from forgetless.domain.errors import LeaseLostError, LlmReplyError
from forgetless.domain.jobs import JobState
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.inferring import InferenceRun, reason_of

__all__ = ["IngestService"]

_logger = logging.getLogger(__name__)

#: A job that failed this often is given up; the queue gives up its message as often.
MOST_ATTEMPTS = 5


class IngestService:
    """Runs queued jobs; any number of deliveries of one job end in the same state."""

    def __init__(self, *, ledger: Ledger, clock: Clock, inference: InferenceRun | None) -> None:
        self._ledger = ledger
        self._clock = clock
        self._inference = inference

    def run(self, tenant: str, job_id: str, *, seconds: float) -> None:
        """Do the job within `seconds`.

        Returns when it is done, was done before, or has failed for good; raises when the message should come again.
        """
        job = self._ledger.job(tenant, job_id)
        if job is None or job.state in {JobState.SUCCEEDED, JobState.FAILED}:
            return
        owner = f"ingest-{uuid.uuid4()}"
        if self._inference is None:
            raise LlmReplyError("no LLM is configured here: set FORGETLESS_LLM_MODEL or OPENAI_BASE_URL")
        try:
            self._inference.run(job, owner=owner, deadline=self._clock.monotonic() + seconds)
        except LeaseLostError:
            _logger.info("job is in other hands", extra={"job_id": job_id})
        except Exception as error:
            # Most is a matter of waiting: what the LLM said wrong it may say right the next time.
            if job.attempts + 1 >= MOST_ATTEMPTS:
                self._inference.fail(job, owner=owner, reason=reason_of(error))
            else:
                self._inference.release(job, owner=owner)
            raise
