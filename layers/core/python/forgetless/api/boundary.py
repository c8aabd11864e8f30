"""The outermost layer: a request id, the time it took and an answer for every error."""

from __future__ import annotations

import secrets
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forgetless.api.errors import answer_error

__all__ = ["Boundary"]


class Boundary:
    """ASGI layer: X-Request-ID (8 hex digits) and Server-Timing on every response, JSON for every failure."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(4)
        scope.setdefault("state", {})["request_id"] = request_id
        started_at = time.perf_counter()
        answered = False

        async def send_marked(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                total_ms = (time.perf_counter() - started_at) * 1000
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                    (b"server-timing", f"total;dur={total_ms:.2f}".encode()),
                ]
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        except Exception as error:
            if answered:
                raise
            answer = answer_error(error, request_id, method=scope["method"], path=scope["path"])
            await answer(scope, receive, send_marked)
