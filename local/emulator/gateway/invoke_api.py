"""Lambda's Invoke API over HTTP, so that boto3's client and `sam local` tools work against the emulator."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any
from urllib.parse import unquote

import orjson

from local.emulator.asgi import ClientGoneError, Receive, Scope, Send, read_body
from local.emulator.gateway.api import MAX_BODY_BYTES, MAX_PAYLOAD_BYTES
from local.emulator.held_bodies import HeldBodies, TooManyBodiesError
from local.emulator.invocation import Invoker, InvokeResult, ThrottledError, invoke_async, new_request_id

#: The most bytes of the event of an asynchronous invocation.
MAX_EVENT_BYTES = 256 * 1024
_PREFIX, _SUFFIX = "/2015-03-31/functions/", "/invocations"

Answer = tuple[int, bytes, dict[str, str]]


class InvokeApi:
    """Serves /2015-03-31/functions/NAME/invocations; `log` takes lines about what went wrong."""

    def __init__(
        self, functions: Mapping[str, Invoker], log: Callable[[str], None], *, held: HeldBodies | None = None
    ) -> None:
        self._functions, self._log = functions, log
        self._held = held or HeldBodies()
        self._tasks: set[asyncio.Task[bool]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        if scope["type"] != "http":
            return
        try:
            body = await read_body(receive, MAX_BODY_BYTES)
            with self._held.holding(len(body or b"")):
                status, payload, extra = await self._answer(scope, body)
        except ClientGoneError:
            return
        except TooManyBodiesError:
            status, payload, extra = _error(429, "TooManyRequestsException", "Rate Exceeded: too many large requests")
        headers = [(name.encode(), value.encode()) for name, value in extra.items()]
        headers += [
            (b"content-type", b"application/json"),
            (b"x-amzn-requestid", new_request_id().encode()),
            (b"content-length", b"%d" % len(payload)),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": payload})

    async def _answer(self, scope: Scope, body: bytes | None) -> Answer:
        function = self._function(scope)
        if function is None:
            return _error(404, "ResourceNotFoundException", f"Function not found: {scope['path']}")
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        kind = headers.get("x-amz-invocation-type", "RequestResponse")
        limit = MAX_EVENT_BYTES if kind == "Event" else MAX_PAYLOAD_BYTES
        if body is None or len(body) > limit:
            return _error(413, "RequestTooLargeException", f"Request must be smaller than {limit} bytes")
        payload = body or b"{}"
        try:
            orjson.loads(payload)
            context = base64.b64decode(headers.get("x-amz-client-context", "")).decode()
        except ValueError as error:  # no JSON, no base64 or no text
            return _error(400, "InvalidRequestContentException", f"Could not parse request body into json: {error}")
        if kind == "RequestResponse":
            return await self._invoke(function, payload, context)
        if kind == "Event":
            self._invoke_later(function, payload)
        return (202 if kind == "Event" else 204), b"", {}

    def _function(self, scope: Scope) -> Invoker | None:
        """Return the function that a call names, by name or ARN, with or without a version."""
        path = scope["path"]
        if scope["method"] != "POST" or not path.startswith(_PREFIX) or not path.endswith(_SUFFIX):
            return None
        name = unquote(path[len(_PREFIX) : -len(_SUFFIX)])
        return self._functions.get(name.rsplit("function:", 1)[-1].split(":", 1)[0])

    async def _invoke(self, function: Invoker, payload: bytes, context: str) -> Answer:
        try:
            result: InvokeResult = await function.submit(payload, client_context=context)
        except ThrottledError as error:
            extra = {"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded"}
            return _error(429, "TooManyRequestsException", f"Rate Exceeded: {error}", extra)
        if result.not_run:
            return _error(500, "ServiceException", result.not_run, {"Type": "Service"})
        headers = {"x-amz-executed-version": "$LATEST"}
        if result.error is not None:
            headers["x-amz-function-error"] = "Unhandled"
        return 200, result.payload, headers

    def _invoke_later(self, function: Invoker, payload: bytes) -> None:
        held = ExitStack()
        held.enter_context(self._held.holding(len(payload)))  # the caller is told if there is no room
        task = asyncio.get_running_loop().create_task(invoke_async(function, payload, self._log))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: held.close())

    async def close(self) -> None:
        """Cancel the retries that are still to come."""
        for task in list(self._tasks):
            task.cancel()


def _error(status: int, kind: str, text: str, extra: dict[str, Any] | None = None) -> Answer:
    body = {"Type": "User", "Message": text, "message": text, **(extra or {})}
    return status, orjson.dumps(body), {"x-amzn-errortype": kind}
