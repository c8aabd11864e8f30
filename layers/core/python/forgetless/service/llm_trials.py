"""LlmTrials: which adds of a tenant may call the LLM while it fails for the tenant. All processes share it.

A text of one speaker, or a tenant's own gateway, may be what the LLM fails on. So a failure holds up nobody else: only
when several adds of a tenant have failed and none has succeeded since, its queued adds try one at a time. Calls for
other tenants, and calls that are not for an add, do not count.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

from forgetless.domain.documents import Document
from forgetless.domain.jobs import Job
from forgetless.domain.llm_faults import BELIEVED_S, LONGEST_HOLD_S, TRIAL_S, LlmFault, fault_of, hold_s
from forgetless.domain.times import later, seconds_between
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import DocumentStore

__all__ = ["LlmTrials", "calling_for"]

#: The document of a tenant; nobody lists it, and it ends with the tenant.
_KIND, _ID = "provider", "llm"
#: So many adds must have failed since one succeeded.
_SHARED_BY = 3
#: For so many tenants a process remembers that it need not look.
_MOST_TENANTS = 1000

#: What an add says that waits, whatever the others have failed with.
_OTHERS = "provider_unavailable: the LLM has failed for several adds, so they try one after the other"

_JOB: ContextVar[Job | None] = ContextVar("the add that calls the LLM", default=None)


@contextmanager
def calling_for(job: Job) -> Iterator[None]:
    """Count the results of LLM calls for this add, while the context is open."""
    token = _JOB.set(job)
    try:
        yield
    finally:
        _JOB.reset(token)


class LlmTrials:
    """Notes the results of adds' calls. It costs a look in ten seconds, and writes only around failures."""

    def __init__(self, *, ledger: DocumentStore, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        #: Until when a tenant's calls are believed to work, in monotonic seconds.
        self._well_until: OrderedDict[str, float] = OrderedDict()

    def may_try(self, job: Job) -> LlmFault | None:
        """None when the add may call the LLM; otherwise the fault because of which it must wait."""
        if self._well(job.tenant):
            return None
        held = self._ledger.document(job.tenant, _KIND, _ID)
        fault = fault_of(held)
        if held is None or fault is None:
            self._believe(job.tenant)
            return None
        if len(_failed_adds(held)) < _SHARED_BY:
            return None
        now, fault = self._clock.now(), replace(fault, error=_OTHERS)
        if fault.next_try_at > now:
            return fault
        trial = {**held.body, "next_try_at": later(now, TRIAL_S)}
        if self._ledger.put_document(replace(held, body=trial, version=held.version + 1)):
            return None
        # Another one tries now. If it fails, that is how long all others wait.
        return replace(fault, next_try_at=later(now, hold_s(seconds_between(fault.since, now))))

    def worked(self) -> None:
        """Note that a call of the present add has succeeded."""
        job = _JOB.get()
        if job is None or self._well(job.tenant):
            return
        held = self._ledger.document(job.tenant, _KIND, _ID)
        if held is not None and fault_of(held) is not None:
            self._ledger.put_document(replace(held, body={}, version=held.version + 1))
        self._believe(job.tenant)

    def failed(self, reason: str) -> None:
        """Note that a call of the present add has failed through no fault of its input, as far as anybody knows."""
        job = _JOB.get()
        if job is None:
            return
        self._well_until.pop(job.tenant, None)
        held = self._ledger.document(job.tenant, _KIND, _ID)
        fault, now = fault_of(held), self._clock.now()
        since = now if fault is None else fault.since
        failed = [*(one for one in _failed_adds(held) if one != job.id), job.id][-_SHARED_BY:]
        # How long a provider wants to rest is the matter of the add that it has told so.
        wait = min(hold_s(seconds_between(since, now)), LONGEST_HOLD_S)
        body = {"error": reason, "since": since, "next_try_at": later(now, wait), "adds": failed}
        place = Document(job.tenant, _KIND, _ID, body, now)
        self._ledger.put_document(place if held is None else replace(held, body=body, version=held.version + 1))

    def _well(self, tenant: str) -> bool:
        return self._clock.monotonic() < self._well_until.get(tenant, float("-inf"))

    def _believe(self, tenant: str) -> None:
        self._well_until[tenant] = self._clock.monotonic() + BELIEVED_S
        self._well_until.move_to_end(tenant)
        while len(self._well_until) > _MOST_TENANTS:
            self._well_until.popitem(last=False)


def _failed_adds(held: Document | None) -> list[str]:
    return [] if held is None else list(held.body.get("adds") or ())
