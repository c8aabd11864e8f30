"""The limit for the size of a request's body."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forgetless.api.caller import key_of
from forgetless.api.held_bodies import HELD_BODIES, HeldBodies

__all__ = ["MAX_BODY_BYTES", "BodyLimit", "read_body", "replayed"]

#: The same limit as that of Lambda for one invocation.
MAX_BODY_BYTES = 6 * 1024 * 1024
_MOST_DIGITS = 20


class BodyLimit:
    """ASGI layer that answers 413: at once if the announced length is too large, or when too much has arrived.

    It answers 503 if the bodies of all requests in progress are too large together.
    """

    def __init__(self, app: ASGIApp, *, most: int = MAX_BODY_BYTES, held: HeldBodies = HELD_BODIES) -> None:
        self._app = app
        self._most = most
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _announced(scope) > self._most:
            raise _too_large(self._most)
        key = key_of(scope)
        received, tenant = 0, "" if key is None else key.tenant

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            size = len(message.get("body", b""))
            received += size
            self._held.take(tenant, size)
            if received > self._most:
                raise _too_large(self._most)
            return message

        try:
            await self._app(scope, receive_counted, send)
        finally:
            self._held.give(tenant, received)


def _announced(scope: Scope) -> int:
    value = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if not value.isdigit():
        return 0
    # Python refuses to convert numbers with thousands of digits.
    return int(value) if len(value) <= _MOST_DIGITS else MAX_BODY_BYTES + 1


def _too_large(most: int) -> HTTPException:
    # While FastAPI reads a body, it turns every error except HTTPException into a 400.
    return HTTPException(413, f"The body is larger than {most} bytes; send less in one request.")


async def read_body(receive: Receive) -> bytes:
    """The whole body of a request."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body again that was read, and then what follows it."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
