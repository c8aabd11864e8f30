"""The application: layers in order, and the routes of a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.middleware import Middleware

from forgetless.api.access import Access, GuardedRoute
from forgetless.api.auth import OPEN_PATHS, Authentication
from forgetless.api.body_limit import BodyLimit
from forgetless.api.cors import cross_origin
from forgetless.api.errors import answer_invalid
from forgetless.api.idempotency import Idempotency
from forgetless.api.openapi import complete_document
from forgetless.api.request_middleware import RequestMiddleware
from forgetless.api.routing import Route, RouteTable, Runner, endpoint_on, pool, run_inline

if TYPE_CHECKING:
    from forgetless.service.services import Services

__all__ = ["MCP_PATH", "all_routes", "create_app", "create_mcp_app", "create_search_app"]

#: Where the Model Context Protocol is spoken.
MCP_PATH = "/mcp"

#: Requests that uvicorn works on at once; more wait.
POOL_THREADS = 32


def create_app(
    services: Callable[[], Services], *, inline: bool, origins: Sequence[str] = (), mcp: bool = False
) -> FastAPI:
    """The whole API; `services` is called by the first request that needs it.

    `inline` runs endpoints on the event loop (Lambda: one request at a time), else in a bounded pool of threads.
    Pages of `origins` may call it from a browser. `mcp` adds /mcp, which is a function of its own on Lambda, as its
    SDK is slow to import.
    """
    return _compose(services, all_routes(), inline=inline, docs=True, origins=origins, mcp=mcp)


def all_routes() -> list[Route]:
    """Every route, in the order in which they are tried."""
    from forgetless.api.platform.route_table import PLATFORM_ROUTES  # noqa: PLC0415 - the search function never loads these
    from forgetless.api.selfhosted.routes import (  # noqa: PLC0415
        configure,
        entities,
        export,
        health,
        instructions,
        keys,
        memories,
        search,
        webhook_deliveries,
    )

    modules = (memories, search, entities, configure, instructions, keys, export, webhook_deliveries, health)
    return [*(route for module in modules for route in module.ROUTES), *PLATFORM_ROUTES]


def create_mcp_app(services: Callable[[], Services], *, inline: bool, origins: Sequence[str] = ()) -> FastAPI:
    """Only what the MCP function serves: /mcp."""
    return _compose(services, (), inline=inline, docs=False, origins=origins, mcp=True)


def create_search_app(services: Callable[[], Services], *, inline: bool, origins: Sequence[str] = ()) -> FastAPI:
    """Only what the search function serves: the searches of both dialects, without documentation."""
    from forgetless.api.platform.routes.search import ROUTES as PLATFORM_SEARCHES  # noqa: PLC0415 - as above
    from forgetless.api.selfhosted.routes.search import ROUTES as SELFHOSTED_SEARCHES  # noqa: PLC0415 - as above

    return _compose(services, [*SELFHOSTED_SEARCHES, *PLATFORM_SEARCHES], inline=inline, docs=False, origins=origins)


def _compose(
    services: Callable[[], Services],
    routes: Sequence[Route],
    *,
    inline: bool,
    docs: bool,
    origins: Sequence[str],
    mcp: bool = False,
) -> FastAPI:
    run: Runner = run_inline if inline else pool(POOL_THREADS)
    # A search has no effect to repeat, and its function may not write the ledger.
    repeatable = [Middleware(Idempotency, run=run)] if docs else []
    app = FastAPI(
        title="Forgetless",
        summary="The serverless memory layer for AI agents.",
        version="1",
        docs_url="/docs" if docs else None,
        redoc_url="/redoc" if docs else None,
        openapi_url="/openapi.json" if docs else None,
        redirect_slashes=False,
        # curl users forget the header; keys do not travel in cookies, so no other site can profit.
        strict_content_type=False,
        # Nothing is exported, whatever OTEL_… variables the environment holds.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        exception_handlers={RequestValidationError: answer_invalid},
        middleware=[
            *cross_origin(origins),
            Middleware(RequestMiddleware, table=RouteTable(routes)),
            Middleware(Authentication, services=services, run=run),
            Middleware(Access),
            Middleware(BodyLimit),
            *repeatable,
        ],
    )
    app.router.route_class = GuardedRoute
    for route in routes:
        extra = None if route.path in OPEN_PATHS else {"x-required-role": str(route.role)}
        endpoint = endpoint_on(run, route.endpoint)
        app.add_api_route(route.path, endpoint, methods=[route.method], response_model=None, openapi_extra=extra)
    if mcp:
        from forgetless.api.mcp.server import McpEndpoint  # noqa: PLC0415 - as above

        app.add_route(MCP_PATH, McpEndpoint(run=run), include_in_schema=False)  # type: ignore[arg-type]
    complete_document(app)
    return app
