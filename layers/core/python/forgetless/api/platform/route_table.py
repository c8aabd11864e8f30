"""The table of the Platform's routes. Fixed paths come before paths whose id takes the rest of the path."""

from __future__ import annotations

from forgetless.api.platform.routes import (
    add,
    batch,
    entities,
    events,
    explain,
    exports,
    feedback,
    lists,
    members,
    memories,
    ping,
    profiles,
    projects,
    search,
    webhooks,
)
from forgetless.api.routing import Route

__all__ = ["PLATFORM_ROUTES"]

_MODULES = (
    ping,
    add,
    search,
    explain,
    lists,
    batch,
    events,
    exports,
    feedback,
    projects,
    members,
    webhooks,
    profiles,
    entities,
    memories,
)

PLATFORM_ROUTES: tuple[Route, ...] = tuple(route for module in _MODULES for route in module.ROUTES)
