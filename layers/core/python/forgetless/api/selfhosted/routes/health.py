"""Health: whether every part answers. It needs no key, and names the parts to administrators of the deployment only."""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.json_response import json_response
from forgetless.api.routing import Route

__all__ = ["ROUTES"]


def health(caller: CurrentCaller) -> Response:
    """200 if all parts answer, otherwise 503. Administrators of the deployment also see the parts and reasons."""
    parts = caller.build_services().health.check()
    if not caller.operator:
        well = all(reason == "ok" for reason in parts.values())
        return json_response({"status": "ok" if well else "unavailable"}, status=200 if well else 503)
    failing = {name: reason for name, reason in parts.items() if reason != "ok"}
    if not failing:
        return json_response({"status": "ok", "parts": parts})
    detail = "; ".join(f"{name}: {reason}" for name, reason in failing.items())
    return json_response({"status": "unavailable", "detail": detail, "parts": parts}, status=503)


def root() -> Response:
    """Redirect to the documentation."""
    return RedirectResponse("/docs", status_code=307)


ROUTES = (Route("GET", "/health", health), Route("GET", "/", root))
