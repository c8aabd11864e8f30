"""The embedder over HTTP: OpenAI's embeddings API, with jina's additional field `task`."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from forgetless.adapters.aws_signer import AwsSigner
from forgetless.adapters.clock import SystemClock
from forgetless.adapters.provider_urls import provider_url
from forgetless.adapters.secrets_aws import Secret
from forgetless.domain.errors import (
    DependencyError,
    EmbedderError,
    EmbedderReplyError,
    ProviderAuthError,
    ProviderRequestError,
)
from forgetless.ports.clock import Clock
from forgetless.ports.embedder import EmbeddingTask

if TYPE_CHECKING:
    from forgetless.adapters.http_client import Reply

__all__ = ["HttpEmbedder"]

#: The largest number of texts in one HTTP call.
MAX_TEXTS_PER_CALL = 128
#: Seconds that a ping may take; it is not retried.
PING_TIMEOUT_S = 1.0
_KEY = "FORGETLESS_EMBEDDER_API_KEY"
#: How far a vector's norm may be from 1 before it is scaled.
_NORM_TOLERANCE = 1e-3


class HttpEmbedder:
    """Any OpenAI-compatible embedding server.

    `timeout_s` limits one HTTP call of up to 128 texts with its retries. `dimensions` is requested from the server and
    checked. `send_task` is for servers that support jina's `task`; OpenAI's own API refuses it. Such servers also
    receive a digest of the texts' owner in OpenAI's `user`, so that our embedder can cache the vectors of each owner.
    `signed` signs each request with the process's AWS credentials, for a function URL that asks IAM.
    """

    def __init__(
        self,
        base_url: str,
        *,
        model: str,
        api_key: Secret = "",
        dimensions: int | None = None,
        timeout_s: float = 10.0,
        retries: int = 2,
        send_task: bool = True,
        clock: Clock | None = None,
        signed: bool = False,
        extra: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        # Imported here, so that a function that uses no embedder never loads httpcore.
        from forgetless.adapters.http_client import JsonClient  # noqa: PLC0415

        base, key_header = provider_url(base_url, "/embeddings", version="/v1")
        self._http = JsonClient(
            base,
            "the embedder",
            clock or SystemClock(),
            api_key=api_key,
            key_header=key_header,
            extra=extra,
            sign=AwsSigner(base, "the embedder") if signed else None,
        )
        self._signed = signed
        self._retries = retries
        self._model = model
        self._dimensions = dimensions
        self._timeout_s = timeout_s
        self._send_task = send_task
        self._base64 = True

    def embed(self, texts: Sequence[str], task: EmbeddingTask, *, owner: str = "") -> list[list[float]]:
        vectors: list[list[float]] = []
        for start in range(0, len(texts), MAX_TEXTS_PER_CALL):
            vectors += self._embed_some(
                texts[start : start + MAX_TEXTS_PER_CALL],
                task,
                user=_digest(owner) if owner and self._send_task else "",
                timeout_s=self._timeout_s,
                retries=self._retries,
            )
        return vectors

    def ping(self) -> None:
        """Embed one short text, because servers have no health path in common."""
        self._embed_some(["ping"], EmbeddingTask.QUERY, timeout_s=PING_TIMEOUT_S, retries=0)

    def close(self) -> None:
        self._http.close()

    def _embed_some(
        self, texts: Sequence[str], task: EmbeddingTask, *, user: str = "", timeout_s: float, retries: int
    ) -> list[list[float]]:
        body: dict[str, Any] = {"model": self._model, "input": list(texts)}
        if self._base64:
            body["encoding_format"] = "base64"
        if self._dimensions is not None:
            body["dimensions"] = self._dimensions
        if self._send_task:
            body["task"] = str(task)
        if user:
            body["user"] = user
        reply = self._post(body, timeout_s, retries)
        if self._base64 and reply.status in {400, 422} and _names_encoding(reply.body):
            self._base64 = False
            del body["encoding_format"]
            reply = self._post(body, timeout_s, retries)
        if reply.status != 200:
            raise self._refused(reply)
        return self._vectors(reply, len(texts))

    def _post(self, body: dict[str, Any], timeout_s: float, retries: int) -> Reply:
        try:
            return self._http.post("/embeddings", body, deadline_s=timeout_s, retries=retries)
        except (ConnectionError, TimeoutError) as error:
            raise EmbedderError(str(error)) from error

    def _refused(self, reply: Reply) -> DependencyError:
        # The message leaves out the body, because servers quote the input in it.
        message = f"the embedder at {self._http.place} answered with status {reply.status}"
        if reply.retryable:
            return EmbedderError(message, retry_after=reply.retry_after or 2)
        if reply.status in {401, 403}:
            where = "the user and password in FORGETLESS_EMBEDDER_URL" if self._http.has_credentials else _KEY
            if self._signed:
                where = f"that these AWS credentials may call its URL (lambda:InvokeFunctionUrl), and {_KEY}"
            return ProviderAuthError(f"{message}: check {where}")
        return ProviderRequestError(f"{message}: {self._advice(reply.status)}", status=reply.status)

    def _advice(self, status: int) -> str:
        if status == 413:
            return "the input is too large for it; send fewer or shorter messages, or raise its limit"
        if status not in {400, 422}:
            return "check FORGETLESS_EMBEDDER_URL and FORGETLESS_EMBEDDING_MODEL"
        advice = "check FORGETLESS_EMBEDDING_MODEL and FORGETLESS_EMBEDDING_DIMENSIONS"
        return advice + "; if it does not support `task`, set FORGETLESS_EMBEDDER_SEND_TASK=0" * self._send_task

    def _vectors(self, reply: Reply, count: int) -> list[list[float]]:
        try:
            rows = sorted(reply.json()["data"], key=lambda row: row["index"])
            vectors = [_unit(_decode(row["embedding"])) for row in rows]
            order = [row["index"] for row in rows]
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise self._nonsense("is not a list of embeddings: check FORGETLESS_EMBEDDER_URL") from error
        if order != list(range(count)):
            raise self._nonsense(f"does not number its {len(order)} vectors from 0 to {count - 1}, one for each text")
        expected = self._dimensions or len(vectors[0])
        if wrong := [len(vector) for vector in vectors if len(vector) != expected]:
            raise self._nonsense(
                f"has vectors of {wrong[0]} dimensions instead of {expected}: check FORGETLESS_EMBEDDING_DIMENSIONS"
            )
        return vectors

    def _nonsense(self, what: str) -> EmbedderReplyError:
        return EmbedderReplyError(f"the reply of the embedder at {self._http.place} {what}")


def _digest(owner: str) -> str:
    return hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _names_encoding(body: bytes) -> bool:
    return b"encoding_format" in body or b"base64" in body


def _decode(embedding: object) -> list[float]:
    """The vector of an embedding, which is base64 of little-endian float32 or a list of numbers."""
    if isinstance(embedding, str):
        floats = array("f")
        floats.frombytes(base64.b64decode(embedding, validate=True))
        if sys.byteorder == "big":
            floats.byteswap()
        return floats.tolist()
    if not isinstance(embedding, list):
        raise TypeError("an embedding is a string or a list")
    return [float(number) for number in embedding]


def _unit(vector: list[float]) -> list[float]:
    """The vector scaled to norm 1; raises ValueError when its norm is zero."""
    norm = math.hypot(*vector)
    if not math.isfinite(norm) or norm == 0.0:
        raise ValueError("the vector's norm is zero")
    if abs(norm - 1.0) <= _NORM_TOLERANCE:
        return vector
    return [number / norm for number in vector]
