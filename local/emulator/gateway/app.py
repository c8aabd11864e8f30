"""The gateway as an ASGI application: limits, route, authorizer, invocation, response."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Mapping
from typing import Any

import orjson

from local.emulator.asgi import ClientGoneError, Receive, Scope, Send, read_body
from local.emulator.gateway.authorizer import (
    AuthorizerFailedError,
    Authorizers,
    ForbiddenError,
    UnauthorizedError,
)
from local.emulator.gateway.cors import is_preflight, preflight_response, with_cors
from local.emulator.gateway.event import ApiPlace, HttpRequest, build_event
from local.emulator.gateway.response import (
    HttpResponse,
    MalformedResponseError,
    infer_response,
    message_response,
)
from local.emulator.gateway.routes import Match, Routes
from local.emulator.invocation import Invoker, InvokeResult, ThrottledError, new_trace_id
from local.emulator.specs import ApiSpec, AuthorizerSpec, RouteSpec

#: The most bytes of a body that API Gateway reads, and of an event that Lambda accepts.
MAX_BODY_BYTES = 10 * 1024 * 1024
MAX_PAYLOAD_BYTES = 6 * 1024 * 1024
#: Request line and headers together, in bytes.
MAX_HEADER_BYTES = 10_240


class Gateway:
    """Serves one HTTP API; `port` is what the event shows as x-forwarded-port.

    `mapping` is the path under which a domain of one's own has the API, such as `/orders`; empty for none.
    """

    def __init__(
        self, api: ApiSpec, functions: Mapping[str, Invoker], port: int, region: str, *, mapping: str = ""
    ) -> None:
        self._mapping = mapping
        self._routes, self._functions, self._cors = Routes(api.routes), functions, api.cors
        self._authorizers = Authorizers(functions, region)
        self._place = ApiPlace(api.name.lower(), api.stage, f"{api.name.lower()}.execute-api.localhost", port)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request_id = base64.b64encode(os.urandom(11)).decode("ascii")
        try:
            response = await self._respond(scope, receive, request_id)
        except ClientGoneError:
            return
        headers = response.headers
        headers.append((b"apigw-requestid", request_id.encode("ascii")))
        headers.append((b"content-length", b"%d" % len(response.body)))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else response.body
        await send({"type": "http.response.body", "body": body})

    async def _respond(self, scope: Scope, receive: Receive, request_id: str) -> HttpResponse:
        raw = scope["headers"]
        size = sum(len(name) + len(value) + 4 for name, value in raw)
        if size + len(scope["raw_path"]) + len(scope["query_string"]) > MAX_HEADER_BYTES:
            return message_response(431, "Request Header Fields Too Large")
        body = await read_body(receive, MAX_BODY_BYTES)
        if body is None:
            return message_response(413, "Request Entity Too Large")
        if self._cors is not None and is_preflight(scope["method"], raw):
            return preflight_response(self._cors, raw)
        match = self._find(scope)
        if match is None:
            return message_response(404, "Not Found")
        request = HttpRequest(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw],
            body=body,
            client=(scope.get("client") or ("127.0.0.1", 0))[0],
            version=scope["http_version"],
            trace_id=new_trace_id(),
        )
        response = await self._invoke(request, match, request_id)
        return response if self._cors is None else with_cors(self._cors, raw, response)

    def _find(self, scope: Scope) -> Match | None:
        """Return the route; on a named stage only paths below it have one, and match without it.

        A domain's mapping names the stage, so below it the stage stands in no path.
        """
        path, prefix = scope["path"], self._place.prefix
        if self._mapping and (path + "/").startswith(f"{self._mapping}/"):
            scope["path"] = path = path[len(self._mapping) :] or "/"
        elif prefix:
            if not (path + "/").startswith(f"{prefix}/"):
                return None
            scope["path"] = path = path[len(prefix) :] or "/"
        return self._routes.find(scope["method"], path)

    async def _invoke(self, request: HttpRequest, match: Match, request_id: str) -> HttpResponse:
        event = build_event(request, match, self._place, request_id)
        if match.route.authorizer is not None:
            refusal = await self._authorize(match.route.authorizer, event)
            if refusal is not None:
                return refusal
        payload = orjson.dumps(event)
        if len(payload) > MAX_PAYLOAD_BYTES:
            return message_response(413, "Request Entity Too Large")
        try:
            result = await self._result(match.route, payload, request.trace_id)
        except (TimeoutError, ThrottledError):
            return message_response(503, "Service Unavailable")
        if result.error is not None:
            return message_response(500, result.not_run or "Internal Server Error")
        try:
            return infer_response(result.payload)
        except MalformedResponseError:
            return message_response(500, "Internal Server Error")

    async def _result(self, route: RouteSpec, payload: bytes, trace_id: str) -> InvokeResult:
        """Return the function's result; after the time-out the invocation goes on, but its result is dropped."""
        future = self._functions[route.function].submit(payload, trace_id=trace_id)
        done, _ = await asyncio.wait([future], timeout=route.time_limit)
        if not done:
            future.add_done_callback(lambda late: late.cancelled() or late.exception())
            raise TimeoutError
        return future.result()

    async def _authorize(self, spec: AuthorizerSpec, event: dict[str, Any]) -> HttpResponse | None:
        """Put the authorizer's context into the event, or return why the request goes no further."""
        try:
            context = await self._authorizers.check(spec, event)
        except UnauthorizedError:
            return message_response(401, "Unauthorized")
        except ForbiddenError:
            return message_response(403, "Forbidden")
        except AuthorizerFailedError as error:
            return message_response(500, str(error) or "Internal Server Error")
        event["requestContext"]["authorizer"] = {"lambda": context}
        return None
