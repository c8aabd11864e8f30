"""One HTTP API: authorizer, event, invocation, response, and CORS."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import Any

from local.emulator.asgi import Scope
from local.emulator.gateway.api import Found, PayloadTooLargeError, Reach, result_of
from local.emulator.gateway.authorizer import (
    AuthorizerFailedError,
    Authorizers,
    ForbiddenError,
    UnauthorizedError,
)
from local.emulator.gateway.cors import is_preflight, preflight_response, with_cors
from local.emulator.gateway.event import build_event
from local.emulator.gateway.event_one import http_event_one
from local.emulator.gateway.http_authorizer import HttpDialect
from local.emulator.gateway.outside import NotVerifiedError, Trust, check_outside, http_context
from local.emulator.gateway.request import ApiPlace, HttpRequest
from local.emulator.gateway.response import (
    HttpResponse,
    MalformedResponseError,
    infer_response,
    message_response,
)
from local.emulator.gateway.response_one import http_response_one
from local.emulator.gateway.routes import Match, Routes
from local.emulator.invocation import Invoker, InvokeResult, ThrottledError
from local.emulator.specs import ApiSpec, AuthorizerSpec, OutsideAuthSpec


class HttpApi:
    """An HTTP API; `mapping` is the path under which a domain of one's own has it, such as `/orders`."""

    def __init__(
        self,
        api: ApiSpec,
        functions: Mapping[str, Invoker],
        place: ApiPlace,
        *,
        region: str,
        trust: Trust,
        mapping: str,
    ) -> None:
        self._place, self._functions, self._trust, self._mapping = place, functions, trust, mapping
        self._routes, self._cors, self._variables = Routes(api.routes), api.cors, api.variables
        self._authorizers = Authorizers(functions, region, HttpDialect())
        self.reaches: tuple[Reach, ...] = (Reach.STAGED if place.prefix else Reach.BARE,)

    def find(self, reach: Reach, scope: Scope) -> Found | None:
        """Return the route; on a named stage only paths below it have one, and match without it."""
        path = self._inner(scope["path"]) if reach in self.reaches else None
        match = None if path is None else self._routes.find(scope["method"], path)
        return None if match is None or path is None else Found(match, path)

    def covers(self, path: str) -> bool:
        """Return whether a path is below the stage or the mapping."""
        return self._inner(path) is not None

    def _inner(self, path: str) -> str | None:
        """Return a path without stage, or None when it is not in the stage.

        A domain's mapping names the stage, so below it the stage stands in no path.
        """
        prefix = self._place.prefix
        if self._mapping and (path + "/").startswith(f"{self._mapping}/"):
            return path[len(self._mapping) :] or "/"
        if not prefix:
            return path
        return (path[len(prefix) :] or "/") if (path + "/").startswith(f"{prefix}/") else None

    def preflight(self, scope: Scope) -> HttpResponse | None:
        """Answer a preflight request if the API has CORS, whether or not there is a route."""
        if self._cors is None or not is_preflight(scope["method"], scope["headers"]):
            return None
        if not self.covers(scope["path"]):
            return None
        return _identified(preflight_response(self._cors, scope["headers"]), _request_id())

    def missing(self) -> HttpResponse:
        """Return the answer to a request that has no route."""
        return self.refuse(404, "Not Found")

    def too_large(self) -> HttpResponse:
        """Return the answer to a request whose body has more than 10 MB."""
        return self.refuse(413, "Request Entity Too Large")

    def refuse(self, status: int, message: str) -> HttpResponse:
        """Return an answer of the gateway's own."""
        return _identified(message_response(status, message), _request_id())

    async def respond(self, found: Found, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        request_id = _request_id()
        response = await self._invoke(request, found.match, request_id)
        if self._cors is not None:
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
            response = with_cors(self._cors, headers, response)
        return _identified(response, request_id)

    async def _invoke(self, request: HttpRequest, match: Match, request_id: str) -> HttpResponse:
        event = build_event(request, match, self._place, request_id, self._variables)
        if match.route.authorizer is not None:
            refusal = await self._authorize(match.route.authorizer, event)
            if refusal is not None:
                return refusal
        one = match.route.payload_version == "1.0"
        if one:
            event = self._format_one(request, match, request_id, event)
        try:
            result = await result_of(self._functions, match.route, event, request.trace_id)
        except PayloadTooLargeError:
            return message_response(413, "Request Entity Too Large")
        except (TimeoutError, ThrottledError):
            return message_response(503, "Service Unavailable")
        return _response(result, one=one)

    def _format_one(self, request: HttpRequest, match: Match, request_id: str, event: dict[str, Any]) -> dict[str, Any]:
        """Return the event in format 1.0; what the authorizer added stands there without its kind."""
        made = http_event_one(request, match, self._place, request_id, self._variables)
        added = event["requestContext"].get("authorizer")
        if added:
            made["requestContext"]["authorizer"] = next(iter(added.values()))
        return made

    async def _authorize(self, spec: AuthorizerSpec | OutsideAuthSpec, event: dict[str, Any]) -> HttpResponse | None:
        """Put the authorizer's context into the event, or return why the request goes no further."""
        try:
            if isinstance(spec, OutsideAuthSpec):
                added = http_context(spec, check_outside(spec, event, self._trust))
            else:
                added = {"lambda": await self._authorizers.check(spec, event)}
        except UnauthorizedError:
            return message_response(401, "Unauthorized")
        except ForbiddenError:
            return message_response(403, "Forbidden")
        except NotVerifiedError as error:
            return message_response(501, str(error))
        except AuthorizerFailedError as error:
            return message_response(500, str(error) or "Internal Server Error")
        if added is not None:
            event["requestContext"]["authorizer"] = added
        return None


def _request_id() -> str:
    return base64.b64encode(os.urandom(11)).decode("ascii")


def _identified(response: HttpResponse, request_id: str) -> HttpResponse:
    response.headers.append((b"apigw-requestid", request_id.encode("ascii")))
    return response


def _response(result: InvokeResult, *, one: bool) -> HttpResponse:
    if result.error is not None:
        return message_response(500, result.not_run or "Internal Server Error")
    try:
        return http_response_one(result.payload) if one else infer_response(result.payload)
    except MalformedResponseError:
        return message_response(500, "Internal Server Error")
