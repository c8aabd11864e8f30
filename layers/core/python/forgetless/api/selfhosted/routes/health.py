"""Health: whether every part answers. It needs no key, and names the parts to administrators of the deployment only."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from forgetless.api.base_path import base_path_of
from forgetless.api.caller import CurrentCaller
from forgetless.api.json_response import json_response
from forgetless.api.routing import Route
from forgetless.service.health import status_of

__all__ = ["ROUTES"]


def health(caller: CurrentCaller) -> Response:
    """200 with "ok", or with "degraded" if a part is out that not every request needs; otherwise 503 with "down".

    Administrators of the deployment also see the parts and reasons.
    """
    parts = caller.build_services().health.check()
    answer: dict[str, object] = {"status": status_of(parts)}
    if caller.operator:
        failing = {name: reason for name, reason in parts.items() if reason != "ok"}
        if failing:
            answer["detail"] = "; ".join(f"{name}: {reason}" for name, reason in failing.items())
        answer["parts"] = parts
    return json_response(answer, status=503 if answer["status"] == "down" else 200)


def root(request: Request) -> Response:
    """Redirect to the documentation."""
    return RedirectResponse(f"{base_path_of(request.scope)}/docs", status_code=307)


ROUTES = (Route("GET", "/health", health), Route("GET", "/", root))
