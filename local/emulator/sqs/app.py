"""The SQS server as an ASGI application: AWS's JSON protocol, and the status page of the emulator."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from local.emulator.asgi import ClientGoneError, Receive, Scope, Send, read_body
from local.emulator.invocation import new_request_id
from local.emulator.sqs.errors import SqsError, UnsupportedOperationError
from local.emulator.sqs.operations import Operations

#: The path of the status page, for supervisors.
STATUS_PATH = "/_emulator/status"
_MAX_BODY_BYTES = 16 * 1024 * 1024
_PREFIX = "AmazonSQS."


class QueueServer:
    """Serves the queues over HTTP; `status` gives the emulator's state."""

    def __init__(self, operations: Operations, status: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        self._operations, self._status = operations, status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        if scope["method"] == "GET":
            known = scope["path"] == STATUS_PATH
            answer = await self._status() if known else {"message": f"only {STATUS_PATH} is read with GET"}
            await _send(send, 200 if known else 404, orjson.dumps(answer), [])
            return
        try:
            body = await read_body(receive, _MAX_BODY_BYTES)
        except ClientGoneError:
            return
        if body is None:
            await _send(send, 400, *_refusal(SqsError(f"The request has more than {_MAX_BODY_BYTES} bytes.")))
            return
        target = dict(scope["headers"]).get(b"x-amz-target", b"").decode("latin-1")
        try:
            answer = await self._call(_operation(target), _members(body), receive)
        except SqsError as error:
            await _send(send, 400, *_refusal(error))
            return
        await _send(send, 200, orjson.dumps(answer), [])

    async def _call(self, operation: str, members: dict[str, Any], receive: Receive) -> dict[str, Any]:
        """Call an operation; a client that leaves during a long poll must not receive a message."""
        call = asyncio.ensure_future(self._operations.call(operation, members))
        if operation != "ReceiveMessage":
            return await call
        left = asyncio.ensure_future(receive())
        try:
            await asyncio.wait([call, left], return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                raise SqsError("The client has left.")
            return call.result()
        finally:
            call.cancel()
            left.cancel()


def _operation(target: str) -> str:
    if not target.startswith(_PREFIX):
        raise UnsupportedOperationError("only the JSON protocol is served: use an AWS SDK of 2024 or later")
    return target[len(_PREFIX) :]


def _members(body: bytes) -> dict[str, Any]:
    try:
        members = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise SqsError(f"The request is no JSON: {error}") from None
    if not isinstance(members, dict):
        raise SqsError("The request must be a JSON object.")
    return members


def _refusal(error: SqsError) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    body = orjson.dumps({"__type": f"com.amazonaws.sqs#{error.code}", "message": error.message})
    return body, [(b"x-amzn-query-error", f"{error.query_code};Sender".encode())]


async def _send(send: Send, status: int, body: bytes, extra: list[tuple[bytes, bytes]]) -> None:
    headers = [
        (b"content-type", b"application/x-amz-json-1.0"),
        (b"x-amzn-requestid", new_request_id().encode()),
        (b"content-length", b"%d" % len(body)),
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
