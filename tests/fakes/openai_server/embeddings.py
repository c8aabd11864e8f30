"""Embedding servers in their own ways: paths, keys, limits, fields, forms of replies and of refusals, each as reported.

Sources are in the issue trackers of the servers; the shapes are those that their users pasted there.
"""

from __future__ import annotations

import base64
import json
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from forgetless.ports.embedder import EmbeddingTask
from tests.fakes.embedder import FakeEmbedder
from tests.unit.servers import Answer, Request

__all__ = ["DIMENSIONS", "KEY", "SERVERS", "EmbeddingServer"]

DIMENSIONS = 384
KEY = "a key"
#: A text with this word breaks the model, or is refused.
POISON = "poison"

#: What a server says to a refused request, given what is wrong: a field's name, "texts" or "poison".
Refuse = Callable[[str, int], Answer]


@dataclass(frozen=True)
class EmbeddingServer:
    """One server's behaviour; called with a request, it answers as that server would."""

    #: What stands after host and port in FORGETLESS_EMBEDDER_URL, and the path that is served.
    address: str
    path: str
    refuse: Refuse
    refused_fields: tuple[str, ...] = ()
    most_texts: int = 2048
    #: The form of the rows: "full", "no zero" (Gemini), "no index", "null index".
    rows: str = "full"
    knows_base64: bool = True
    #: The header that must have the key.
    key_header: str = "authorization"
    needs_api_version: bool = False
    #: What becomes of a text with POISON in it: "fine", "refused", "nan", "null", "zero".
    poison: str = "fine"
    dimensions: int = DIMENSIONS
    #: Statuses that every request gets, such as a missing model's.
    always: Answer | None = None

    def __call__(self, request: Request) -> Answer:
        url = urlsplit(request.path)
        if url.path != self.path:
            return Answer(404, {"error": {"message": f"no such path: {url.path}"}})
        key = request.headers.get(self.key_header, "").removeprefix("Bearer ")
        if key != KEY:
            return Answer(401, {"error": {"code": "401", "message": "Access denied due to invalid subscription key."}})
        if self.needs_api_version and "api-version=" not in url.query:
            return Answer(404, {"error": {"code": "404", "message": "Resource not found"}})
        return self.always or self._embeddings(request.body)

    def _embeddings(self, body: dict[str, Any]) -> Answer:
        texts: list[str] = body["input"]
        for name in self.refused_fields:
            if name in body:
                return self.refuse(name, len(texts))
        if len(texts) > self.most_texts:
            return self.refuse("texts", len(texts))
        if self.poison == "refused" and any(POISON in text for text in texts):
            return self.refuse("poison", len(texts))
        given = body.get("dimensions", self.dimensions)
        size = given if "dimensions" not in self.refused_fields else self.dimensions
        vectors = FakeEmbedder(size).embed(texts, EmbeddingTask.PASSAGE)
        as_base64 = self.knows_base64 and body.get("encoding_format") == "base64"
        pairs = enumerate(zip(texts, vectors, strict=True))
        rows = [self._row(place, text, vector, as_base64) for place, (text, vector) in pairs]
        # json and not the server's own form: it writes NaN as Python's servers do.
        reply = {"object": "list", "data": rows, "model": body["model"], "usage": {"prompt_tokens": len(texts)}}
        return Answer(body=json.dumps(reply).encode())

    def _row(self, place: int, text: str, vector: list[float], as_base64: bool) -> dict[str, Any]:
        if POISON in text and self.poison in {"nan", "zero"}:
            vector = [float("nan") if self.poison == "nan" else 0.0] * len(vector)
        encoded: Any = base64.b64encode(array("f", vector).tobytes()).decode() if as_base64 else vector
        if POISON in text and self.poison == "null":
            encoded = None
        row: dict[str, Any] = {"object": "embedding", "embedding": encoded}
        if self.rows == "full" or (self.rows == "no zero" and place):
            row["index"] = place
        elif self.rows == "null index":
            row["index"] = None
        return row


def _openai(wrong: str, count: int) -> Answer:
    message = f"Unrecognized request argument supplied: {wrong}"
    if wrong == "texts":
        message = f"Invalid 'input': array too long. Expected an array with maximum length 2048, but got {count}."
    return Answer(400, {"error": {"message": message, "type": "invalid_request_error", "code": None}})


def _ollama(_wrong: str, _count: int) -> Answer:
    return Answer(500, {"error": "failed to encode response: json: unsupported value: NaN"})


def _vllm(_wrong: str, _count: int) -> Answer:
    message = (
        'Model "m" does not support matryoshka representation, changing output dimensions will lead to poor results.'
    )
    return Answer(400, {"object": "error", "message": message, "type": "BadRequestError", "code": 400})


def _tei(wrong: str, count: int) -> Answer:
    error = f"batch size {count} > maximum allowed batch size 32"
    if wrong == "poison":
        error = "Input validation error: `inputs` must have less than 512 tokens. Given: 600"
    return Answer(413, {"error": error, "error_type": "Validation"})


def _gemini(wrong: str, _count: int) -> Answer:
    message = f'Invalid JSON payload received. Unknown name "{wrong}": Cannot find field.'
    if wrong == "texts":
        message = "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch\n"
    return Answer(400, [{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}])


def _dashscope(_wrong: str, _count: int) -> Answer:
    message = "<400> InternalError.Algo.InvalidParameter: Value error, batch size is invalid, it should not be larger "
    return Answer(400, {"error": {"message": message + "than 10.: input.contents", "code": "InvalidParameter"}})


def _siliconflow(_wrong: str, count: int) -> Answer:
    message = f"input batch size {count} > maximum allowed batch size 64"
    return Answer(413, {"code": 20042, "message": message, "data": None})


def _silent(_wrong: str, _count: int) -> Answer:
    return Answer(400, {"error": "Bad Request"})


def _broken(_wrong: str, _count: int) -> Answer:
    return Answer(500, b"Internal Server Error")


_MISSING = Answer(400, {"object": "error", "message": "The model `m` does not exist.", "code": 400})


def _v1(refuse: Refuse, **ways: Any) -> EmbeddingServer:
    return EmbeddingServer("", "/v1/embeddings", refuse, **ways)


#: By the names that `python -m tests.fakes.openai_server --like NAME` knows.
SERVERS = {
    "openai": _v1(_openai, refused_fields=("task",)),
    "ollama": _v1(_ollama, poison="refused"),
    "vllm": _v1(_vllm, refused_fields=("dimensions",)),
    "tei": _v1(_tei, most_texts=32, poison="refused"),
    "azure": EmbeddingServer(
        "/openai/deployments/m?api-version=2024-10-21",
        "/openai/deployments/m/embeddings",
        _openai,
        refused_fields=("task",),
        key_header="api-key",
        needs_api_version=True,
    ),
    "gemini": EmbeddingServer(
        "/v1beta/openai/",
        "/v1beta/openai/embeddings",
        _gemini,
        refused_fields=("task", "user"),
        most_texts=100,
        rows="no zero",
        knows_base64=False,
        dimensions=3072,
    ),
    "dashscope": EmbeddingServer("/compatible-mode/v1", "/compatible-mode/v1/embeddings", _dashscope, most_texts=10),
    "siliconflow": _v1(_siliconflow, most_texts=64),
    "ark": EmbeddingServer("/api/v3", "/api/v3/embeddings", _openai, rows="no index", knows_base64=False),
    "null-index": EmbeddingServer("/v1/embeddings", "/v1/embeddings", _openai, rows="null index"),
    "ada-002": _v1(_openai, refused_fields=("task", "dimensions"), dimensions=1536),
    "nan": _v1(_openai, poison="nan", knows_base64=False),
    "null-vector": _v1(_openai, poison="null"),
    "zero-vector": _v1(_openai, poison="zero"),
    "breaks": _v1(_broken, poison="refused"),
    "silent": _v1(_silent, refused_fields=("dimensions",), most_texts=10, poison="refused"),
    "no-model": _v1(_silent, always=_MISSING),
}
