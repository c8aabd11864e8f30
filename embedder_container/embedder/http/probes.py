"""What operators ask: is it alive, is it ready, and its figures."""

from __future__ import annotations

from ..service import Embedding
from .status import NotReadyError
from .wire import Request, Response, json_response

__all__ = ["health", "metrics", "ready"]


async def health(service: Embedding, request: Request) -> Response:  # noqa: ARG001 - a route's shape
    """Answer ``GET /health``: the process runs."""
    return json_response({"status": "ok", "model": service.manifest.name})


async def ready(service: Embedding, request: Request) -> Response:  # noqa: ARG001 - a route's shape
    """Answer ``GET /ready``: 200 once the model has answered a warm-up, 503 before and while stopping."""
    if not service.ready:
        raise NotReadyError("The model has not answered yet.")
    return json_response({"status": "ready", "model": service.manifest.name})


async def metrics(service: Embedding, request: Request) -> Response:  # noqa: ARG001 - a route's shape
    """Answer ``GET /metrics`` for Prometheus."""
    return Response(service.metrics.render(), content_type=b"text/plain; version=0.0.4; charset=utf-8")
