"""The same API under uvicorn, for those who want no Lambda: `uvicorn --factory forgetless.asgi:create`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from fastapi import FastAPI

from forgetless.api.app import create_app
from forgetless.runtime.background_work import background_work, running
from forgetless.runtime.composition import services
from forgetless.runtime.metrics import showing_metrics
from forgetless.runtime.start import start_server

__all__ = ["create"]


def create() -> FastAPI:
    """All routes and /mcp; endpoints run in a bounded thread pool, and background work in threads beside them.

    With FORGETLESS_BACKGROUND=0 another process does the background work (`forgetless serve`).
    """
    settings = start_server()
    # uvicorn's own access log holds paths and addresses, which may be personal data; ours holds none.
    logging.getLogger("uvicorn.access").disabled = True
    app = create_app(
        services,
        inline=False,
        origins=settings.allowed_origins,
        mcp=True,
        docs=bool(settings.docs),
        console=bool(settings.console),
        oauth_redirects=settings.oauth_hosts,
        base_path=settings.base_path,
    )
    works = background_work(settings, services) if settings.background else []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        with ExitStack() as beside:
            beside.enter_context(showing_metrics(settings))
            beside.enter_context(running(works))
            yield
            await asyncio.to_thread(beside.close)

    app.router.lifespan_context = lifespan
    return app
