"""Base path: what precedes every path of the API outside, such as a stage, a custom domain's path or a proxy's.

Routes, roles and the access log know paths without it. Addresses in answers begin with it.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import Scope

__all__ = ["base_path_of", "service_url", "take_off_base_path"]

#: The base path of a request, in its state.
_STATE = "base_path"


def take_off_base_path(scope: Scope, configured: str) -> None:
    """Leave the API's own path in the scope, and keep what preceded it for addresses.

    The configured base path may be there or not: proxies and API Gateway's mappings may take it off themselves. A
    named stage of API Gateway and the `root_path` of an ASGI server are found without configuration.
    """
    event = scope.get("aws.event")
    # Mangum decodes the path a second time, but the one from the gateway is decoded, and an id may contain `%25`.
    path = scope["path"] if event is None else event["requestContext"]["http"]["path"]
    given = scope.get("root_path", "") if event is None else _stage_of(event)
    taken = ""
    for prefix in (configured, given):
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            path, taken = path[len(prefix) :] or "/", taken + prefix
    scope["path"], scope["root_path"] = path, ""
    scope.setdefault("state", {})[_STATE] = configured or taken


def base_path_of(scope: Scope) -> str:
    """What to write before the path in an address; empty, or `/` and a path without a slash at its end."""
    return str(scope["state"][_STATE])


def service_url(scope: Scope) -> str:
    """The address of this service as the client wrote it, without a slash at its end."""
    return str(Request(scope).base_url).rstrip("/") + base_path_of(scope)


def _stage_of(event: dict[str, object]) -> str:
    """The stage as it stands in the path of an event; `$default` stands in none."""
    context = event["requestContext"]
    stage = context.get("stage", "$default") if isinstance(context, dict) else "$default"
    return "" if stage == "$default" else f"/{stage}"
