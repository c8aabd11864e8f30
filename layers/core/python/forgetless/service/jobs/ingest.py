"""Ingest: how a worker of the queue runs one job, and what becomes of a job that fails.

A fault of the input ends the job. A fault of the LLM, the embedder or a store holds it until they work again, in the
order of its speaker. Only what nobody foresaw, and what fails while the LLM works for others, is tried a few times.
"""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Callable
from dataclasses import replace

from forgetless.domain.errors import (
    DependencyError,
    EmbedderError,
    LeaseLostError,
    LlmUnavailableError,
    ProviderError,
    QueueError,
)
from forgetless.domain.jobs import Job
from forgetless.domain.limits import LEASE_MARGIN_S, MOST_ATTEMPTS
from forgetless.domain.llm_faults import LONGEST_HOLD_S, hold_s
from forgetless.domain.retention import DAY_S
from forgetless.domain.times import later, seconds_between
from forgetless.domain.usage import UsageKind
from forgetless.ports.call_times import begin_call_times
from forgetless.ports.clock import Clock
from forgetless.ports.metrics import ADDS_FAILED, ADDS_HELD
from forgetless.ports.queue import JobQueue
from forgetless.ports.request_ledger import RequestLedger
from forgetless.ports.request_usage import RequestUsage, noting_usage
from forgetless.ports.trace import traced_job
from forgetless.service.access.usage_meter import UsageMeter
from forgetless.service.jobs.held_adds import HELD_OWNER, held
from forgetless.service.llm_state import LlmState
from forgetless.service.llm_trials import LlmTrials
from forgetless.service.writing.infer import (
    InferenceRun,
    ScopeBusyError,
    UnfinishedError,
    given_up,
    reason_of,
    waiting,
)

__all__ = ["IngestService", "JobHeldError"]

_logger = logging.getLogger(__name__)

#: A message becomes visible again this long after its worker's claim ends. Earlier, its job would still be claimed.
_AFTER_CLAIM_S = 2.0
#: A job that has just failed is tried again so much later than others, which may do so first: if it is the job that is
#: at fault, they show that the LLM works. The others begin within the spread.
_OTHERS_FIRST_S = 5.0
_SPREAD_S = 3.0
_NO_LLM = "provider_unavailable: no LLM is configured here: set FORGETLESS_LLM_MODEL or OPENAI_BASE_URL"


class JobHeldError(Exception):
    """The job waits until `next_try_at`, or goes on at once; the queue must deliver its message again then."""

    def __init__(self, job: Job) -> None:
        until = f"is held until {job.next_try_at}: {job.error}" if job.next_try_at else "goes on"
        super().__init__(f"job {job.id} {until}")
        self.goes_on = job.next_try_at is None


class IngestService:
    """Runs queued jobs. However often one job is delivered, the result is the same."""

    def __init__(
        self,
        *,
        ledger: RequestLedger,
        clock: Clock,
        inference: InferenceRun | None,
        queue: JobQueue,
        llm_state: LlmState,
        llm_trials: LlmTrials,
        held_s: float = DAY_S,
        meter: UsageMeter | None = None,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._inference = inference
        self._queue = queue
        self._llm_state = llm_state
        self._llm_trials = llm_trials
        self._held_s = held_s
        self._meter = meter

    def run(
        self,
        tenant: str,
        job_id: str,
        *,
        seconds: float,
        receipt: str | None = None,
        goes_on: Callable[[], bool] = lambda: True,
    ) -> None:
        """Run the job within `seconds`; `receipt` is the receipt of its queue message, if there is one.

        Returns when the job is done, was already done, or has failed for good. Raises JobHeldError if the
        message must be delivered again, at the job's `next_try_at`, or at once if more calls of the LLM must follow:
        there is no time for them, or `goes_on` says no. If this process dies, that is after its claim ends.
        """
        job = self._ledger.job(tenant, job_id)
        if job is None or not job.claimable(self._clock.now()):
            return  # it has ended, or another worker has it; if that one dies, sweep sends the job again
        begin_call_times()  # an error of the job names the part that was slow
        with traced_job(job.id, job.request, tenant=job.tenant), noting_usage() as used:
            try:
                self._run(job, seconds, receipt, goes_on)
                if job.error is not None:  # it was held, and is no longer
                    self._ledger.release_lease(job.held_lease, owner=HELD_OWNER)
            finally:
                self._count(job, used)

    def _count(self, job: Job, used: RequestUsage) -> None:
        """Count the tokens of an attempt that stored nothing."""
        if self._meter is None or not used.llm_tokens:
            return
        key_id, _ = job.payer
        self._meter.note(job.tenant, key_id, UsageKind.LLM_TOKENS, used.llm_tokens)
        self._meter.flush()

    def _run(self, job: Job, seconds: float, receipt: str | None, goes_on: Callable[[], bool]) -> None:
        if job.attempts >= MOST_ATTEMPTS:
            self._give_up(job, f"worker_lost: no worker finished it in {job.attempts} attempts")
            return
        if self._inference is None:
            self._hold(job, _NO_LLM, receipt, wait_s=LONGEST_HOLD_S)
            return
        if (fault := self._llm_trials.may_try(job)) is not None:
            wait = seconds_between(self._clock.now(), fault.next_try_at)
            self._hold(job, fault.error, receipt, wait_s=max(0.0, wait) + random.uniform(0.0, _SPREAD_S))
            return
        self._hide(receipt, seconds + LEASE_MARGIN_S + _AFTER_CLAIM_S)
        owner = f"ingest-{uuid.uuid4()}"
        try:
            deadline = self._clock.monotonic() + seconds
            self._inference.run(job, owner=owner, deadline=deadline, goes_on=goes_on)
        except LeaseLostError:
            _logger.info("another worker has the job")
        except UnfinishedError:
            self._go_on(job, owner, receipt)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is logged and decides what becomes of the job
            self._failed(self._inference, job, owner, error, receipt)

    def _go_on(self, job: Job, owner: str, receipt: str | None) -> None:
        """Put a job with finished calls back, so that the next run makes the next call, and raise JobHeldError."""
        standing = self._ledger.job(job.tenant, job.id)
        if standing is None or standing.finished or standing.lease_owner != owner:
            return
        again = replace(waiting(standing, self._clock.now()), attempts=0, error=None)
        if self._ledger.update_job(again, held=standing):
            self._hide(receipt, 0.0)
            raise JobHeldError(again)

    def _failed(self, inference: InferenceRun, job: Job, owner: str, error: Exception, receipt: str | None) -> None:
        reason = reason_of(error)
        standing = self._ledger.job(job.tenant, job.id) or job
        # Its claim has counted this attempt; and no attempt before a call that it has finished counts any more.
        before = standing.attempts - (standing.lease_owner == owner)
        told = {"attempt": before + 1, "reason": reason_of(error, logged=True)}
        if isinstance(error, ProviderError) and error.blames_input:
            # The provider would refuse the same text again. The job ends, so that the jobs behind it can continue.
            _logger.error("an add failed", extra=told)
            inference.fail(job, owner=owner, reason=reason)
            return
        counted = self._counts(job, error)
        if counted and before + 1 >= MOST_ATTEMPTS:
            _logger.error("an add failed", extra=told, exc_info=error)
            inference.fail(job, owner=owner, reason=reason)
            return
        if not isinstance(error, DependencyError | TimeoutError):
            _logger.error("an attempt of an add failed", extra=told, exc_info=error)
        if standing.finished or standing.lease_owner not in {owner, None}:
            return  # another worker has it
        after = error.retry_after if isinstance(error, LlmUnavailableError | EmbedderError) else None
        failing_s = seconds_between(standing.started_at or standing.created_at, self._clock.now())
        wait = hold_s(failing_s, after)
        asked = wait > hold_s(failing_s)
        put_back = replace(standing, attempts=before + counted)
        told_reason = reason_of(error, logged=True)
        self._hold(
            put_back, reason, receipt, wait_s=wait + _OTHERS_FIRST_S, standing=standing, asked=asked, logged=told_reason
        )

    def _counts(self, job: Job, error: Exception) -> bool:
        """Whether the failure counts as an attempt of the job: nobody foresaw it, or the LLM works for others."""
        if isinstance(error, ScopeBusyError):
            return False
        if isinstance(error, TimeoutError) or (isinstance(error, LlmUnavailableError) and (error.status or 0) >= 500):
            return job.started_at is not None and self._llm_state.worked_since(job.started_at)
        return not isinstance(error, DependencyError)

    def _hold(
        self,
        job: Job,
        reason: str,
        receipt: str | None,
        *,
        wait_s: float,
        standing: Job | None = None,
        asked: bool = False,
        logged: str | None = None,
    ) -> None:
        """Put the job back until its next try and raise JobHeldError; or end it, when it was held too long.

        `standing` is the job in the ledger if it is another one; `asked` says that the provider asked for the wait.
        `logged` is the reason as the log may have it, if that is another one.
        """
        now = self._clock.now()
        started = job.started_at or now
        if seconds_between(started, now) + wait_s > self._held_s:
            self._give_up(standing or job, reason, logged=logged)
            return
        next_try = later(now, wait_s)
        put_back = replace(waiting(job, now), error=reason, started_at=started, lease_until=next_try)
        put_back = held(put_back, receipt, asked=asked)
        _logger.warning("an add is held", extra={"reason": logged or reason, "next_try_at": next_try})
        ADDS_HELD.count(tenant=job.tenant)
        self._ledger.update_job(put_back, held=standing or job)
        self._ledger.acquire_lease(job.held_lease, owner=HELD_OWNER, now=now, until=next_try)
        self._hide(receipt, wait_s)
        raise JobHeldError(put_back)

    def _give_up(self, job: Job, reason: str, *, logged: str | None = None) -> None:
        _logger.error("an add failed", extra={"attempt": job.attempts, "reason": logged or reason})
        ADDS_FAILED.count(tenant=job.tenant)
        self._ledger.update_job(given_up(job, self._clock.now(), owner=job.lease_owner, reason=reason), held=job)

    def _hide(self, receipt: str | None, seconds: float) -> None:
        if receipt is None:
            return
        try:
            self._queue.hide(receipt, seconds=seconds)
        except QueueError as error:  # then the message becomes visible after the queue's own timeout
            _logger.warning("the visibility timeout of a message was not changed", extra={"reason": error.message})
