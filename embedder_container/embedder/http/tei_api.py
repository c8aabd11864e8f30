"""The dialect of text-embeddings-inference: ``/embed``, ``/tokenize`` and ``/info``."""

from __future__ import annotations

from ..errors import EmbedderError, InvalidInputError
from ..service import Embedding
from . import request_fields
from .asgi import Request, Response, json_response
from .error_status import status_of
from .openai_api import server_timing

__all__ = ["embed", "error", "info", "tokenize"]

#: TEI's ``error_type``, by status.
TYPES = dict.fromkeys((400, 401, 404, 405, 413), "Validation") | {429: "Overloaded", 503: "Unhealthy"}


async def embed(service: Embedding, request: Request) -> Response:
    """Answer ``POST /embed``: bare vectors. Too long inputs are an error unless ``truncate`` is true."""
    body = request.json()
    given = request_fields.inputs(_required(body), "inputs", service.settings.max_inputs)
    if request_fields.flag(body, "normalize", True) is False:
        raise InvalidInputError("normalize: this model gives unit vectors only.", param="normalize")
    embedded = await service.embed(given, request_fields.options(body, request), request.gone)
    return json_response(embedded.vectors, headers=[(b"server-timing", server_timing(embedded))])


async def tokenize(service: Embedding, request: Request) -> Response:
    """Answer ``POST /tokenize``: the tokens of each text."""
    given = request_fields.inputs(_required(request.json()), "inputs", service.settings.max_inputs)
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) != len(given):
        raise InvalidInputError("inputs must be a string or an array of strings.", param="inputs")
    return json_response(await service.tokens(texts))


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
