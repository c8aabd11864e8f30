"""The states of an execution environment and their transitions, without HTTP and processes.

A transition that the table does not name is refused. The normal order is starting, idle, then (busy, answered,
idle) repeatedly, and gone. A runtime whose connection ends while it waits for an event, or before it has read one,
is leaving: it gets no further event.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """The state of an environment."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    ANSWERED = "answered"
    INIT_FAILED = "init_failed"
    LEAVING = "leaving"
    GONE = "gone"


class Event(StrEnum):
    """What may happen to an environment."""

    NEXT = "next"
    INVOKE = "invoke"
    RESPONSE = "response"
    ERROR = "error"
    INIT_ERROR = "init_error"
    HANGUP = "hangup"
    EXIT = "exit"


#: Everything that is permitted; the rest is refused.
TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.STARTING, Event.NEXT): State.IDLE,
    (State.STARTING, Event.INIT_ERROR): State.INIT_FAILED,
    (State.STARTING, Event.EXIT): State.GONE,
    (State.IDLE, Event.INVOKE): State.BUSY,
    (State.IDLE, Event.HANGUP): State.LEAVING,
    (State.IDLE, Event.EXIT): State.GONE,
    (State.BUSY, Event.RESPONSE): State.ANSWERED,
    (State.BUSY, Event.ERROR): State.ANSWERED,
    (State.BUSY, Event.HANGUP): State.LEAVING,
    (State.BUSY, Event.EXIT): State.GONE,
    (State.ANSWERED, Event.NEXT): State.IDLE,
    (State.ANSWERED, Event.EXIT): State.GONE,
    (State.INIT_FAILED, Event.EXIT): State.GONE,
    (State.LEAVING, Event.EXIT): State.GONE,
}


class InvalidTransitionError(Exception):
    """An event that the state does not permit; the text names both."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"{event.value} is not permitted while the environment is {state.value}")
        self.state = state
        self.event = event


def after(state: State, event: Event) -> State:
    """Return the state that follows.

    Raises:
        InvalidTransitionError: the state does not permit the event.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise InvalidTransitionError(state, event) from None
