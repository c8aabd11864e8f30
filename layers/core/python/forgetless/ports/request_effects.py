"""What the current request has changed so far, noted as it happens: a request that fails later has changed it, too."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

__all__ = [
    "RequestEffects",
    "begin_request_effects",
    "current_request_effects",
    "note_change",
    "note_repeat",
    "note_updates",
]


@dataclass(slots=True)
class RequestEffects:
    """The effects of one request."""

    #: Whether it has stored, changed or deleted memories, messages or jobs, or begun an erasure.
    changed: bool = False
    #: How many existing memories it has changed.
    updates: int = 0
    #: Whether it was answered with the stored answer of an earlier request, and changed nothing itself.
    repeat: bool = False


#: The effects of the current request. A thread in a copy of the request's context sees the same object.
_current: ContextVar[RequestEffects | None] = ContextVar("request_effects", default=None)


def begin_request_effects() -> RequestEffects:
    """Begin the effects of this request; what follows is noted in the returned object."""
    effects = RequestEffects()
    _current.set(effects)
    return effects


def current_request_effects() -> RequestEffects:
    """The effects of the current request; none outside a request."""
    return _current.get() or RequestEffects()


def note_change() -> None:
    """Note that the request has changed something for good."""
    if (effects := _current.get()) is not None:
        effects.changed = True


def note_repeat() -> None:
    """Note that the request repeats an earlier one, whose answer it gets."""
    if (effects := _current.get()) is not None:
        effects.repeat = True


def note_updates(number: int) -> None:
    """Note that the request has changed so many memories that were there before."""
    if (effects := _current.get()) is not None:
        effects.updates += number
