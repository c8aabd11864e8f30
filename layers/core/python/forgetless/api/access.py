"""Access: whether the caller's key may use a route, and how many requests it may still make; denied by default."""

from __future__ import annotations

import time

from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forgetless.api.body_limit import BodyLimit
from forgetless.api.caller import OPEN_PATHS, get_caller
from forgetless.api.field_checks import check_ids_once
from forgetless.api.idempotency import Idempotency
from forgetless.api.routing import Route, Runner, endpoint_on
from forgetless.domain.errors import ForbiddenError
from forgetless.domain.keys import ApiKey, Role
from forgetless.service.access.rate_limit import RateLimiter

__all__ = ["RATE_HEADERS", "GuardedRoute", "RateLimit", "rate_headers", "requested_route", "require"]

#: The headers that mem0's clients read.
RATE_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")

_LACKING = {
    Role.ADMIN: "Admin role required.",
    Role.WRITE: "Write role required: this key may only read.",
    Role.READ: "Read role required.",
}


class GuardedRoute(APIRoute):
    """The router's form of a `Route`: it checks the key's role before anything reads the body.

    It can only be built from a `Route`, and a `Route` always has a role. So no endpoint can be added without one.
    """

    def __init__(self, route: Route, *, run: Runner) -> None:
        self.route = route
        self._open = route.path in OPEN_PATHS
        self._beginning = route.path.partition("{")[0]
        super().__init__(
            route.path,
            endpoint_on(run, route.endpoint),
            methods=[route.method],
            response_model=None,
            # Users of curl forget the header. Keys are never in cookies, so other sites cannot exploit this.
            strict_content_type=False,
            openapi_extra=None if self._open else {"x-required-role": str(route.role)},
        )
        if not route.ignores_key:
            self.app = Idempotency(self.app, run=run, route=route)
        self.app = BodyLimit(self.app)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        # The router tries one route after the other. Comparing the start of the path is cheaper than the expression.
        if not scope.get("root_path") and not scope["path"].startswith(self._beginning):
            return Match.NONE, {}
        return super().matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        # For any other method, FastAPI answers 405.
        if scope["method"] == self.route.method and not self._open:
            require(get_caller(scope).key, self.route.role)
            if scope.get("query_string"):
                check_ids_once(QueryParams(scope["query_string"]))
        await super().handle(scope, receive, send)


def requested_route(scope: Scope) -> Route | None:
    """The route of a request; None if the answer is 404 or 405."""
    found = scope.get("route")
    if found is None and "router" not in scope and "app" in scope:  # refused before the router ran
        found = next((one for one in scope["app"].routes if one.matches(scope)[0] is Match.FULL), None)
    # The router also sets a route if only the method was wrong.
    if isinstance(found, GuardedRoute) and scope["method"] == found.route.method:
        return found.route
    return None


class RateLimit:
    """ASGI layer after authentication: counts the requests of each key and reports how many are left."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            caller = get_caller(scope)
            if caller.key is not None and caller.rates is not None:
                send = _counted(caller.rates, caller.key, send)
        await self._app(scope, receive, send)


def _counted(rates: RateLimiter, key: ApiKey, send: Send) -> Send:
    rate = rates.take(key.hash)
    headers = rate_headers(rate.limit, rate.remaining, rate.reset_s)

    async def send_with_rate(message: Message) -> None:
        if message["type"] == "http.response.start":
            added = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
            message["headers"] = [*message.get("headers", ()), *added]
        await send(message)

    return send_with_rate


def require(key: ApiKey | None, role: Role) -> None:
    """Raise ForbiddenError, which names the missing role, unless the key has the role."""
    if key is None or not key.role.allows(role):
        raise ForbiddenError(_LACKING[role])


def rate_headers(limit: int, remaining: int, reset_s: int) -> dict[str, str]:
    """The headers with a key's limit, its remaining requests, and the Unix time when the limit is fully restored."""
    values = (limit, remaining, int(time.time()) + reset_s)
    return dict(zip(RATE_HEADERS, map(str, values), strict=True))
