"""Every state and every event of an environment, without a process and without a socket."""

from __future__ import annotations

import itertools

import pytest

from local.emulator.states import Event, InvalidTransitionError, State, after
from tests.emulator.fidelity import read

PERMITTED = {
    ("starting", "next"): "idle",
    ("starting", "init_error"): "init_failed",
    ("idle", "invoke"): "busy",
    ("busy", "response"): "answered",
    ("busy", "error"): "answered",
    ("answered", "next"): "idle",
    ("idle", "hangup"): "leaving",
    ("busy", "hangup"): "leaving",
    **{(state, "exit"): "gone" for state in ("starting", "idle", "busy", "answered", "init_failed", "leaving")},
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
@read("aws-lambda-runtime-interface-emulator: core/states.go")
def test_every_event_in_every_state_is_permitted_or_refused(state: State, event: Event) -> None:
    expected = PERMITTED.get((state.value, event.value))
    if expected:
        assert after(state, event) == expected
    else:
        with pytest.raises(InvalidTransitionError, match=f"{event.value} .* {state.value}"):
            after(state, event)


@read("aws-lambda-runtime-interface-emulator: core/states.go")
def test_a_second_response_is_refused() -> None:
    answered = after(State.BUSY, Event.RESPONSE)
    with pytest.raises(InvalidTransitionError, match="response is not permitted while the environment is answered"):
        after(answered, Event.RESPONSE)
