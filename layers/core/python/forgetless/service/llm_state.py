"""LlmState: whether the LLM works, as the last real calls of all tenants showed. Processes share it in the ledger.

It is what `/health` says. Whose adds wait for the LLM is decided for each tenant, by `llm_trials.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from forgetless.domain.documents import Document
from forgetless.domain.errors import DependencyError, ForgetlessError, LlmUnavailableError, ProviderError
from forgetless.domain.llm_faults import BELIEVED_S, LlmFault, fault_of, hold_s
from forgetless.domain.loaded_bytes import give_turn
from forgetless.domain.times import later, seconds_between
from forgetless.ports.clock import Clock
from forgetless.ports.llm import ChatMessage, Completion, Llm
from forgetless.ports.metrics import LLM_CALLS
from forgetless.ports.request_ledger import DocumentStore
from forgetless.service.llm_trials import LlmTrials

__all__ = ["LlmState", "WatchedLlm"]

_logger = logging.getLogger(__name__)

#: A document that belongs to no tenant.
_KEY = ("", "provider", "llm")
#: A call with less time than this says nothing about the LLM when it runs out of it.
_SLOW_S = 20.0


class LlmState:
    """Notes the outcome of calls, at most once in ten seconds while all is well, and tells it."""

    def __init__(self, *, ledger: DocumentStore, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._well_until = float("-inf")

    def fault(self) -> LlmFault | None:
        """The present fault; None when the LLM works or was never called."""
        return fault_of(self._ledger.document(*_KEY))

    def check(self) -> None:
        """Raise LlmUnavailableError if the last call failed. It calls nothing, so it costs no tokens."""
        fault = self.fault()
        if fault is not None:
            raise LlmUnavailableError(f"{fault.error} (since {fault.since})")

    def worked_since(self, moment: str) -> bool:
        """Whether a call has succeeded since the moment. A success may be noted up to ten seconds late."""
        held = self._ledger.document(*_KEY)
        return held is not None and str(held.body.get("worked_at") or "") > moment

    def worked(self) -> None:
        """Note that a call has succeeded."""
        if self._clock.monotonic() < self._well_until:
            return
        held = self._ledger.document(*_KEY)
        fault, now = fault_of(held), self._clock.now()
        if fault is not None:
            _logger.warning("the LLM works again")
        if fault is not None or held is None or str(held.body.get("worked_at") or "") < later(now, -BELIEVED_S):
            self._put(held, {"worked_at": now})
        self._well_until = self._clock.monotonic() + BELIEVED_S

    def failed(self, reason: str, *, retry_after: int | None = None) -> None:
        """Note that a call has failed through no fault of its input."""
        self._well_until = float("-inf")
        held = self._ledger.document(*_KEY)
        fault, now = fault_of(held), self._clock.now()
        since = now if fault is None else fault.since
        body: dict[str, Any] = {} if held is None else dict(held.body)
        # An earlier version, which may run beside this one during an upgrade, waits for this time.
        wait = hold_s(seconds_between(since, now), retry_after)
        if self._put(held, {**body, "error": reason, "since": since, "next_try_at": later(now, wait)}):
            _logger.error("the LLM fails", extra={"reason": reason, "since": since, "next_try_s": round(wait)})

    def _put(self, held: Document | None, body: Mapping[str, Any]) -> bool:
        """Write the next version; False when another process has just written: what it says is as good."""
        now = self._clock.now()
        return self._ledger.put_document(
            Document(*_KEY, body, now) if held is None else replace(held, body=body, version=held.version + 1)
        )


class WatchedLlm:
    """An LLM whose calls are noted."""

    def __init__(self, llm: Llm, state: LlmState, trials: LlmTrials) -> None:
        self._llm = llm
        self._state = state
        self._trials = trials

    def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema_name: str | None = None,
        schema: Mapping[str, Any] | None = None,
        deadline_s: float,
    ) -> Completion:
        try:
            give_turn()
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
                self._note(f"{error.code}: {error.logged}", after)
            raise
        LLM_CALLS.count(outcome="answered")
        self._worked()
        return reply

    def close(self) -> None:
        self._llm.close()

    def _note(self, reason: str, retry_after: int | None = None) -> None:
        try:
            self._state.failed(reason, retry_after=retry_after)
            self._trials.failed(reason)
        except ForgetlessError as error:  # the call's own error says more
            _logger.warning("the state of the LLM was not noted", extra={"reason": error.message})

    def _worked(self) -> None:
        try:
            self._state.worked()
            self._trials.worked()
        except ForgetlessError as error:  # the call has succeeded all the same
            _logger.warning("the state of the LLM was not noted", extra={"reason": error.message})
