"""The outermost layer: a request id, the route that is asked for, the times of its parts, an answer for every error."""

from __future__ import annotations

import secrets
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forgetless.api.access import set_route
from forgetless.api.errors import answer_error
from forgetless.api.routing import RouteTable
from forgetless.api.timing import begin, server_timing

__all__ = ["Boundary"]


class Boundary:
    """ASGI layer: X-Request-ID (8 hex digits) and Server-Timing on every response, JSON for every failure."""

    def __init__(self, app: ASGIApp, *, table: RouteTable) -> None:
        self._app = app
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(4)
        scope.setdefault("state", {})["request_id"] = request_id
        parts = begin()
        set_route(scope, self._table.find(scope["method"], scope["path"]))
        started_at = time.perf_counter()
        answered = False

        async def send_marked(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                timing = server_timing(parts, time.perf_counter() - started_at, scope)
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                    (b"server-timing", timing.encode()),
                ]
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        except Exception as error:
            if answered:
                raise
            await answer_error(error, request_id)(scope, receive, send_marked)
