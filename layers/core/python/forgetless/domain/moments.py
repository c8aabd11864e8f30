"""The two times of a memory: when it was true, and when the service knew it.

A memory is true from its `created_at`, which a client may set to an earlier time, until the `created_at` of the
memory that supersedes it. It is known from the time when the service received it. An update of its text corrects it
for the whole time in which it is true, but the new text is known only from the update on. A deleted memory is also
gone from the past.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forgetless.domain.memory import Event, EventKind, Memory

__all__ = [
    "OPEN",
    "Moment",
    "PastTimes",
    "begun",
    "ended_by",
    "first_known",
    "has_past",
    "is_known",
    "known",
    "known_from",
    "past_of",
    "recorded_at",
    "told_early",
    "true_at",
]

#: The end of what has not ended: a text that sorts after every timestamp.
OPEN = "~"


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
        return first_known(memory)
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


def first_known(memory: Memory) -> str:
    """Since when any version of this memory is known; every later one is known from a later time."""
    return memory.accepted_at


def known_from(memory: Memory) -> str:
    """Since when this version is known."""
    return recorded_at(Event(EventKind.ADD if memory.version == 1 else EventKind.UPDATE, memory))


def is_known(memory: Memory, moment: Moment) -> bool:
    """Whether the current version of a memory was known then already, so that its history need not be read."""
    return moment.known_at is None or known_from(memory) <= moment.known_at


@dataclass(frozen=True, slots=True)
class PastTimes:
    """When a version was known, and when it may have been true; each time begins with the first and ends before the
    second.

    The true end depends on another memory, so `true_until` is an upper bound. OPEN stands for no end.
    """

    known_from: str
    known_until: str
    true_from: str
    true_until: str

    def may_hold(self, moment: Moment) -> bool:
        """Whether the version may have been known and true then. What was not superseded has no end."""
        known_at, as_of = moment.known_at, moment.as_of
        is_known = self.known_until == OPEN if known_at is None else self.known_from <= known_at < self.known_until
        return is_known and (self.true_until == OPEN if as_of is None else self.true_from <= as_of < self.true_until)


def ended_by(memory: Memory, successor_from: str | None) -> str:
    """When a version ended at the latest; `successor_from` is when its successor begins, None if there is none now.

    Without one, it ended when it was superseded.
    """
    if memory.superseded_by is None:
        return OPEN
    return max(memory.updated_at, successor_from or "")


def told_early(memory: Memory) -> bool:
    """Whether it was received before the time that it is about: its row in the index does not say when."""
    return memory.version == 1 and memory.recorded_at is not None and memory.recorded_at < memory.created_at


def has_past(memory: Memory) -> bool:
    """Whether versions of a memory, given as it is now, stand among those of the past."""
    return not memory.deleted and (memory.version > 1 or not memory.live or told_early(memory))


def past_of(history: Sequence[Event], begins: Mapping[str, str]) -> list[tuple[Memory, PastTimes]]:
    """The versions that stand among those of the past, with their times, the newest first.

    These are all but the current one of a live memory, and those that were never known: when a clock goes back, a later
    event may be recorded at an earlier time. `begins` says of each superseding memory when it begins. Nothing of a
    deleted memory stands there.
    """
    if not history or history[-1].memory.deleted:
        return []
    current = history[-1].memory
    until = OPEN
    found: list[tuple[Memory, PastTimes]] = []
    for event in reversed(history):
        memory, since = event.memory, recorded_at(event)
        if since < until and (memory.version < current.version or not current.live or told_early(current)):
            ended = ended_by(memory, begins.get(memory.superseded_by or ""))
            found.append((memory, PastTimes(since, until, memory.created_at, ended)))
        until = min(until, since)
    return found
