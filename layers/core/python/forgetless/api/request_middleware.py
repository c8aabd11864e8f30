"""The outermost layer: request id, times, an answer to every error, one line of the access log, and the audit list."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forgetless.api.access import requested_route
from forgetless.api.audit import note_in_audit
from forgetless.api.base_path import take_off_base_path
from forgetless.api.caller import MCP_ROUTE, MCP_TOOL, OPEN_FILE, key_of
from forgetless.api.errors import answer_error
from forgetless.api.routing import Runner
from forgetless.api.server_timing import server_timing
from forgetless.ports.answer_notes import begin_answer_notes
from forgetless.ports.call_times import begin_call_times
from forgetless.ports.metrics import REQUEST_SECONDS, REQUESTS, metrics_are_recorded
from forgetless.ports.named_ids import begin_named_ids
from forgetless.ports.request_effects import begin_request_effects
from forgetless.ports.trace import Trace, begin_trace

__all__ = ["RANKED_BY_HEADER", "RequestMiddleware"]

#: The response header of a search whose query the embedder refuses, so that words alone count.
RANKED_BY_HEADER = "X-Forgetless-Ranked-By"
_RANKED_BY_WORDS = (RANKED_BY_HEADER.lower().encode(), b"words")

#: One line for each request, without path, query, body and address, because these may be personal data.
_access = logging.getLogger("forgetless.access")
#: Answers hold memories and keys: no cache may store them, and no browser may take them for something else.
_PRIVATE = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
#: A file that holds nothing of any tenant may be stored, if each use asks whether it is still the same.
_OPEN_FILE = ((b"cache-control", b"no-cache"), (b"x-content-type-options", b"nosniff"))
_TRACE_HEADERS = frozenset({b"traceparent", b"x-amzn-trace-id"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestMiddleware:
    """ASGI layer: every response has X-Request-ID (the gateway's) and Server-Timing, and every failure is JSON."""

    def __init__(self, app: ASGIApp, *, run: Runner, base_path: str = "") -> None:
        self._app = app
        self._run = run
        self._base_path = base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        take_off_base_path(scope, self._base_path)
        trace = _trace_of(scope)
        begin_trace(trace)
        request_id = trace.request_id
        scope.setdefault("state", {})["request_id"] = request_id
        times, named, notes = begin_call_times(), begin_named_ids(), begin_answer_notes()
        effects = begin_request_effects()
        started_at = time.perf_counter()
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                timing = server_timing(times.seconds(), time.perf_counter() - started_at, scope)
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                    (b"server-timing", timing.encode()),
                    *([_RANKED_BY_WORDS] if notes.ranked_by_words else []),
                    *(_OPEN_FILE if scope["state"].get(OPEN_FILE) else _PRIVATE),
                ]
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        except Exception as error:
            if status:
                raise
            answer = answer_error(error, request_id, method=scope["method"], path=scope["path"])
            await answer(scope, receive, send_marked)
        finally:
            seconds = time.perf_counter() - started_at
            _count(scope, status, seconds)
            _log(scope, status, seconds * 1000)
            await note_in_audit(scope, status, named, effects, run=self._run)


def _count(scope: Scope, status: int, seconds: float) -> None:
    if metrics_are_recorded():
        key = key_of(scope)
        # Without a status (`other`), the client has left before the answer.
        REQUESTS.count(status=f"{status // 100}xx", tenant="" if key is None else key.tenant)
        REQUEST_SECONDS.observe(seconds)


def _log(scope: Scope, status: int, ms: float) -> None:
    if not _access.isEnabledFor(logging.INFO):
        return
    route, key = requested_route(scope), key_of(scope)
    line = {
        "method": scope["method"] if scope["method"] in _METHODS else None,
        "route": scope["state"].get(MCP_ROUTE) if route is None else route.shown,
        "status": status,
        "ms": round(ms, 2),
        "tenant": None if key is None else key.tenant,
        "key_id": None if key is None else key.id,
        "request_id": scope["state"]["request_id"],
    }
    if (tool := scope["state"].get(MCP_TOOL)) is not None:
        line["tool"] = tool
    _access.info("request", extra=line)


def _trace_of(scope: Scope) -> Trace:
    """The trace that the gateway or the client began. Without a gateway, the id of the request is random."""
    headers = {name: value.decode("latin-1") for name, value in scope["headers"] if name in _TRACE_HEADERS}
    event = scope.get("aws.event")
    request_id = "" if event is None else str(event["requestContext"].get("requestId", ""))
    xray = headers.get(b"x-amzn-trace-id", "")
    return Trace.new(request_id, traceparent=headers.get(b"traceparent", ""), xray=xray)
