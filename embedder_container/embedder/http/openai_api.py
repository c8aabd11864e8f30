"""OpenAI's dialect: embeddings and models, with jina's ``task`` and ``truncate``."""

from __future__ import annotations

import base64
from typing import Any

from ..errors import EmbedderError, InvalidInputError
from ..service import Embedded, Embedding
from . import request_fields
from .asgi import Request, Response, json_response
from .error_status import reason, status_of

__all__ = ["embeddings", "error", "model", "models", "server_timing"]

#: The ``type`` of an error's body, by status.
TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


async def embeddings(service: Embedding, request: Request) -> Response:
    """Answer ``POST /v1/embeddings``."""
    body = request.json()
    service.require_model(request_fields.text(body, "model"))
    encoding = request_fields.choice(body, "encoding_format", ("float", "base64"))
    if "input" not in body:
        raise InvalidInputError("input is required.", param="input", code="missing_required_parameter")
    given = request_fields.inputs(body["input"], "input", request, service.settings)
    embedded = await service.embed(given, request_fields.options(body, request), request.gone)
    vectors: Any = embedded.vectors
    if encoding == "base64":
        vectors = [base64.b64encode(vector.astype("<f4", copy=False)).decode() for vector in vectors]
    answer = {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)],
        "model": body.get("model") or service.manifest.name,
        "usage": {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens},
    }
    return json_response(answer, headers=[(b"server-timing", server_timing(embedded))])


async def models(service: Embedding, request: Request) -> Response:  # noqa: ARG001 - a route's shape
    """Answer ``GET /v1/models``, with what the manifest says of the licence."""
    return json_response({"object": "list", "data": [_described(service, name) for name in service.names]})


async def model(service: Embedding, request: Request) -> Response:
    """Answer ``GET /v1/models/{id}``; the id may contain slashes."""
    return json_response(_described(service, service.require_model(request.rest)))


def _described(service: Embedding, name: str) -> dict[str, object]:
    manifest = service.manifest
    return {
        "id": name,
        "object": "model",
        "created": 0,
        # Infinity's client reads no other owner; OpenAI's reads any.
        "owned_by": "infinity",
        "capabilities": ["embed"],
        "licence": manifest.licence,
        "commercial_use": manifest.commercial_use,
        "dimensions": manifest.dimensions,
        "max_length": manifest.max_length,
        "tasks": manifest.tasks,
        "stats": {"queue_tokens": service.waiting_tokens},
    }


def error(raised: EmbedderError) -> Response:
    """Return an error in OpenAI's shape."""
    status = status_of(raised)
    body = {
        "error": {
            "message": str(raised),
            "type": TYPES.get(status, "server_error"),
            "param": getattr(raised, "param", None),
            "code": reason(raised),
        }
    }
    return json_response(body, status)


def server_timing(embedded: Embedded) -> bytes:
    """Return the ``Server-Timing`` header: milliseconds in the queue, the tokenizer and the model."""
    return (
        f"queue;dur={embedded.queue * 1000:.2f}, tokenize;dur={embedded.tokenize * 1000:.2f}, "
        f"inference;dur={embedded.inference * 1000:.2f}"
    ).encode()
