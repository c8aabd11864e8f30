"""The same API under uvicorn, for those who want no Lambda: `uvicorn --factory forgetless.asgi:create`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from forgetless.api.app import create_app
from forgetless.runtime.composition import services
from forgetless.runtime.start import start

__all__ = ["create"]

#: How long a server that stops waits for the portion of a bulk job. A portion that takes longer is done again later.
_STOP_S = 8.0


def create() -> FastAPI:
    """All routes and /mcp; endpoints run in a bounded thread pool. Without a queue, one thread does bulk jobs."""
    settings = start()
    app = create_app(services, inline=False, origins=settings.allowed_origins, mcp=True, docs=bool(settings.docs))
    if not settings.bulk_queue_url:
        app.router.lifespan_context = _with_bulk_worker
    return app


@asynccontextmanager
async def _with_bulk_worker(app: FastAPI) -> AsyncIterator[None]:
    del app
    stopped = threading.Event()
    thread = threading.Thread(target=lambda: services().bulk_worker.work(stopped), name="bulk-jobs", daemon=True)
    thread.start()
    yield
    stopped.set()
    await asyncio.to_thread(thread.join, _STOP_S)
