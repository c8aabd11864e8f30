"""Ingest: how a worker of the queue runs one job."""

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

#: A message becomes visible again this long after its worker's claim ends. Earlier, its job would still be claimed.
_AFTER_CLAIM_S = 2.0


class IngestService:
    """Runs queued jobs. However often one job is delivered, the result is the same."""

    def __init__(self, *, ledger: RequestLedger, clock: Clock, inference: InferenceRun | None, queue: JobQueue) -> None:
        self._ledger = ledger
        self._clock = clock
        self._inference = inference
        self._queue = queue

    def run(self, tenant: str, job_id: str, *, seconds: float, receipt: str | None = None) -> None:
        """Run the job within `seconds`; `receipt` is the receipt of its queue message, if there is one.

        Returns when the job is done, was already done, or has failed for good. Raises an error if the message must be
        delivered again. That happens TRIES_APART_S after a failure, or, if this process dies, after its claim ends.
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
            _logger.info("another worker has the job", extra={"job_id": job.id})
        except Exception as error:
            if isinstance(error, ProviderRequestError) and error.blames_input:
                # The provider would refuse the same text again. The job ends, so that the jobs behind it can continue.
                _logger.warning("job was refused", extra={"job_id": job.id, "reason": error.message})
                inference.fail(job, owner=owner, reason=reason_of(error))
                return
            # Most errors go away with time. Even an LLM whose reply was invalid may give a valid one the next time.
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
        except QueueError as error:  # then the message becomes visible after the queue's own timeout
            _logger.warning("the visibility timeout of a message was not changed", extra={"reason": error.message})
