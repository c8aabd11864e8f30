"""Ingest: what the queue's worker does with one job."""

from __future__ import annotations

import logging
import uuid

from forgetless.domain.errors import LeaseLostError, LlmReplyError, ProviderRequestError, QueueError
from forgetless.domain.jobs import Job
from forgetless.domain.limits import LEASE_MARGIN_S, MOST_ATTEMPTS, TRIES_APART_S
from forgetless.ports.clock import Clock
from forgetless.ports.queue import JobQueue
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.writing.infer import InferenceRun, reason_of

__all__ = ["IngestService"]

_logger = logging.getLogger(__name__)

#: A message shows again this long after its worker's claim: shown earlier, it would find the job taken.
_AFTER_CLAIM_S = 2.0


class IngestService:
    """Runs queued jobs; any number of deliveries of one job end in the same state."""

    def __init__(self, *, ledger: RequestLedger, clock: Clock, inference: InferenceRun | None, queue: JobQueue) -> None:
        self._ledger = ledger
        self._clock = clock
        self._inference = inference
        self._queue = queue

    def run(self, tenant: str, job_id: str, *, seconds: float, receipt: str | None = None) -> None:
        """Do the job within `seconds`; `receipt` is that of its message, where there is one.

        Returns when it is done, was done before, or has failed for good; raises when the message should come again:
        TRIES_APART_S after a failure, and as soon as the claim has ended when this process dies.
        """
        job = self._ledger.job(tenant, job_id)
        if job is None or job.finished:
            return
        if self._inference is None:
            raise LlmReplyError("no LLM is configured here: set FORGETLESS_LLM_MODEL or OPENAI_BASE_URL")
        self._hide(receipt, seconds + LEASE_MARGIN_S + _AFTER_CLAIM_S)
        try:
            self._run(self._inference, job, seconds)
        except Exception:
            self._hide(receipt, TRIES_APART_S)
            raise

    def _run(self, inference: InferenceRun, job: Job, seconds: float) -> None:
        owner = f"ingest-{uuid.uuid4()}"
        try:
            inference.run(job, owner=owner, deadline=self._clock.monotonic() + seconds)
        except LeaseLostError:
            _logger.info("job is in other hands", extra={"job_id": job.id})
        except Exception as error:
            if isinstance(error, ProviderRequestError) and error.blames_input:
                # What it says to this text it will say again: the job ends, and what waits behind it goes on.
                _logger.warning("job was refused", extra={"job_id": job.id, "reason": error.message})
                inference.fail(job, owner=owner, reason=reason_of(error))
                return
            # Most is a matter of waiting: what the LLM said wrong it may say right the next time.
            if job.attempts + 1 >= MOST_ATTEMPTS:
                inference.fail(job, owner=owner, reason=reason_of(error))
            else:
                inference.release(job, owner=owner)
            raise

    def _hide(self, receipt: str | None, seconds: float) -> None:
        if receipt is None:
            return
        try:
            self._queue.hide(receipt, seconds=seconds)
        except QueueError as error:  # then the queue's own time-out brings the message back
            _logger.warning("a message keeps its time-out", extra={"reason": error.message})
