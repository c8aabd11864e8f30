"""GET /runtime/invocation/next: waits for an event without limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from local.emulator.environments.invocation import Invocation
from local.emulator.runtime_api.messages import Reply

if TYPE_CHECKING:
    from local.emulator.environments.environment import Environment


def handle(environment: Environment, send: Callable[[Reply], None]) -> None:
    """Remember where to send the next event."""
    arn = environment.arn
    environment.on_next(lambda invocation: send(event_reply(invocation, arn)))


def event_reply(invocation: Invocation, arn: str) -> Reply:
    """Return an invocation as the runtime reads it; empty headers are left out."""
    headers = {
        "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
        "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
        "Lambda-Runtime-Invoked-Function-Arn": arn,
    }
    if invocation.trace_id:
        headers["Lambda-Runtime-Trace-Id"] = invocation.trace_id
    if invocation.client_context:
        headers["Lambda-Runtime-Client-Context"] = invocation.client_context
    return Reply(200, invocation.payload, headers)
