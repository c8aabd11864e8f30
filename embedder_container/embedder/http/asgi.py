"""Requests and responses for the routes, over plain ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ..errors import InvalidInputError, TooLargeError

__all__ = ["ClientGoneError", "Receive", "Request", "Response", "Scope", "Send", "json_response", "read_body"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ClientGoneError(Exception):
    """The client closed the connection; there is nobody to answer."""


@dataclass(slots=True)
class Request:
    """One request; ``gone`` registers a function to call when the client leaves before its answer.

    ``rest`` is what the path has after the fixed part of its route.
    """

    path: str
    headers: dict[bytes, bytes]
    rest: str = ""
    body: bytes = b""
    gone: Callable[[Callable[[], None]], None] = lambda _cancel: None

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object. Raises InvalidInputError if it is not one."""
        try:
            value = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise InvalidInputError(f"The body is not valid JSON in UTF-8: {error}.") from None
        if not isinstance(value, dict):
            raise InvalidInputError("The body must be a JSON object.")
        return value


@dataclass(slots=True)
class Response:
    """One answer, sent in one piece."""

    body: bytes
    status: int = 200
    content_type: bytes = b"application/json"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    async def send(self, send: Send) -> None:
        headers = [
            (b"content-type", self.content_type),
            (b"content-length", str(len(self.body)).encode()),
            *self.headers,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def json_response(value: object, status: int = 200, headers: list[tuple[bytes, bytes]] | None = None) -> Response:
    """Return ``value`` as JSON; arrays of numpy are written as they are."""
    return Response(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), status, headers=headers or [])


async def read_body(receive: Receive, headers: dict[bytes, bytes], limit: int) -> bytes:
    """Return the whole body. Raises TooLargeError before reading more than ``limit`` bytes of it."""
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"The body is larger than {limit} bytes; send fewer inputs at once.", code="too_large")
