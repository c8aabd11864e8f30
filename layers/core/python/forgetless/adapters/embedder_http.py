"""The embedder over HTTP: any server with OpenAI's embeddings API, with jina's additional field `task`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from forgetless.adapters.aws_signer import AwsSigner
from forgetless.adapters.clock import SystemClock
from forgetless.adapters.embedder_negotiation import Learnt, Negotiation, Refused, Vectors, WrongLengthError
from forgetless.adapters.embedder_replies import is_broken_vector, limit_in, named_fields, vectors_of
from forgetless.adapters.provider_urls import provider_url
from forgetless.adapters.secrets_aws import Secret
from forgetless.domain.errors import (
    DependencyError,
    EmbedderError,
    EmbedderReplyError,
    EmbedderTextError,
    ProviderAuthError,
    ProviderRequestError,
)
from forgetless.domain.limits import EMBEDDED_AT_ONCE
from forgetless.ports.clock import Clock
from forgetless.ports.embedder import EmbeddingTask

if TYPE_CHECKING:
    from forgetless.adapters.http_client import Reply

__all__ = ["HttpEmbedder"]

#: Seconds that a ping may take; it is not retried.
PING_TIMEOUT_S = 1.0
_KEY = "FORGETLESS_EMBEDDER_API_KEY"
#: The statuses that may be about the texts, their number or a field.
_REFUSALS = frozenset({400, 413, 422})


class HttpEmbedder:
    """Any OpenAI-compatible embedding server.

    `timeout_s` limits the calls for up to 128 texts with their retries. `dimensions` is requested from the server and
    checked. `send_task` is for servers that support jina's `task`. Such servers also receive a digest of the texts'
    owner in OpenAI's `user`, so that our embedder can cache the vectors of each owner. Fields of `omit` are not sent.
    Servers that refuse fields or many texts in a request are given what they take (see `Negotiation`). `signed` signs
    each request with the process's AWS credentials, for a function URL that asks IAM. `extra` returns more headers.
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
        omit: frozenset[str] = frozenset(),
        most_texts: int = EMBEDDED_AT_ONCE,
        clock: Clock | None = None,
        signed: bool = False,
        extra: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        # Imported here, so that a function that uses no embedder never loads httpcore.
        from forgetless.adapters.http_client import JsonClient  # noqa: PLC0415

        self._clock = clock or SystemClock()
        base, key_header = provider_url(base_url, "/embeddings", version="/v1")
        self._http = JsonClient(
            base,
            "the embedder",
            self._clock,
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
        self._learnt = Learnt(most_texts, omitted=omit)

    def embed(self, texts: Sequence[str], task: EmbeddingTask, *, owner: str = "") -> list[list[float]]:
        vectors: Vectors = []
        refusal: Refused | None = None
        for start in range(0, len(texts), EMBEDDED_AT_ONCE):
            call = self._negotiation(task, owner=owner, timeout_s=self._timeout_s, retries=self._retries)
            vectors += call.run(texts[start : start + EMBEDDED_AT_ONCE])
            refusal = call.refusal or refusal
        if missing := vectors.count(None):
            status = f" (status {refusal.status})" if refusal is not None else ""
            message = f"the embedder has no vector for {missing} of {len(texts)} texts{status}"
            raise EmbedderTextError(f"{message}, although it takes others", vectors)
        return [vector for vector in vectors if vector is not None]

    def ping(self) -> None:
        """Embed one short text, because servers have no health path in common."""
        self._negotiation(EmbeddingTask.QUERY, timeout_s=PING_TIMEOUT_S, retries=0).run(["ping"])

    def close(self) -> None:
        self._http.close()

    def _negotiation(self, task: EmbeddingTask, *, owner: str = "", timeout_s: float, retries: int) -> Negotiation:
        end = self._clock.monotonic() + timeout_s
        optional: dict[str, Any] = {"encoding_format": "base64"}
        if self._dimensions is not None:
            optional["dimensions"] = self._dimensions
        if self._send_task:
            optional["task"] = str(task)
        if owner and self._send_task:
            optional["user"] = _digest(owner)

        broke = False

        def ask(texts: Sequence[str], fields: frozenset[str]) -> Vectors | Refused:
            nonlocal broke
            body = {"model": self._model, "input": list(texts)}
            body |= {name: value for name, value in optional.items() if name in fields}
            reply = self._post(body, end - self._clock.monotonic(), retries, broke=broke)
            # The next call tells whether it was the text; only a server that has answered nothing yet is tried again.
            broke = broke or reply.status == 500
            return self._vectors(reply, texts, fields) if reply.status == 200 else self._refusal(reply, texts, fields)

        nothing = self._nonsense("has no vector with a direction for any text: check FORGETLESS_EMBEDDING_MODEL")
        return Negotiation(self._learnt, frozenset(optional), ask, no_vector=nothing)

    def _post(self, body: dict[str, Any], left_s: float, retries: int, *, broke: bool) -> Reply:
        def final(reply: Reply) -> bool:
            return reply.status == 500 and (broke or is_broken_vector(reply.body))

        try:
            return self._http.post("/embeddings", body, deadline_s=left_s, retries=retries, final=final)
        except (ConnectionError, TimeoutError) as error:
            raise EmbedderError(str(error)) from error

    def _vectors(self, reply: Reply, texts: Sequence[str], fields: frozenset[str]) -> Vectors:
        try:
            vectors = vectors_of(reply.body, len(texts))
        except ValueError as error:
            raise self._nonsense(str(error)) from error
        lengths = [len(vector) for vector in vectors if vector is not None]
        expected = self._dimensions or (lengths[0] if lengths else 0)
        if wrong := [length for length in lengths if length != expected]:
            refused = "dimensions" in self._learnt.omitted or "dimensions" not in fields
            advice = "" if not refused else ", or a model that gives so many"
            raise WrongLengthError(
                self._nonsense(
                    f"has vectors of {wrong[0]} dimensions instead of {expected}: check "
                    f"FORGETLESS_EMBEDDING_DIMENSIONS{advice}"
                )
            )
        return vectors

    def _refusal(self, reply: Reply, texts: Sequence[str], fields: frozenset[str]) -> Refused:
        """What a reply other than 200 says; raises its error if neither other fields nor fewer texts would help."""
        error = self._error(reply)
        if reply.status not in _REFUSALS and reply.status != 500:
            raise error
        named = named_fields(reply.body, fields) if reply.status in {400, 422} else frozenset()
        return Refused(
            error,
            reply.status,
            named=named,
            limit=limit_in(reply.body, len(texts)) if len(texts) > 1 else None,
            of_fields=reply.status in {400, 422},
            broke=reply.status == 500,
        )

    def _error(self, reply: Reply) -> DependencyError:
        # The message leaves out the body, because servers quote the input in it.
        message = f"the embedder answered with status {reply.status}"
        if reply.retryable:
            return EmbedderError(message, retry_after=reply.retry_after or 2)
        if reply.status in {401, 403}:
            where = "the user and password in FORGETLESS_EMBEDDER_URL" if self._http.has_credentials else _KEY
            if self._signed:
                where = f"that these AWS credentials may call its URL (lambda:InvokeFunctionUrl), and {_KEY}"
            return ProviderAuthError(f"{message}: check {where}")
        # Raised only if the control text was refused as well.
        return ProviderRequestError(f"{message}: {_advice(reply.status)}", status=reply.status, of_any_input=True)

    def _nonsense(self, what: str) -> EmbedderReplyError:
        return EmbedderReplyError(f"the reply of the embedder {what}")


def _advice(status: int) -> str:
    if status == 413:
        return "one text of ordinary length is too large for it: raise its limit, or choose another model"
    if status not in {400, 422}:
        return "check FORGETLESS_EMBEDDER_URL and FORGETLESS_EMBEDDING_MODEL"
    return "it refuses every text: check FORGETLESS_EMBEDDING_MODEL and FORGETLESS_EMBEDDING_DIMENSIONS"


def _digest(owner: str) -> str:
    return hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()[:32]
