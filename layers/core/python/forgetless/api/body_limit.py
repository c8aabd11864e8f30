"""The limit for the size of a request's body."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["MAX_BODY_BYTES", "BodyLimit"]

#: The same limit as that of Lambda for one invocation.
MAX_BODY_BYTES = 6 * 1024 * 1024
_MOST_DIGITS = 20


class BodyLimit:
    """ASGI layer that answers 413: at once if the announced length is too large, or when too much has arrived."""

    def __init__(self, app: ASGIApp, *, most: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _announced(scope) > self._most:
            raise _too_large(self._most)
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._most:
                raise _too_large(self._most)
            return message

        await self._app(scope, receive_counted, send)


def _announced(scope: Scope) -> int:
    value = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if not value.isdigit():
        return 0
    # Python refuses to convert numbers with thousands of digits.
    return int(value) if len(value) <= _MOST_DIGITS else MAX_BODY_BYTES + 1


def _too_large(most: int) -> HTTPException:
    # While FastAPI reads a body, it turns every error except HTTPException into a 400.
    return HTTPException(413, f"The body is larger than {most} bytes; send less in one request.")
