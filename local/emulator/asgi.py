"""ASGI's types, and reading the body of a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class ClientGoneError(Exception):
    """The client went away before its request was complete."""


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """Return the body, or None when it has more than `limit` bytes.

    Raises:
        ClientGoneError: the client went away before the end of the body.
    """
    message = await receive()
    body = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body"):
        return body if len(body) <= limit else None
    chunks, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        size += len(message.get("body", b""))
        if size > limit:
            return None
        chunks.append(message.get("body", b""))
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    return b"".join(chunks)
