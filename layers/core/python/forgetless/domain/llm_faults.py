"""Faults of the LLM: what is noted of them, and how long one waits after them."""

from __future__ import annotations

from dataclasses import dataclass

from forgetless.domain.documents import Document
from forgetless.domain.limits import JOB_S, LEASE_MARGIN_S

__all__ = [
    "BELIEVED_S",
    "LONGEST_HOLD_S",
    "LONGEST_RETRY_AFTER_S",
    "SHORTEST_HOLD_S",
    "TRIAL_S",
    "LlmFault",
    "fault_of",
    "hold_s",
]

#: Seconds for which a process believes that the LLM works without reading it again, and between two notes of it.
BELIEVED_S = 10.0
#: The shortest and the longest wait before a provider that failed is tried again, and the longest that it may ask for.
SHORTEST_HOLD_S = 5.0
LONGEST_HOLD_S = 120.0
LONGEST_RETRY_AFTER_S = 3600.0
#: Who tries the LLM for others has so long: a whole job.
TRIAL_S = JOB_S + LEASE_MARGIN_S


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


def fault_of(held: Document | None) -> LlmFault | None:
    """The fault that a document notes; None if it notes none."""
    if held is None or "error" not in held.body:
        return None
    return LlmFault(held.body["error"], held.body["since"], held.body["next_try_at"])
