"""POST /runtime/invocation/{id}/error: the function's failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.emulator.runtime_api.messages import ACCEPTED, Reply, Request, error_reply
from local.emulator.runtime_api.response import is_current

if TYPE_CHECKING:
    from local.emulator.environments.environment import Environment

#: Where the runtime names the kind of a failure.
TYPE_HEADER = "lambda-runtime-function-error-type"


def handle(environment: Environment, request: Request, request_id: str) -> Reply:
    """Take the error of the invocation in progress."""
    if not is_current(environment, request_id):
        return error_reply(400, "InvalidRequestID", "Invalid request ID")
    environment.on_error(request.headers.get(TYPE_HEADER, ""), request.body)
    return ACCEPTED
