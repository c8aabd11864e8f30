"""Access: whether the caller's key may use the route it asks for, decided here for all of them; denied by default."""

from __future__ import annotations

import time

from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forgetless.api.caller import get_caller
from forgetless.api.routing import Route
from forgetless.domain.errors import ForbiddenError
from forgetless.domain.keys import ApiKey, Role
from forgetless.service.access.rate_limit import RateLimiter

__all__ = ["RATE_HEADERS", "Access", "GuardedRoute", "rate_headers", "require", "route_of", "set_route"]

#: As mem0's clients read them.
RATE_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")

#: Where the request's state keeps its route, and the route that access was granted to.
_ROUTE = "route"
_GRANTED = "granted"

_LACKING = {
    Role.ADMIN: "Admin role required.",
    Role.WRITE: "Write role required: this key may only read.",
    Role.READ: "Read role required.",
}


class Access:
    """ASGI layer behind authentication: counts the request, then compares the key's role with what the route needs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            route = route_of(scope)
            caller = get_caller(scope)
            key = caller.key
            if key is not None:
                send = self._counted(caller.rates, key, send)
                if route is not None:
                    require(key, route.role)
            scope["state"][_GRANTED] = route
        await self._app(scope, receive, send)

    def _counted(self, rates: RateLimiter | None, key: ApiKey, send: Send) -> Send:
        if rates is None:
            return send
        rate = rates.take(key.hash)
        headers = rate_headers(rate.limit, rate.remaining, rate.reset_s)

        async def send_with_rate(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        return send_with_rate


class GuardedRoute(APIRoute):
    """A route that runs only what access was granted to: should the two look-ups ever differ, nobody gets in."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        granted: Route | None = scope["state"].get(_GRANTED)
        if scope["method"] in (self.methods or ()) and (granted is None or granted.path != self.path):
            raise ForbiddenError("This address is not served.")
        await super().handle(scope, receive, send)


def require(key: ApiKey | None, role: Role) -> None:
    """Raise ForbiddenError, naming what is missing, unless the key has the role."""
    if key is None or not key.role.allows(role):
        raise ForbiddenError(_LACKING[role])


def set_route(scope: Scope, route: Route | None) -> None:
    """Remember which route the request is for."""
    scope.setdefault("state", {})[_ROUTE] = route


def route_of(scope: Scope) -> Route | None:
    """The route that the request is for; None where the answer will be 404 or 405."""
    route: Route | None = scope["state"][_ROUTE]
    return route


def rate_headers(limit: int, remaining: int, reset_s: int) -> dict[str, str]:
    """Limit and remaining requests of a key, and the Unix time when all of them are back."""
    values = (limit, remaining, int(time.time()) + reset_s)
    return dict(zip(RATE_HEADERS, map(str, values), strict=True))
