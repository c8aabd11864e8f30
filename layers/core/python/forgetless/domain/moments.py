"""The two times of a memory: when it was true, and when the service knew it.

A memory is true from its `created_at`, which a client may set to an earlier time, until the `created_at` of the
memory that supersedes it. It is known from the time when the service received it. An update of its text corrects it
for the whole time in which it is true, but the new text is known only from the update on. A deleted memory is also
gone from the past.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetless.domain.memory import Event, EventKind, Memory

__all__ = ["Moment", "begun", "known", "recorded_at", "true_at"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in both times, as timestamps. `as_of` None means what was current then; `known_at` None means now."""

    as_of: str | None = None
    known_at: str | None = None

    def reference(self, now: str) -> str:
        """The time that expiration dates are compared with."""
        return self.as_of or self.known_at or now


def recorded_at(event: Event) -> str:
    """When the service received the event."""
    memory = event.memory
    if event.kind is EventKind.ADD:
        return memory.recorded_at or memory.created_at
    return memory.updated_at


def known(history: Sequence[Event], moment: Moment) -> Memory | None:
    """The memory as it was known then; None when it was not yet known, or has been deleted since."""
    if not history or history[-1].memory.deleted:
        return None
    found = [event.memory for event in history if moment.known_at is None or recorded_at(event) <= moment.known_at]
    return found[-1] if found else None


def begun(memory: Memory, moment: Moment) -> bool:
    """Whether a known memory had become true by then, even if it was no longer true."""
    return moment.as_of is None or memory.created_at <= moment.as_of


def true_at(memory: Memory, moment: Moment, ended_at: str | None) -> bool:
    """Whether a known memory was true then; `ended_at` is when the memory that supersedes it begins, or None."""
    if moment.as_of is None:
        return memory.superseded_by is None
    ended = ended_at if memory.superseded_by is not None else None
    return begun(memory, moment) and (ended is None or moment.as_of < ended)
