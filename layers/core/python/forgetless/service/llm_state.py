"""LlmState: whether the LLM works, as the last real calls showed. All processes share it through the ledger.

While it does not work, one job at a time tries it, and the others wait without calling it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from forgetless.domain.documents import Document
from forgetless.domain.errors import DependencyError, ForgetlessError, LlmUnavailableError, ProviderError
from forgetless.domain.limits import JOB_S, LEASE_MARGIN_S
from forgetless.domain.times import later, seconds_between
from forgetless.ports.clock import Clock
from forgetless.ports.llm import ChatMessage, Completion, Llm
from forgetless.ports.metrics import LLM_CALLS
from forgetless.ports.request_ledger import DocumentStore

__all__ = ["LONGEST_HOLD_S", "SHORTEST_HOLD_S", "LlmFault", "LlmState", "WatchedLlm", "hold_s"]

_logger = logging.getLogger(__name__)

#: A document that belongs to no tenant.
_KEY = ("", "provider", "llm")
#: Seconds for which a process believes that the LLM works without reading it again, and between two notes of it.
_BELIEVED_S = 10.0
#: The shortest and the longest wait before a provider that failed is tried again, and the longest that it may ask for.
SHORTEST_HOLD_S = 5.0
LONGEST_HOLD_S = 120.0
LONGEST_RETRY_AFTER_S = 3600.0
#: Who tries the LLM for all has so long: a whole job.
_TRIAL_S = JOB_S + LEASE_MARGIN_S
#: A call with less time than this says nothing about the LLM when it runs out of it.
_SLOW_S = 20.0


def hold_s(failing_s: float, retry_after: int | None = None) -> float:
    """Seconds until a provider is tried again that has failed for `failing_s`: as long again, within bounds."""
    wait = min(max(failing_s, SHORTEST_HOLD_S), LONGEST_HOLD_S)
    return max(wait, min(retry_after or 0.0, LONGEST_RETRY_AFTER_S))


@dataclass(frozen=True, slots=True)
class LlmFault:
    """What the LLM's last call failed with, since when no call has succeeded, and when the next one may be tried."""

    error: str
    since: str
    next_try_at: str


class LlmState:
    """Notes the outcome of calls, at most once in ten seconds while all is well, and tells it."""

    def __init__(self, *, ledger: DocumentStore, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._well_until = float("-inf")

    def fault(self) -> LlmFault | None:
        """The present fault; None when the LLM works or was never called."""
        return _fault(self._ledger.document(*_KEY))

    def check(self) -> None:
        """Raise LlmUnavailableError if the last call failed. It calls nothing, so it costs no tokens."""
        fault = self.fault()
        if fault is not None:
            raise LlmUnavailableError(f"{fault.error} (since {fault.since})")

    def worked_since(self, moment: str) -> bool:
        """Whether a call has succeeded since the moment. A success may be noted up to ten seconds late."""
        held = self._ledger.document(*_KEY)
        return held is not None and str(held.body.get("worked_at") or "") > moment

    def may_try(self) -> LlmFault | None:
        """None when the caller may call the LLM; otherwise the fault because of which it must wait.

        After a fault, one caller at a time may try.
        """
        if self._clock.monotonic() < self._well_until:
            return None
        held = self._ledger.document(*_KEY)
        fault = _fault(held)
        if held is None or fault is None:
            self._well_until = self._clock.monotonic() + _BELIEVED_S
            return None
        now = self._clock.now()
        if fault.next_try_at > now:
            return fault
        until = later(now, _TRIAL_S)
        if self._put(held, {**held.body, "next_try_at": until}):
            return None
        # Another one tries now. If it fails, that is how long all others wait.
        return replace(fault, next_try_at=later(now, hold_s(seconds_between(fault.since, now))))

    def worked(self) -> None:
        """Note that a call has succeeded."""
        if self._clock.monotonic() < self._well_until:
            return
        held = self._ledger.document(*_KEY)
        fault, now = _fault(held), self._clock.now()
        if fault is not None:
            _logger.warning("the LLM works again")
        if fault is not None or held is None or str(held.body.get("worked_at") or "") < later(now, -_BELIEVED_S):
            self._put(held, {"worked_at": now})
        self._well_until = self._clock.monotonic() + _BELIEVED_S

    def failed(self, reason: str, *, retry_after: int | None = None) -> None:
        """Note that a call has failed through no fault of its input."""
        self._well_until = float("-inf")
        held = self._ledger.document(*_KEY)
        fault, now = _fault(held), self._clock.now()
        since = now if fault is None else fault.since
        body: dict[str, Any] = {} if held is None else dict(held.body)
        wait = hold_s(seconds_between(since, now), retry_after)
        if self._put(held, {**body, "error": reason, "since": since, "next_try_at": later(now, wait)}):
            _logger.error("the LLM fails", extra={"reason": reason, "since": since, "next_try_s": round(wait)})

    def _put(self, held: Document | None, body: Mapping[str, Any]) -> bool:
        """Write the next version; False when another process has just written: what it says is as good."""
        now = self._clock.now()
        return self._ledger.put_document(
            Document(*_KEY, body, now) if held is None else replace(held, body=body, version=held.version + 1)
        )


def _fault(held: Document | None) -> LlmFault | None:
    if held is None or "error" not in held.body:
        return None
    return LlmFault(held.body["error"], held.body["since"], held.body["next_try_at"])


class WatchedLlm:
    """An LLM whose calls are noted."""

    def __init__(self, llm: Llm, state: LlmState) -> None:
        self._llm = llm
        self._state = state

    def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema_name: str | None = None,
        schema: Mapping[str, Any] | None = None,
        deadline_s: float,
    ) -> Completion:
        try:
            reply = self._llm.complete(messages, schema_name=schema_name, schema=schema, deadline_s=deadline_s)
        except TimeoutError:
            LLM_CALLS.count(outcome="failed")
            if deadline_s >= _SLOW_S:
                self._note("deadline_exceeded: the LLM did not answer in time")
            raise
        except DependencyError as error:
            refused = isinstance(error, ProviderError) and error.blames_input
            LLM_CALLS.count(outcome="refused" if refused else "failed")
            if not refused:
                after = error.retry_after if isinstance(error, LlmUnavailableError) else None
                self._note(f"{error.code}: {error.message}", after)
            raise
        LLM_CALLS.count(outcome="answered")
        self._worked()
        return reply

    def close(self) -> None:
        self._llm.close()

    def _note(self, reason: str, retry_after: int | None = None) -> None:
        try:
            self._state.failed(reason, retry_after=retry_after)
        except ForgetlessError as error:  # the call's own error says more
            _logger.warning("the state of the LLM was not noted", extra={"reason": error.message})

    def _worked(self) -> None:
        try:
            self._state.worked()
        except ForgetlessError as error:  # the call has succeeded all the same
            _logger.warning("the state of the LLM was not noted", extra={"reason": error.message})
