"""POST /runtime/invocation/{id}/response: the function's answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.emulator.runtime_api.messages import ACCEPTED, Reply, Request, error_reply

if TYPE_CHECKING:
    from local.emulator.environments.environment import Environment

_MODE = "lambda-runtime-function-response-mode"


def handle(environment: Environment, request: Request, request_id: str) -> Reply:
    """Take the answer of the invocation in progress; streamed ones are taken whole."""
    if not is_current(environment, request_id):
        return error_reply(400, "InvalidRequestID", "Invalid request ID")
    if request.headers.get(_MODE, "streaming") != "streaming":
        return error_reply(400, "InvalidFunctionResponseMode", "Invalid function response mode")
    if environment.on_response(request.body):
        return ACCEPTED
    text = "Exceeded maximum allowed payload size (6291556 bytes)."
    return error_reply(413, "RequestEntityTooLarge", text)


def is_current(environment: Environment, request_id: str) -> bool:
    """Return whether the id is that of the environment's invocation."""
    return environment.invocation is not None and environment.invocation.request_id == request_id
