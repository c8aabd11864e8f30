"""HeldAdds: brings held adds forward once what held them works again.

A held add waits about as long again as its fault has lasted. Somebody else's add may show earlier that the fault is
over, but then the message of the held one is still hidden in the queue. Sweep makes it visible.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Protocol

from forgetless.domain.errors import DependencyError, QueueError
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.llm_faults import LONGEST_RETRY_AFTER_S
from forgetless.domain.times import later
from forgetless.ports.clock import Clock
from forgetless.ports.queue import JobQueue
from forgetless.service.llm_state import LlmState
from forgetless.service.writing.infer import waiting

__all__ = ["HELD_OWNER", "HeldAdds", "held"]

_logger = logging.getLogger(__name__)

#: The owner of the leases of all jobs that are held.
HELD_OWNER = "held"
#: The key of a held job's request under which the receipt of its message stands.
_RECEIPT = "receipt"
#: How many waiting jobs are looked at, the oldest first, and how many are brought forward at once.
_LOOKED_AT, _AT_ONCE = 500, 100
#: After this time it looks at no further ones.
_LOOK_S = 15.0
#: A job that has just been put back lets others go first.
_RESTED_S = 10.0


class HeldLedger(Protocol):
    """What this needs of a ledger; see `forgetless.ports.ledger`."""

    def stuck_jobs(self, *, now: str, pending_before: str, limit: int, after: Job | None = None) -> list[Job]: ...

    def update_job(self, job: Job, *, held: Job) -> bool: ...

    def release_lease(self, *names: str, owner: str) -> None: ...


def held(job: Job, receipt: str | None, *, asked: bool) -> Job:
    """The job with what is needed to bring it forward; not if the provider `asked` for the wait."""
    request = {name: value for name, value in job.request.items() if name != _RECEIPT}
    return replace(job, request={**request, _RECEIPT: {"receipt": receipt, "asked": asked}})


class HeldAdds:
    """Looks for held adds; `check` raises the error of what they may wait for besides the LLM."""

    def __init__(
        self, *, ledger: HeldLedger, queue: JobQueue, llm_state: LlmState, check: Callable[[], None], clock: Clock
    ) -> None:
        self._ledger = ledger
        self._queue = queue
        self._llm_state = llm_state
        self._check = check
        self._clock = clock

    def bring_forward(self) -> int:
        """Have the oldest held adds run now, if nothing is known to be at fault; returns how many."""
        now = self._clock.now()
        count, give_up = 0, self._clock.monotonic() + _LOOK_S
        for job in islice(self._waits(now, give_up), _AT_ONCE):
            if not count and not self._nothing_is_at_fault():
                return 0
            count += self._bring(job, now)
        if count:
            _logger.warning("held adds are tried again, because nothing is at fault any more", extra={"adds": count})
        return count

    def _waits(self, now: str, give_up: float) -> Iterator[Job]:
        """Those that may go of the oldest waiting jobs. They are read in portions, so that they are never all held."""
        latest = later(now, 2 * LONGEST_RETRY_AFTER_S)
        left, last = _LOOKED_AT, None
        while left > 0 and self._clock.monotonic() < give_up:
            found = self._ledger.stuck_jobs(now=now, pending_before=latest, limit=left, after=last)
            if not found:
                return
            left, last = left - len(found), found[-1]
            yield from (job for job in found if _may_go(job, now))

    def _nothing_is_at_fault(self) -> bool:
        if self._llm_state.fault() is not None:
            return False
        try:
            self._check()
        except DependencyError:
            return False
        return True

    def _bring(self, job: Job, now: str) -> bool:
        if not self._ledger.update_job(waiting(job, now), held=job):
            return False  # a worker was faster
        self._ledger.release_lease(job.held_lease, owner=HELD_OWNER)
        receipt = _noted(job).get("receipt")
        if isinstance(receipt, str):
            try:
                self._queue.hide(receipt, seconds=0)
            except QueueError as error:  # then it becomes visible when it would have
                _logger.warning("the message of a held add stays hidden", extra={"reason": error.message})
        return True


def _may_go(job: Job, now: str) -> bool:
    due = job.next_try_at
    rested = job.updated_at <= later(now, -_RESTED_S)
    return (
        job.state is JobState.PENDING
        and job.error is not None
        and due is not None
        and due > now
        and rested
        and not _noted(job).get("asked", True)
    )


def _noted(job: Job) -> Mapping[str, object]:
    noted = job.request.get(_RECEIPT)
    return noted if isinstance(noted, Mapping) else {}
