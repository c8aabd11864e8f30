"""Lambda entry point of the same service: `awslambdaric embedder.lambda_entry.handler` in the same image."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from mangum import Mangum

from .http.app import App
from .server import app_from_environment

__all__ = ["handler"]


def _started() -> App:
    """The application with its service running on this thread's event loop, where Mangum's requests run too."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = app_from_environment()
    ready = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not ready.is_set():
            return {"type": "lifespan.startup"}
        return await asyncio.Future()  # Lambda ends environments without a word

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "lifespan.startup.complete":
            ready.set()

    async def start() -> asyncio.Task[None]:
        life = asyncio.ensure_future(app({"type": "lifespan"}, receive, send))
        waiting = asyncio.ensure_future(ready.wait())
        await asyncio.wait({life, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if life.done():
            waiting.cancel()
            life.result()
        return life

    # Kept with the application: a task that nobody holds may be collected.
    _lives.append(loop.run_until_complete(start()))
    return app


_lives: list[asyncio.Task[None]] = []
handler = Mangum(_started(), lifespan="off")
