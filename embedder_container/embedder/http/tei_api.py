"""The dialect of text-embeddings-inference: ``/embed``, ``/similarity``, ``/tokenize`` and ``/info``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import EmbedderError, InvalidInputError
from ..service import Embedding
from . import request_fields
from .asgi import Request, Response, json_response
from .error_status import status_of
from .openai_api import server_timing

__all__ = ["embed", "error", "info", "root", "similarity", "tokenize"]

#: TEI's ``error_type``, by status.
TYPES = dict.fromkeys((400, 401, 404, 405, 413), "Validation") | {429: "Overloaded", 503: "Unhealthy"}


async def root(service: Embedding, request: Request) -> Response:
    """Answer ``POST /``: ``/similarity`` if the inputs are to be compared, otherwise ``/embed``."""
    body = request.json()
    answer = _similarity if isinstance(body.get("inputs"), dict) else _embed
    return await answer(service, request, body)


async def embed(service: Embedding, request: Request) -> Response:
    """Answer ``POST /embed``: bare vectors. Of a too long input the beginning counts, unless ``truncate`` is false."""
    return await _embed(service, request, request.json())


async def similarity(service: Embedding, request: Request) -> Response:
    """Answer ``POST /similarity``: the cosine of ``source_sentence`` and each of ``sentences``."""
    return await _similarity(service, request, request.json())


async def _embed(service: Embedding, request: Request, body: dict[str, Any]) -> Response:
    given = request_fields.inputs(_required(body), "inputs", request, service.settings)
    if request_fields.flag(body, "normalize", True) is False:
        raise InvalidInputError("normalize: this model gives unit vectors only.", param="normalize")
    embedded = await service.embed(given, request_fields.options(body, request), request.gone)
    return json_response(embedded.vectors, headers=[(b"server-timing", server_timing(embedded))])


async def _similarity(service: Embedding, request: Request, body: dict[str, Any]) -> Response:
    given = _required(body)
    if not isinstance(given, dict):
        raise InvalidInputError("inputs must be an object of source_sentence and sentences.", param="inputs")
    source = request_fields.text(given, "source_sentence")
    if not source:
        raise InvalidInputError("source_sentence must be a non-empty string.", param="source_sentence")
    others = request_fields.texts(given.get("sentences"), "sentences", service.settings.max_inputs)
    parameters = body.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise InvalidInputError("parameters must be an object.", param="parameters")
    embedded = await service.embed([source, *others], request_fields.options(parameters, request), request.gone)
    # They are unit vectors. Rounding may take the cosine of equal texts a little beyond 1.
    cosines = np.clip(embedded.vectors[1:] @ embedded.vectors[0], -1, 1)
    return json_response(cosines, headers=[(b"server-timing", server_timing(embedded))])


async def tokenize(service: Embedding, request: Request) -> Response:
    """Answer ``POST /tokenize``: the tokens of each text."""
    body = request.json()
    given = _required(body)
    texts = request_fields.texts([given] if isinstance(given, str) else given, "inputs", service.settings.max_inputs)
    special = request_fields.flag(body, "add_special_tokens", True)
    return json_response(await service.tokens(texts, special=special))


async def info(service: Embedding, request: Request) -> Response:  # noqa: ARG001 - a route's shape
    """Answer ``GET /info``."""
    manifest, settings = service.manifest, service.settings
    return json_response(
        {
            "model_id": manifest.name,
            "model_sha": manifest.revision,
            "model_dtype": manifest.quantization,
            "model_type": {"embedding": {"pooling": manifest.pooling}},
            "max_concurrent_requests": settings.queue_tokens,
            "max_input_length": manifest.max_length,
            "max_batch_tokens": settings.batch_tokens,
            "max_batch_requests": settings.batch_rows,
            "max_client_batch_size": settings.max_inputs,
            "auto_truncate": True,
            "tokenization_workers": 1,
            "version": "0.1.0",
            "licence": manifest.licence,
        }
    )


def error(raised: EmbedderError) -> Response:
    """Return an error in TEI's shape."""
    status = status_of(raised)
    return json_response({"error": str(raised), "error_type": TYPES.get(status, "Backend")}, status)


def _required(body: dict[str, object]) -> object:
    if "inputs" not in body:
        raise InvalidInputError("inputs is required.", param="inputs")
    return body["inputs"]
