"""The same API under uvicorn, for those who want no Lambda: `uvicorn --factory forgetless.asgi:create`."""

from __future__ import annotations

from fastapi import FastAPI

from forgetless.api.app import create_app
from forgetless.runtime.composition import services
from forgetless.runtime.logs import share_config
from forgetless.runtime.settings import load_settings

__all__ = ["create"]


def create() -> FastAPI:
    """All routes; endpoints run in a bounded thread pool."""
    share_config()
    return create_app(services, inline=False, origins=load_settings().allowed_origins)
