"""Memories that take much more room in a process than they store, and how much of it a piece of work takes."""

from __future__ import annotations

import tracemalloc
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from forgetless.domain.memory import Event, EventKind, Memory, memory_id
from forgetless.domain.scope import Scope
from forgetless.domain.times import later

__all__ = ["HEAVY", "MB", "a_heavy_memory", "heavy_history", "peak_of"]

T = TypeVar("T")

MB = 1_000_000
#: 63 KB of JSON, which earlier versions took as metadata, and 1.5 MB as Python lists.
HEAVY: dict[str, Any] = {"a": [[]] * 21_000}
AT = "2026-01-01T00:00:00.000000+00:00"


def a_heavy_memory(job: str = "job", position: int = 0, *, text: str = "m", user: str = "alice") -> Memory:
    job, scope = str(uuid.uuid5(uuid.NAMESPACE_OID, job)), Scope("default", user_id=user)
    return Memory(memory_id(job, position), 1, scope, text, AT, AT, job, position, metadata=HEAVY)


def heavy_history(versions: int, *, user: str = "alice") -> list[Event]:
    """The events of a memory that was changed so often, each time by a few words."""
    events = [Event(EventKind.ADD, a_heavy_memory(user=user))]
    for number in range(2, versions + 1):
        last = events[-1].memory
        after = last.next_version(later(last.updated_at, 1), event_id=f"event {number}", text=f"m{number}")
        events.append(Event(EventKind.UPDATE, replace(after, metadata=HEAVY)))
    return events


def peak_of(work: Callable[[], T]) -> tuple[T, int]:
    """What the work gave, and how many bytes of Python objects it held at most."""
    tracemalloc.start()
    try:
        found = work()
        return found, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
