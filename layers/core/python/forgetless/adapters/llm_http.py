"""The LLM over HTTP: any server with OpenAI's chat completions API."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.llm_refusals import read_refusal
from forgetless.adapters.llm_request import RequestForm
from forgetless.adapters.llm_tokens import THOUGHTS, content_of, count_tokens
from forgetless.adapters.provider_urls import provider_url
from forgetless.adapters.secrets_aws import Secret
from forgetless.domain.errors import (
    DependencyError,
    LlmContextError,
    LlmReplyError,
    LlmUnavailableError,
    ProviderAuthError,
    ProviderRequestError,
)
from forgetless.ports.clock import Clock
from forgetless.ports.llm import ChatMessage, Completion

if TYPE_CHECKING:
    from forgetless.adapters.http_client import Reply

__all__ = ["HttpLlm"]

_log = logging.getLogger(__name__)

#: Of so many schemas it is remembered in which format the server answers. Each set of categories has one.
_MOST_SCHEMAS = 1000

#: The ends of a reply in the words of other servers.
_FINISHES = {
    "end_turn": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "max_output_tokens": "length",
    "max_tokens": "length",
    "model_length": "length",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "safety": "content_filter",
}


class HttpLlm:
    """Chat completions at `{base_url}/chat/completions`; `base_url` includes the version (".../v1").

    `base_url` may also be the whole endpoint. `options` are more fields of each request; one that the server refuses
    is left out from then on. `extra` returns more headers.
    """

    def __init__(
        self,
        base_url: str,
        *,
        model: str,
        api_key: Secret = "",
        retries: int = 2,
        options: Mapping[str, Any] | None = None,
        clock: Clock | None = None,
        extra: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        # Imported here, so that a function that never calls the LLM never loads httpcore.
        from forgetless.adapters.http_client import JsonClient  # noqa: PLC0415

        self._clock = clock or SystemClock()
        base, key_header = provider_url(base_url, "/chat/completions")
        self._http = JsonClient(
            base, "the LLM", self._clock, api_key=api_key, key_header=key_header, extra=extra, retries=retries
        )
        self._model = model
        self._form = RequestForm.of(options or {})
        #: The format with which the server answered, by a digest of the schema, if it refused a stricter one.
        self._formats: dict[bytes, int] = {}

    def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema_name: str | None = None,
        schema: Mapping[str, Any] | None = None,
        deadline_s: float,
    ) -> Completion:
        end = self._clock.monotonic() + deadline_s
        asked = _digest(schema)
        known = self._formats.pop(asked, 0)
        if known:
            self._formats[asked] = known  # the latest used is the last to be forgotten
        form = lasting = replace(self._form, format=max(self._form.format, known))
        while True:
            body = form.body(self._model, messages, schema_name or "reply", schema)
            reply = self._post(body, end)
            if reply.status == 200:
                break
            refusal = read_refusal(reply)
            after = form.after(refusal, body)
            if after is None:
                raise self._refused(reply, body)
            if form.lasts(refusal, body, messages):
                lasting = after if lasting is form else lasting.after(refusal, body) or lasting
            form = after
        completion = self._completion(reply)
        # Remembered only after a success, because the refusals may have had another reason.
        self._remember(lasting, asked)
        return completion

    def _remember(self, lasting: RequestForm, asked: bytes) -> None:
        """Leave out from now on what was refused; a format only for this schema, which may be what was refused."""
        before = replace(self._form, format=max(self._form.format, self._formats.get(asked, 0)))
        if lasting == before:
            return
        _log.warning(
            "the LLM refuses a part of the requests: it is left out from now on, and the setting spares the tries",
            extra=lasting.changes(before),
        )
        self._form = replace(lasting, format=self._form.format)
        self._formats[asked] = lasting.format
        while len(self._formats) > _MOST_SCHEMAS:
            self._formats.pop(next(iter(self._formats)), None)

    def close(self) -> None:
        self._http.close()

    def _post(self, body: Mapping[str, Any], end: float) -> Reply:
        def ended(reply: Reply | None) -> None:
            count_tokens(body, None if reply is None else _with_status(reply))

        try:
            reply = self._http.post("/chat/completions", body, deadline_s=end - self._clock.monotonic(), ended=ended)
        except ConnectionError as error:
            raise LlmUnavailableError(str(error)) from error
        return _with_status(reply)

    def _completion(self, reply: Reply) -> Completion:
        where = "the LLM"
        try:
            body = reply.json()
            choice = body["choices"][0]
            message = choice["message"]
            content = content_of(message)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise LlmReplyError(
                f"{where} sent a reply without choices: check OPENAI_BASE_URL", misconfigured=True
            ) from error
        finish = str(choice.get("finish_reason") or "").lower()
        finish = _FINISHES.get(finish, finish)
        if isinstance(content, str) and content.strip():
            return Completion(content, finish)
        thoughts = next((given for key in THOUGHTS if (given := message.get(key)) and isinstance(given, str)), "")
        if message.get("refusal"):
            raise LlmReplyError(f"{where} refused to answer")
        if content is None and not thoughts and finish not in {"length", "content_filter"}:
            raise LlmReplyError(f"{where} sent a reply without content")
        return Completion("", finish, thoughts)

    def _refused(self, reply: Reply, asked: Mapping[str, Any]) -> DependencyError:
        # The body of the reply is not shown as it is, because servers quote the prompt in it.
        refusal = read_refusal(reply)
        told = refusal.without(self._http.secrets())
        code, said = refusal.code, [message["content"] for message in asked["messages"]]
        shown = told.shown_code(said)
        message = f"the LLM answered with status {reply.status}" + (f" ({shown})" if shown else "")
        if refusal.too_long:
            advice = "send fewer or shorter messages, or name a model that takes more in FORGETLESS_LLM_MODEL"
            return LlmContextError(f"{message}: {advice}", status=reply.status)
        if reply.retryable:
            return LlmUnavailableError(message, retry_after=reply.retry_after or 2, status=reply.status)
        if (reply.status in {401, 403} and not refusal.filtered) or code == "invalid_api_key":
            setting = "the user and password in OPENAI_BASE_URL" if self._http.has_credentials else "OPENAI_API_KEY"
            return ProviderAuthError(f"{message}: check {setting}")
        if reason := told.shown(said):
            message += f', "{reason}"'
        if refusal.filtered:
            # As 400, because a 403 of a filter says nothing about the key: the next text may be answered.
            return ProviderRequestError(f"{message}: leave out what its filter refuses", status=400, quoted=reason)
        # Some servers answer 400 for a model that they do not have, which no other text would mend.
        status = 404 if code == "model_not_found" else reply.status
        advice = "check FORGETLESS_LLM_MODEL and OPENAI_BASE_URL"
        return ProviderRequestError(f"{message}: {advice}", status=status, quoted=reason)


def _digest(schema: Mapping[str, Any] | None) -> bytes:
    return hashlib.blake2b(json.dumps(schema, sort_keys=True).encode(), digest_size=16).digest() if schema else b""


def _with_status(reply: Reply) -> Reply:
    """The reply with the status of its error: some gateways answer 200 and say in the body what has failed."""
    if reply.status != 200 or b'"error"' not in reply.body:
        return reply
    try:
        body = reply.json()
        status = None if body.get("choices") else body["error"].get("code")
    except (ValueError, LookupError, TypeError, AttributeError):
        return reply
    return replace(reply, status=status) if isinstance(status, int) and 400 <= status <= 599 else reply
