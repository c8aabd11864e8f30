"""The application of each function: its layers, in order, and its routes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from forgetless.api.access import GuardedRoute
from forgetless.api.auth import Authentication
from forgetless.api.base_path import base_path_of
from forgetless.api.body_limit import BodyLimit
from forgetless.api.caller import MCP_PATH
from forgetless.api.console import console_routes
from forgetless.api.cors import cross_origin
from forgetless.api.errors import answer_invalid, answer_too_large
from forgetless.api.json_response import json_bytes
from forgetless.api.openapi import complete_document
from forgetless.api.request_middleware import RequestMiddleware
from forgetless.api.routing import Route, Runner, pool, run_inline
from forgetless.api.usage import CountedRequests
from forgetless.domain.limits import CONCURRENT_REQUESTS

if TYPE_CHECKING:
    from forgetless.api.mcp.oauth import OAuth
    from forgetless.service.services import Services

__all__ = ["all_routes", "create_app", "create_mcp_app", "create_search_app"]


def create_app(
    services: Callable[[], Services],
    *,
    inline: bool,
    origins: Sequence[str] = (),
    mcp: bool = False,
    docs: bool = True,
    console: bool = True,
    oauth_redirects: Sequence[str] = (),
    base_path: str = "",
) -> FastAPI:
    """The whole API; `services` is called by the first request that needs it.

    `inline` runs endpoints on the event loop (for Lambda: one request at a time), otherwise they run in a bounded pool
    of threads. Web pages of `origins` may call the API. `mcp` adds /mcp, which is a function of its own on Lambda,
    because its SDK is slow to import. `docs` adds the page at /docs and the document that it shows, `console` the page
    at /console. With `mcp`, OAuth is offered to hosts at `oauth_redirects` (see FORGETLESS_OAUTH_REDIRECTS).
    `base_path` is what precedes every path outside (`api/base_path.py`).
    """
    more = _Mcp(oauth_redirects) if mcp else None
    app = _compose(services, all_routes(), inline=inline, docs=docs, origins=origins, base_path=base_path, mcp=more)
    if console:
        app.router.routes += console_routes()
    return app


def all_routes() -> list[Route]:
    """Every route, in the order in which they are tried."""
    from forgetless.api.platform.route_table import PLATFORM_ROUTES  # noqa: PLC0415 - the search function never loads these
    from forgetless.api.selfhosted.routes import (  # noqa: PLC0415
        audit,
        configure,
        entities,
        export,
        health,
        instructions,
        keys,
        memories,
        search,
        transfer_jobs,
        usage,
        webhook_deliveries,
    )

    modules = (
        memories,
        search,
        entities,
        configure,
        instructions,
        keys,
        audit,
        export,
        transfer_jobs,
        webhook_deliveries,
        usage,
        health,
    )
    return [*(route for module in modules for route in module.ROUTES), *PLATFORM_ROUTES]


def create_mcp_app(
    services: Callable[[], Services],
    *,
    inline: bool,
    origins: Sequence[str] = (),
    oauth_redirects: Sequence[str] = (),
    base_path: str = "",
) -> FastAPI:
    """The application of the MCP function: only /mcp, and OAuth for it."""
    return _compose(services, (), inline=inline, origins=origins, base_path=base_path, mcp=_Mcp(oauth_redirects))


def create_search_app(
    services: Callable[[], Services], *, inline: bool, origins: Sequence[str] = (), base_path: str = ""
) -> FastAPI:
    """The application of the search function: the searches of both dialects, without documentation."""
    from forgetless.api.platform.routes.search import ROUTES as PLATFORM_SEARCHES  # noqa: PLC0415 - as above
    from forgetless.api.selfhosted.routes.search import ROUTES as SELFHOSTED_SEARCHES  # noqa: PLC0415 - as above

    routes = [*SELFHOSTED_SEARCHES, *PLATFORM_SEARCHES]
    return _compose(services, routes, inline=inline, origins=origins, base_path=base_path)


def _compose(
    services: Callable[[], Services],
    routes: Sequence[Route],
    *,
    inline: bool,
    docs: bool = False,
    origins: Sequence[str],
    base_path: str,
    mcp: _Mcp | None = None,
) -> FastAPI:
    run: Runner = run_inline if inline else pool(CONCURRENT_REQUESTS)
    oauth = None if mcp is None else mcp.oauth(services, run)
    app = FastAPI(
        title="Forgetless",
        summary="The serverless memory layer for AI agents.",
        version="1",
        # FastAPI's own pages load their scripts from elsewhere, and its document knows no base path.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        # No telemetry is exported, whatever OTEL_… variables are set.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        exception_handlers={
            RequestValidationError: answer_invalid,
            413: answer_too_large,
        },
        middleware=[
            *cross_origin(origins),
            Middleware(RequestMiddleware, run=run, base_path=base_path),
            Middleware(Authentication, services=services, run=run, tokens=None if oauth is None else oauth.key_hash),
            Middleware(CountedRequests, run=run),
        ],
    )
    # Adding an endpoint by FastAPI's own methods, which know no roles, raises a TypeError.
    app.router.route_class = GuardedRoute
    guarded = _guarded_inline if inline else partial(GuardedRoute, run=run)
    app.router.routes += [guarded(route) for route in routes]
    if mcp is not None:
        from forgetless.api.mcp.server import McpEndpoint  # noqa: PLC0415 - as above

        app.add_route(MCP_PATH, BodyLimit(McpEndpoint(run=run)), include_in_schema=False)  # type: ignore[arg-type]
    if oauth is not None:
        app.router.routes += oauth.routes()
    complete_document(app)
    if docs:
        shown = _Documentation(app)
        app.add_route("/docs", shown.page, include_in_schema=False)
        app.add_route("/openapi.json", shown.document, include_in_schema=False)
    return app


@dataclass(frozen=True, slots=True)
class _Mcp:
    """That an application serves /mcp, and to which hosts it offers OAuth."""

    oauth_redirects: Sequence[str]

    def oauth(self, services: Callable[[], Services], run: Runner) -> OAuth | None:
        """The OAuth endpoints; None without hosts."""
        if not self.oauth_redirects:
            return None
        from forgetless.api.mcp.oauth import OAuth  # noqa: PLC0415 - only /mcp loads the SDK

        return OAuth(services, redirects=self.oauth_redirects, run=run)


@cache
def _guarded_inline(route: Route) -> GuardedRoute:
    """A route that has no state, so all applications on an event loop share it; FastAPI takes long to make one."""
    return GuardedRoute(route, run=run_inline)


class _Documentation:
    """Anybody may ask for it, as often as they like, so its texts are made once for each base path: few exist."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._page, self._document = lru_cache(maxsize=4)(self._make_page), lru_cache(maxsize=4)(self._make_document)

    def page(self, request: Request) -> Response:
        """The page at /docs."""
        from forgetless.api.docs_page import page_response  # noqa: PLC0415 - few requests need it

        return page_response(self._page(base_path_of(request.scope)))

    def document(self, request: Request) -> Response:
        """The OpenAPI document."""
        return Response(self._document(base_path_of(request.scope)), media_type="application/json")

    def _make_page(self, base_path: str) -> bytes:
        from forgetless.api.docs_page import page_text  # noqa: PLC0415 - as above

        return page_text(self._described(base_path)).encode()

    def _make_document(self, base_path: str) -> bytes:
        return json_bytes(self._described(base_path))

    def _described(self, base_path: str) -> dict[str, Any]:
        """The OpenAPI document for callers who reach the API below this base path."""
        return self._app.openapi() | ({"servers": [{"url": base_path}]} if base_path else {})
