"""The table of the Runtime API's routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from local.emulator.runtime_api import error, init_error, next_invocation, response, restore
from local.emulator.runtime_api.messages import Reply, Request, error_reply
from local.emulator.states import InvalidTransitionError

if TYPE_CHECKING:
    from local.emulator.environments.environment import Environment

_BASE = "/2018-06-01/runtime/"
_INVOCATION = "invocation/"


def handle(environment: Environment, request: Request, send: Callable[[Reply], None]) -> Reply | None:
    """Answer a call of the runtime; None means that `send` is called later."""
    try:
        return _route(environment, request, send)
    except InvalidTransitionError as refused:
        return error_reply(403, "InvalidStateTransition", str(refused))


def _route(environment: Environment, request: Request, send: Callable[[Reply], None]) -> Reply | None:
    if request.path.startswith(_BASE):
        path = request.path[len(_BASE) :]
        if (request.method, path) == ("GET", "invocation/next"):
            next_invocation.handle(environment, send)
            return None
        if request.method == "POST" and path == "init/error":
            return init_error.handle(environment, request)
        if path.startswith("restore/"):
            return restore.handle(request)
        if request.method == "POST" and path.startswith(_INVOCATION):
            request_id, _, verb = path[len(_INVOCATION) :].partition("/")
            if verb == "response":
                return response.handle(environment, request, request_id)
            if verb == "error":
                return error.handle(environment, request, request_id)
    return error_reply(404, "NotFound", f"{request.method} {request.path} is no route of the Runtime API")
