"""One REST API: the OPTIONS mock, authorizer, API key, event of format 1.0, invocation and response."""

from __future__ import annotations

import uuid
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
from local.emulator.gateway.event_one import rest_event
from local.emulator.gateway.outside import NotVerifiedError, Trust, check_outside, rest_context
from local.emulator.gateway.request import ApiPlace, HttpRequest, header_of
from local.emulator.gateway.response import (
    HttpResponse,
    MalformedResponseError,
    NoBase64Error,
    encoded_header,
    message_response,
)
from local.emulator.gateway.response_one import rest_response
from local.emulator.gateway.rest_authorizer import RestDialect
from local.emulator.gateway.routes import RestRoutes
from local.emulator.invocation import Invoker, InvokeResult, ThrottledError, new_request_id
from local.emulator.specs import ApiSpec, OutsideAuthSpec, RestSpec, RouteSpec

_DENIED = "User is not authorized to access this resource"


class RestApi:
    """A REST API, served with its stage in the path and without it."""

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
        self._rest = api.rest or RestSpec()
        self._routes, self._variables = RestRoutes(api.routes), api.variables
        own = [route for route in api.routes if (route.path + "/").startswith(f"{place.prefix}/")]
        self._own = RestRoutes(own)
        self.reaches: tuple[Reach, ...] = (Reach.STAGED, Reach.BARE)
        if own:
            self.reaches = tuple(Reach)
        self._authorizers = Authorizers(functions, region, RestDialect())

    def find(self, reach: Reach, scope: Scope) -> Found | None:
        """Return the route of a request, and its path as it was sent, without the stage."""
        path = scope["raw_path"].decode("latin-1")
        routes = self._routes
        if reach is Reach.OWN:
            routes = self._own
        elif reach is Reach.STAGED:
            for prefix in (self._mapping, self._place.prefix):
                if prefix and (path + "/").startswith(f"{prefix}/"):
                    path = path[len(prefix) :] or "/"
                    break
            else:
                return None
        match = routes.find(scope["method"], path)
        return None if match is None else Found(match, path)

    def covers(self, path: str) -> bool:
        """Return whether a path begins with the stage."""
        return (path + "/").startswith(f"{self._place.prefix}/")

    def preflight(self, scope: Scope) -> None:
        """Answer none: OPTIONS is a route as any other, with or without a function behind it."""

    def missing(self) -> HttpResponse:
        """Return the answer to a request that has no route."""
        return self.refuse(403, "Missing Authentication Token", "MissingAuthenticationTokenException")

    def too_large(self) -> HttpResponse:
        """Return the answer to a request whose body has more than 10 MB."""
        return self.refuse(413, "HTTP content length exceeded 10485760 bytes.", "RequestTooLargeException")

    def refuse(self, status: int, message: str, kind: str = "") -> HttpResponse:
        """Return an answer of the gateway's own."""
        return _identified(message_response(status, message, kind=kind), new_request_id())

    async def respond(self, found: Found, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        request_id, route = new_request_id(), found.match.route
        event = rest_event(
            request, found.match, self._place, request_id, binary=self._rest.binary, variables=self._variables
        )
        response = await self._refusal(route, event)
        if response is None and route.mock is not None:
            response = HttpResponse(200, [encoded_header(*one) for one in route.mock], b"{}\n")
        elif response is None:
            response = await self._invoke(route, event, request)
        return _identified(response, request_id)

    async def _invoke(self, route: RouteSpec, event: dict[str, Any], request: HttpRequest) -> HttpResponse:
        try:
            result = await result_of(self._functions, route, event, request.trace_id)
        except PayloadTooLargeError:
            return message_response(413, "Request Too Long", kind="RequestTooLargeException")
        except TimeoutError:
            return message_response(504, "Endpoint request timed out", kind="InternalServerErrorException")
        except ThrottledError:
            return _failed(500)
        response = self._response(result, header_of(request.headers, "accept"))
        response.headers.append((b"x-amzn-trace-id", request.trace_id.encode("latin-1")))
        return response

    def _response(self, result: InvokeResult, accept: str | None) -> HttpResponse:
        if result.not_run:
            return message_response(500, result.not_run)
        if result.error is not None:
            return _failed(502)
        try:
            return rest_response(result.payload, self._rest.binary, accept)
        except NoBase64Error:
            return _failed(500)
        except MalformedResponseError:
            return _failed(502)

    async def _refusal(self, route: RouteSpec, event: dict[str, Any]) -> HttpResponse | None:
        """Return why a request goes no further; what its authorizer says of it is put into the event."""
        try:
            await self._authorize(route, event)
        except UnauthorizedError:
            return message_response(401, "Unauthorized", kind="UnauthorizedException")
        except ForbiddenError as error:
            text = f"{_DENIED} with an explicit deny" if error.explicit else _DENIED
            return message_response(403, text, key="Message", kind="AccessDeniedException")
        except NotVerifiedError as error:
            return message_response(501, str(error))
        except AuthorizerFailedError as error:
            return message_response(500, str(error) or None, kind="AuthorizerConfigurationException")
        if route.needs_key and not self._has_key(event):
            return message_response(403, "Forbidden", kind="ForbiddenException")
        return None

    async def _authorize(self, route: RouteSpec, event: dict[str, Any]) -> None:
        spec, context = route.authorizer, event["requestContext"]
        if isinstance(spec, OutsideAuthSpec):
            rest_context(spec, check_outside(spec, event, self._trust), context)
        elif spec is not None:
            context["authorizer"] = await self._authorizers.check(spec, event)

    def _has_key(self, event: dict[str, Any]) -> bool:
        """Return whether a request has one of the template's keys, or any where the template names none."""
        context = event["requestContext"]
        given = next((value for name, value in event["headers"].items() if name.lower() == "x-api-key"), "")
        key = (context.get("authorizer") or {}).get("usageIdentifierKey", given)
        context["identity"] |= {"apiKey": key, "apiKeyId": f"{uuid.uuid5(uuid.NAMESPACE_OID, key).hex[:10]}"}
        return bool(key) and (not self._rest.keys or key in self._rest.keys)


def _failed(status: int) -> HttpResponse:
    return message_response(status, "Internal server error", kind="InternalServerErrorException")


def _identified(response: HttpResponse, request_id: str) -> HttpResponse:
    response.headers.append((b"x-amzn-requestid", request_id.encode("ascii")))
    return response
