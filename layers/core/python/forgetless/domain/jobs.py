"""Job: one accepted add that runs now or later. mem0's event endpoints show it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from forgetless.domain.errors import LeaseLostError
from forgetless.domain.scope import Scope
from forgetless.domain.times import seconds_between, wait_s

__all__ = ["LANES", "LLM_CALLS", "RETRIED", "Job", "JobState", "job_id_for"]

#: The key of a job's request under which a long add keeps what its calls of the LLM have given so far.
LLM_CALLS = "llm_calls"
#: The key under which an add that somebody started again, or imported, keeps when that was, and with which API key.
RETRIED = "retried"

#: The number of lanes that the speakers of a tenant share.
LANES = 4096

#: The code at the beginning of a job's error.
_CODE = re.compile(r"[a-z_]+(?=:|$)")
#: The namespace of ids derived from a tenant and an Idempotency-Key.
_NAMESPACE = uuid.UUID("6f7267e7-1e55-5f1e-9d6b-000000000001")


def job_id_for(tenant: str, idempotency_key: str | None) -> str:
    """A new job's id; the same tenant and Idempotency-Key always give the same id."""
    if idempotency_key is None:
        return str(uuid.uuid4())
    return str(uuid.uuid5(_NAMESPACE, f"{tenant}\x00{idempotency_key}"))


class JobState(StrEnum):
    """The state of a job, in mem0's own words."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Job:
    """One add: what was requested (`request`: metadata, prompt, expiration_date, infer …) and how it ended."""

    id: str
    scope: Scope
    state: JobState
    created_at: str
    updated_at: str
    request: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 0
    #: The worker that runs it, and the time until which it may; after that another worker may take it over. A waiting
    #: job has no worker: the time is then when it is tried again (`next_try_at`).
    lease_owner: str | None = None
    lease_until: str | None = None
    #: When it was tried for the first time, or for the first time since somebody started it again.
    started_at: str | None = None
    completed_at: str | None = None
    #: The `results` of the answer with memory ids only: texts are read from the ledger when they are shown.
    results: tuple[Mapping[str, Any], ...] = ()
    error: str | None = None
    #: The number of the tenant's last erasure when it was accepted. A later erasure covers it (domain/erasures.py).
    erasures_before: int = 0
    #: Whether it has ended because its scope was erased.
    erased: bool = False

    @property
    def tenant(self) -> str:
        """The tenant of its scope."""
        return self.scope.tenant

    @property
    def finished(self) -> bool:
        """Whether it has ended, successfully or not."""
        return self.state in {JobState.SUCCEEDED, JobState.FAILED}

    @property
    def next_try_at(self) -> str | None:
        """When a waiting job is tried again; None when nothing holds it back."""
        return self.lease_until if self.state is JobState.PENDING else None

    @property
    def held_lease(self) -> str:
        """The name of the lease that is taken while it is held, until it is tried again: later adds wait behind it."""
        return f"held:{self.scope.writer_key()}"

    @property
    def lane(self) -> int:
        """The lane in which it waits: that of its speaker. It is too short to tell who the speaker is."""
        return int(self.scope.writer_key(), 16) % LANES

    @property
    def llm_calls(self) -> tuple[int, int] | None:
        """How many calls of the LLM a long add has done, and of about how many; None for any other job."""
        kept = self.request.get(LLM_CALLS)
        if not isinstance(kept, Mapping):
            return None
        done, left = kept.get("done"), kept.get("left")
        return (done, done + left) if isinstance(done, int) and isinstance(left, int) else None

    @property
    def payer(self) -> tuple[str, str]:
        """The id of the key for which the LLM's tokens count ("" if it is unknown), and the time for whose day.

        Whoever starts a failed add again, or imports one that runs here, pays for it, on that day: otherwise no quota
        would ever notice.
        """
        retried = self.request.get(RETRIED, {})
        key_id = retried.get("key") or self.request.get("source_key") or ""
        return key_id, retried.get("at") or self.created_at

    def paid_by(self, key_id: str | None, *, at: str) -> Job:
        """The job whose tokens count from now on for this key, on the day of `at`; without one, for that of the add."""
        return replace(self, request={**self.request, RETRIED: {"at": at, **({"key": key_id} if key_id else {})}})

    def as_erased(self) -> Job:
        """The job ended because its scope was erased: SUCCEEDED, without request and results.

        Its times and its owner stay: a worker that still holds it learns that it has ended.
        """
        return replace(
            self,
            state=JobState.SUCCEEDED,
            request={},
            results=(),
            error=None,
            erased=True,
            completed_at=self.completed_at or self.updated_at,
        )

    def nobodys(self) -> Job:
        """What a ledger keeps of a job that has ended when its last message is gone: not whose it was, nor its request.

        An erasure finds a job by its messages. Of an error, its code stays: its words may be a provider's.
        """
        code = _CODE.match(self.error) if self.error else None
        return replace(self, scope=Scope(self.scope.tenant), request={}, error=code and code[0])

    def claimable(self, now: str) -> bool:
        """Whether a worker may take it: it is waiting, or its worker's lease has expired."""
        if self.finished:
            return False
        return self.state is JobState.PENDING or self.lease_until is None or self.lease_until <= now

    def held_s(self, now: str) -> int:
        """Whole seconds until its worker's claim expires, at least 1; 0 when no worker holds it."""
        if self.finished or self.claimable(now) or self.lease_until is None:
            return 0
        return wait_s(now, self.lease_until, at_most=seconds_between(self.updated_at, self.lease_until))

    def claimed(self, *, owner: str, now: str, until: str) -> Job:
        """The job in state RUNNING for `owner`, with one more attempt."""
        return replace(
            self,
            state=JobState.RUNNING,
            attempts=self.attempts + 1,
            lease_owner=owner,
            lease_until=until,
            started_at=self.started_at or now,
            updated_at=now,
        )

    def stands_as(self, seen: Job) -> bool:
        """Whether it is unchanged since it was read as `seen`: state, claim, attempts and time are the same."""
        return self._standing() == seen._standing()

    def _standing(self) -> tuple[JobState, str | None, str | None, int, str]:
        return (self.state, self.lease_owner, self.lease_until, self.attempts, self.updated_at)

    def ends_with(self, done: Job) -> bool:
        """Whether `done` may replace this job as its end; False when the job has already ended.

        Raises LeaseLostError when another worker holds the job.
        """
        if self.lease_owner != done.lease_owner:
            wait = max(1, self.held_s(done.updated_at))
            raise LeaseLostError(f"job {self.id}: its lease expired and another worker took it over", retry_after=wait)
        return not self.finished
