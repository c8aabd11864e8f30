"""Time in two senses: when something was true, and when it was known.

A memory is true from its `created_at` (which a client may set back) until the `created_at` of the memory that
supersedes it. It is known from when the service heard of it, and a correction (an update of its text) from when it
was made. What was deleted is gone from the past as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetless.domain.memory import Event, EventKind, Memory

__all__ = ["Moment", "begun", "known", "recorded_at", "true_at"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in both times (timestamps): `as_of` None asks for what counted as current, `known_at` None for now."""

    as_of: str | None = None
    known_at: str | None = None

    def reference(self, now: str) -> str:
        """The time by which expiration is judged."""
        return self.as_of or self.known_at or now


def recorded_at(event: Event) -> str:
    """When the ledger heard of it."""
    memory = event.memory
    if event.kind is EventKind.ADD:
        return memory.recorded_at or memory.created_at
    return memory.updated_at


def known(history: Sequence[Event], moment: Moment) -> Memory | None:
    """The memory as it was known then; None when it was not, or is deleted by now."""
    if not history or history[-1].memory.deleted:
        return None
    found = [event.memory for event in history if moment.known_at is None or recorded_at(event) <= moment.known_at]
    return found[-1] if found else None


def begun(memory: Memory, moment: Moment) -> bool:
    """Whether a known memory had become true by then, be it true no longer."""
    return moment.as_of is None or memory.created_at <= moment.as_of


def true_at(memory: Memory, moment: Moment, ended_at: str | None) -> bool:
    """Whether a known memory was true then; `ended_at` is when what supersedes it begins (None: nothing does)."""
    if moment.as_of is None:
        return memory.superseded_by is None
    ended = ended_at if memory.superseded_by is not None else None
    return begun(memory, moment) and (ended is None or moment.as_of < ended)
