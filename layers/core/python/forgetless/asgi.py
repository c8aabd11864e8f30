"""The same API under uvicorn, for those who want no Lambda: `uvicorn --factory forgetless.asgi:create`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from fastapi import FastAPI

from forgetless.api.app import create_app
from forgetless.runtime.composition import services
from forgetless.runtime.metrics import serve_metrics
from forgetless.runtime.start import start

if TYPE_CHECKING:
    from forgetless.adapters.metrics_prometheus import MetricsServer

__all__ = ["create"]

#: How long a server that stops waits for what its threads have begun. What takes longer is done again later.
_STOP_S = 8.0


def create() -> FastAPI:
    """All routes and /mcp; endpoints run in a bounded thread pool.

    One thread delivers webhooks each minute, and one does bulk jobs if there is no queue for them.
    """
    settings = start()
    app = create_app(services, inline=False, origins=settings.allowed_origins, mcp=True, docs=bool(settings.docs))
    works = [_deliver_webhooks] if settings.bulk_queue_url else [_deliver_webhooks, _do_bulk_jobs]
    app.router.lifespan_context = partial(_with_threads, works, partial(serve_metrics, settings))
    return app


def _deliver_webhooks(stopped: threading.Event) -> None:
    services().delivery_schedule.work(stopped)


def _do_bulk_jobs(stopped: threading.Event) -> None:
    services().bulk_worker.work(stopped)


@asynccontextmanager
async def _with_threads(
    works: Sequence[Callable[[threading.Event], None]], show_metrics: Callable[[], MetricsServer | None], app: FastAPI
) -> AsyncIterator[None]:
    del app
    metrics = show_metrics()
    stopped = threading.Event()
    threads = [threading.Thread(target=work, args=(stopped,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    yield
    stopped.set()
    await asyncio.gather(*(asyncio.to_thread(thread.join, _STOP_S) for thread in threads))
    if metrics is not None:
        metrics.close()
