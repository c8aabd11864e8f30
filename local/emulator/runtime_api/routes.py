"""The routes of the Lambda Runtime API, and what they need of the environment that they serve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from local.emulator.invocation import Invocation
from local.emulator.states import InvalidTransitionError

_BASE = "/2018-06-01/runtime/"
_INVOCATION = "invocation/"
#: The header in which the runtime names the kind of a failure.
_ERROR_TYPE = "lambda-runtime-function-error-type"
_RESPONSE_MODE = "lambda-runtime-function-response-mode"
_REASONS = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    413: "Too Large",
    421: "Misdirected Request",
}


class Runtime(Protocol):
    """The environment, as the Runtime API sees it. Each method raises InvalidTransitionError at the wrong time."""

    arn: str
    #: Whether it was forked from another one, instead of being started.
    restored: bool

    @property
    def invocation(self) -> Invocation | None:
        """Return the invocation in progress."""

    def on_next(self, deliver: Callable[[Invocation], None]) -> None:
        """Note that the runtime waits for an event; `deliver` is called when there is one."""

    def on_response(self, body: bytes) -> bool:
        """Take the function's answer; return whether its size is permitted."""

    def on_error(self, kind: str, body: bytes) -> None:
        """Take the error of the invocation in progress."""

    def on_init_error(self, kind: str, body: bytes) -> None:
        """Take the error that ended the initialisation."""

    def on_hangup(self, *, unread: bool) -> None:
        """Note that the runtime's connection ended; `unread` tells whether an event was on its way."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; its body is always JSON."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the answer as bytes of HTTP."""
        extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = (
            f"HTTP/1.1 {self.status} {_REASONS.get(self.status, '')}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n{extra}\r\n"
        )
        return head.encode("latin-1", "replace") + self.body


#: To a request whose `Host` header names another machine.
FOREIGN = Reply(421, b'{"errorMessage":"The Host header names another machine.","errorType":"MisdirectedRequest"}\n')
_ACCEPTED = Reply(202, b'{"status":"OK"}\n')


def handle(runtime: Runtime, request: Request, send: Callable[[Reply], None]) -> Reply | None:
    """Answer a call of the runtime; None means that `send` is called later."""
    try:
        return _route(runtime, request, send)
    except InvalidTransitionError as refused:
        return _refusal(403, "InvalidStateTransition", str(refused))


def _route(runtime: Runtime, request: Request, send: Callable[[Reply], None]) -> Reply | None:
    if request.path.startswith(_BASE):
        path = request.path[len(_BASE) :]
        if (request.method, path) == ("GET", "invocation/next"):
            arn = runtime.arn
            runtime.on_next(lambda invocation: send(_event(invocation, arn)))
            return None
        if (request.method, path) == ("POST", "init/error"):
            return _init_error(runtime, request)
        if path.startswith("restore/"):
            return _restore(runtime, request, path)
        if request.method == "POST" and path.startswith(_INVOCATION):
            request_id, _, verb = path[len(_INVOCATION) :].partition("/")
            if verb == "response":
                return _response(runtime, request, request_id)
            if verb == "error":
                return _error(runtime, request, request_id)
    return _refusal(404, "NotFound", f"{request.method} {request.path} is no route of the Runtime API")


def _init_error(runtime: Runtime, request: Request) -> Reply:
    runtime.on_init_error(request.headers.get(_ERROR_TYPE, ""), request.body)
    return _ACCEPTED


def _restore(runtime: Runtime, request: Request, path: str) -> Reply:
    """Take the error of a hook after the restore; nothing else is asked here, because a fork is restored at once."""
    if (request.method, path) == ("POST", "restore/error") and runtime.restored:
        return _init_error(runtime, request)
    text = f"{request.path} needs an environment that was forked, which is to functions a restore by SnapStart"
    return _refusal(403, "InvalidStateTransition", text)


def _event(invocation: Invocation, arn: str) -> Reply:
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


def _response(runtime: Runtime, request: Request, request_id: str) -> Reply:
    """Take the answer of the invocation in progress; a streamed answer is read to its end first."""
    if not _is_current(runtime, request_id):
        return _refusal(400, "InvalidRequestID", "Invalid request ID")
    if request.headers.get(_RESPONSE_MODE, "streaming") != "streaming":
        return _refusal(400, "InvalidFunctionResponseMode", "Invalid function response mode")
    if runtime.on_response(request.body):
        return _ACCEPTED
    return _refusal(413, "RequestEntityTooLarge", "Exceeded maximum allowed payload size (6291556 bytes).")


def _error(runtime: Runtime, request: Request, request_id: str) -> Reply:
    if not _is_current(runtime, request_id):
        return _refusal(400, "InvalidRequestID", "Invalid request ID")
    runtime.on_error(request.headers.get(_ERROR_TYPE, ""), request.body)
    return _ACCEPTED


def _is_current(runtime: Runtime, request_id: str) -> bool:
    return runtime.invocation is not None and runtime.invocation.request_id == request_id


def _refusal(status: int, kind: str, text: str) -> Reply:
    return Reply(status, orjson.dumps({"errorMessage": text, "errorType": kind}))
