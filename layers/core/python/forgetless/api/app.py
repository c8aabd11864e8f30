"""The application: layers in order, and the routes of a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.middleware import Middleware

from forgetless.api.auth import Authentication
from forgetless.api.boundary import Boundary
from forgetless.api.errors import answer_invalid
from forgetless.api.idempotency import Idempotency
from forgetless.api.limits import BodyLimit
from forgetless.api.openapi import describe_keys
from forgetless.api.routing import Route, Runner, endpoint_on, pool, run_inline

if TYPE_CHECKING:
    from forgetless.service.services import Services

__all__ = ["MCP_PATH", "create_app", "create_mcp_app", "create_search_app"]

#: Where the Model Context Protocol is spoken.
MCP_PATH = "/mcp"

#: Requests that uvicorn works on at once; more wait.
POOL_THREADS = 32


def create_app(services: Callable[[], Services], *, inline: bool, mcp: bool = False) -> FastAPI:
    """The whole API; `services` is called by the first request that needs it.

    `inline` runs endpoints on the event loop (Lambda: one request at a time), else in a bounded pool of threads;
    `mcp` adds /mcp, which is a function of its own on Lambda, as its SDK is slow to import.
    """
    from forgetless.api.routes import (  # noqa: PLC0415 - the search function never loads these
        configure,
        entities,
        events,
        export,
        health,
        instructions,
        memories,
        search,
        webhook_deliveries,
    )

    modules = (memories, search, entities, events, configure, instructions, export, webhook_deliveries, health)
    routes = [route for module in modules for route in module.ROUTES]
    return _compose(services, routes, inline=inline, docs=True, mcp=mcp)


def create_mcp_app(services: Callable[[], Services], *, inline: bool) -> FastAPI:
    """Only what the MCP function serves: /mcp."""
    return _compose(services, (), inline=inline, docs=False, mcp=True)


def create_search_app(services: Callable[[], Services], *, inline: bool) -> FastAPI:
    """Only what the search function serves: POST /search, without documentation."""
    from forgetless.api.routes import search  # noqa: PLC0415 - as above

    return _compose(services, search.ROUTES, inline=inline, docs=False)


def _compose(
    services: Callable[[], Services], routes: Iterable[Route], *, inline: bool, docs: bool, mcp: bool = False
) -> FastAPI:
    run: Runner = run_inline if inline else pool(POOL_THREADS)
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
            Middleware(Boundary),
            Middleware(Authentication, services=services, run=run),
            Middleware(BodyLimit),
            Middleware(Idempotency, run=run),
        ],
    )
    for route in routes:
        app.add_api_route(route.path, endpoint_on(run, route.endpoint), methods=[route.method], response_model=None)
    if mcp:
        from forgetless.api.mcp.server import McpEndpoint  # noqa: PLC0415 - as above

        app.add_route(MCP_PATH, McpEndpoint(run=run), include_in_schema=False)  # type: ignore[arg-type]
    describe_keys(app)
    return app
