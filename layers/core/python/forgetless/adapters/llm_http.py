"""The LLM over HTTP: any server with OpenAI's chat completions API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.llm_refusals import read_refusal
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
from forgetless.ports.llm import ChatMessage
from forgetless.ports.metrics import LLM_TOKENS
from forgetless.ports.request_usage import note_tokens

if TYPE_CHECKING:
    from forgetless.adapters.http_client import Reply

__all__ = ["HttpLlm"]

#: Ways to request JSON, the strictest first. If a server refuses one, the next one is tried.
_FORMATS = ("json_schema", "json_object", "none")
#: Error codes of a 400 that have nothing to do with the format.
_OTHER_REASONS = frozenset({"model_not_found", "invalid_api_key"})
#: About how many characters a token has.
_CHARS_OF_TOKEN = 4


class HttpLlm:
    """Chat completions at `{base_url}/chat/completions`; `base_url` includes the version (".../v1").

    `base_url` may also be the whole endpoint. `temperature` is sent only when it is given, because some models accept
    only their default. `extra` returns more headers.
    """

    def __init__(
        self,
        base_url: str,
        *,
        model: str,
        api_key: Secret = "",
        retries: int = 2,
        temperature: float | None = None,
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
        self._temperature = temperature
        self._format = 0

    def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema_name: str | None = None,
        schema: Mapping[str, Any] | None = None,
        deadline_s: float,
    ) -> str:
        end = self._clock.monotonic() + deadline_s
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
        }
        if self._temperature is not None:
            body["temperature"] = self._temperature
        if schema is None:
            return self._text(self._post(body, end), body)
        return self._complete_json(body, schema_name or "reply", schema, end)

    def close(self) -> None:
        self._http.close()

    def _complete_json(self, body: dict[str, Any], name: str, schema: Mapping[str, Any], end: float) -> str:
        for level in range(self._format, len(_FORMATS)):
            reply = self._post(body | _response_format(_FORMATS[level], name, schema), end)
            last = level == len(_FORMATS) - 1
            if last or reply.status not in {400, 422}:
                break
            refusal = read_refusal(reply)
            if refusal.too_long or refusal.code in _OTHER_REASONS:
                break
        text = self._text(reply, body)
        # Remembered only after a success, because the 400s may have had another reason.
        self._format = level
        return text

    def _post(self, body: Mapping[str, Any], end: float) -> Reply:
        try:
            return self._http.post("/chat/completions", body, deadline_s=end - self._clock.monotonic())
        except ConnectionError as error:
            raise LlmUnavailableError(str(error)) from error

    def _text(self, reply: Reply, asked: Mapping[str, Any]) -> str:
        where = f"the LLM at {self._http.place}"
        if reply.status != 200:
            raise self._refused(reply, where)
        try:
            body = reply.json()
            message_ = body["choices"][0]["message"]
            content = message_["content"]
        except (ValueError, LookupError, TypeError) as error:
            raise LlmReplyError(
                f"{where} sent a reply without choices: check OPENAI_BASE_URL", misconfigured=True
            ) from error
        if isinstance(content, list):
            content = "".join(part["text"] for part in content if _is_text_part(part))
        _count_tokens(body.get("usage"), asked, content)
        if not isinstance(content, str):
            reason = "refused to answer" if message_.get("refusal") else "sent a reply without content"
            raise LlmReplyError(f"{where} {reason}")
        return content

    def _refused(self, reply: Reply, where: str) -> DependencyError:
        # The message leaves out the body, because servers quote the prompt in it.
        refusal = read_refusal(reply)
        code = refusal.code
        message = f"{where} answered with status {reply.status}" + (f" ({code})" if code else "")
        if refusal.too_long:
            advice = "send fewer or shorter messages, or name a model that takes more in FORGETLESS_LLM_MODEL"
            return LlmContextError(f"{message}: {advice}", status=reply.status)
        if reply.retryable:
            return LlmUnavailableError(message, retry_after=reply.retry_after or 2, status=reply.status)
        if reply.status in {401, 403} or code == "invalid_api_key":
            setting = "the user and password in OPENAI_BASE_URL" if self._http.has_credentials else "OPENAI_API_KEY"
            return ProviderAuthError(f"{message}: check {setting}")
        # Some servers answer 400 for a model that they do not have, which no other text would mend.
        status = 404 if code == "model_not_found" else reply.status
        return ProviderRequestError(f"{message}: check FORGETLESS_LLM_MODEL and OPENAI_BASE_URL", status=status)


def _count_tokens(usage: object, asked: Mapping[str, Any], content: object) -> None:
    """Count the tokens that the server says it has used; for quotas a guess from the characters if it says nothing."""
    given = usage if isinstance(usage, dict) else {}
    counted = 0
    for kind in LLM_TOKENS.labels["kind"]:
        tokens = given.get(f"{kind}_tokens")
        if isinstance(tokens, int) and tokens > 0:
            LLM_TOKENS.count(tokens, kind=kind)
            counted += tokens
    chars = sum(len(message["content"]) for message in asked["messages"])
    chars += len(content) if isinstance(content, str) else 0
    note_tokens(counted or chars // _CHARS_OF_TOKEN + 1)


def _is_text_part(part: object) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)


def _response_format(kind: str, name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    if kind == "json_schema":
        wanted = {"name": name, "strict": True, "schema": dict(schema)}
        return {"response_format": {"type": "json_schema", "json_schema": wanted}}
    if kind == "json_object":
        return {"response_format": {"type": "json_object"}}
    return {}
