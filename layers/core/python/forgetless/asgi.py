"""The same API under uvicorn, for those who want no Lambda: `uvicorn --factory forgetless.asgi:create`."""

from __future__ import annotations

from fastapi import FastAPI

from forgetless.api.app import create_app
from forgetless.runtime.composition import services
from forgetless.runtime.start import start

__all__ = ["create"]


def create() -> FastAPI:
    """All routes and /mcp; endpoints run in a bounded thread pool."""
    return create_app(services, inline=False, origins=start().allowed_origins, mcp=True)
