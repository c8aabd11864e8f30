"""Access: whether the caller's key may use a route; denied by default."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from forgetless.api.body_limit import BodyLimit
from forgetless.api.caller import OPEN_PATHS, get_caller
from forgetless.api.field_checks import check_ids_once
from forgetless.api.idempotency import Idempotency
from forgetless.api.judged_body import JudgedBody
from forgetless.api.routing import Route, Runner, endpoint_on
from forgetless.api.usage import Counted, flush_beside
from forgetless.domain.errors import ForbiddenError
from forgetless.domain.keys import ApiKey, Role

__all__ = ["GuardedRoute", "requested_route", "require"]

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
        self._run = run
        super().__init__(
            route.path,
            endpoint_on(run, route),
            methods=[route.method],
            response_model=None,
            # Users of curl forget the header. Keys are never in cookies, so other sites cannot exploit this.
            strict_content_type=False,
            openapi_extra=None if self._open else {"x-required-role": str(route.role)},
        )
        if route.counts is not None:
            self.app = Counted(self.app, kind=route.counts, run=run)
        if not route.ignores_key:
            self.app = Idempotency(self.app, run=run, route=route)
        self.app = BodyLimit(self.app)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, which gets a body that is already judged."""
        handle, run = super().get_route_handler(), self._run
        model = None if self.body_field is None else self.body_field.field_info.annotation

        async def handle_judged(request: Request) -> Response:
            judged = JudgedBody(request.scope, request.receive, model=model, run=run)
            try:
                return await handle(judged)
            except HTTPException:
                if judged.refusal is None:
                    raise
                raise judged.refusal from None

        return handle_judged

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        # The router tries one route after the other. Comparing the start of the path is cheaper than the expression.
        if not scope["path"].startswith(self._beginning):
            return Match.NONE, {}
        return super().matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        # For any other method, FastAPI answers 405.
        if scope["method"] == self.route.method and not self._open:
            require(get_caller(scope).key, self.route.role)
            if scope.get("query_string"):
                check_ids_once(QueryParams(scope["query_string"]))
            if self.route.counts is None:
                flush_beside(scope)
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


def require(key: ApiKey | None, role: Role) -> None:
    """Raise ForbiddenError, which names the missing role, unless the key has the role."""
    if key is None or not key.role.allows(role):
        raise ForbiddenError(_LACKING[role])
