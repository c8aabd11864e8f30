"""What both kinds of API have in common: how the gateway finds the API of a request, and invokes its function."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import orjson

from local.emulator.asgi import Scope
from local.emulator.gateway.request import HttpRequest
from local.emulator.gateway.response import HttpResponse
from local.emulator.gateway.routes import Match
from local.emulator.invocation import Invoker, InvokeResult
from local.emulator.specs import RouteSpec

#: The most bytes of a body that API Gateway reads.
MAX_BODY_BYTES = 10 * 1024 * 1024
#: The most bytes of an event that Lambda accepts.
MAX_PAYLOAD_BYTES = 6 * 1024 * 1024


class Reach(IntEnum):
    """How a path leads to a route; where several do, the first one counts."""

    #: The path of the route begins with the name of the API's stage itself.
    OWN = 0
    #: The path begins with the API's stage.
    STAGED = 1
    #: The path has no stage.
    BARE = 2


@dataclass(frozen=True, slots=True)
class Found:
    """A route and the path that its API sees: without stage."""

    match: Match
    path: str


class Api(Protocol):
    """One API: what the gateway needs of it; `reaches` are those by which it may have a route at all."""

    reaches: tuple[Reach, ...]

    def find(self, reach: Reach, scope: Scope) -> Found | None:
        """Return the route of a request."""

    def covers(self, path: str) -> bool:
        """Return whether a path is in this API's stage."""

    def preflight(self, scope: Scope) -> HttpResponse | None:
        """Return the answer to a preflight request, if the API answers those of all its paths itself."""

    async def respond(self, found: Found, request: HttpRequest) -> HttpResponse:
        """Answer a request."""

    def missing(self) -> HttpResponse:
        """Return the answer to a request that has no route."""

    def too_large(self) -> HttpResponse:
        """Return the answer to a request whose body has more than 10 MB."""

    def refuse(self, status: int, message: str) -> HttpResponse:
        """Return an answer of the gateway's own."""


class PayloadTooLargeError(Exception):
    """The event is larger than Lambda accepts."""


async def result_of(functions: Mapping[str, Invoker], route: RouteSpec, event: object, trace_id: str) -> InvokeResult:
    """Return the function's result; after the time-out the invocation goes on, but its result is dropped.

    Raises:
        PayloadTooLargeError, TimeoutError, ThrottledError: there is none.
    """
    payload = orjson.dumps(event)
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise PayloadTooLargeError
    future = functions[route.function].submit(payload, trace_id=trace_id)
    done, _ = await asyncio.wait([future], timeout=route.time_limit)
    if not done:
        future.add_done_callback(lambda late: late.cancelled() or late.exception())
        raise TimeoutError
    return future.result()
