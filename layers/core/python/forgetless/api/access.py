"""Access: whether the caller's key may use the route it asks for, decided here for all of them; denied by default."""

from __future__ import annotations

from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from forgetless.api.caller import get_caller
from forgetless.api.routing import Route
from forgetless.domain.errors import ForbiddenError
from forgetless.domain.keys import ApiKey, Role

__all__ = ["Access", "GuardedRoute", "require", "route_of", "set_route"]

#: Where the request's state keeps its route, and the route that access was granted to.
_ROUTE = "route"
_GRANTED = "granted"

_LACKING = {
    Role.ADMIN: "Admin role required.",
    Role.WRITE: "Write role required: this key may only read.",
    Role.READ: "Read role required.",
}


class Access:
    """ASGI layer behind authentication: compares the key's role with what the route declares."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            route = route_of(scope)
            key = get_caller(scope).key
            if route is not None and key is not None:
                require(key, route.role)
            scope["state"][_GRANTED] = route
        await self._app(scope, receive, send)


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
