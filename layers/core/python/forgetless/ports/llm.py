"""The LLM port: one chat completion, whose answer is JSON according to a schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["ChatMessage", "Completion", "Llm"]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a completion. Its role is system, user or assistant.

    The first `own` characters are the service's words, and no client's.
    """

    role: str
    content: str
    own: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Completion:
    """What the LLM answered. `thoughts` are given when the server tells them apart and `text` is empty.

    `finish_reason` is "stop" when the LLM has said all, "length" when it was cut off, "content_filter" when it was
    stopped, and something else, or empty, when the server says something else, or nothing.
    """

    text: str
    finish_reason: str = "stop"
    thoughts: str = ""


class Llm(Protocol):
    """Any OpenAI-compatible chat model."""

    def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema_name: str | None = None,
        schema: Mapping[str, Any] | None = None,
        deadline_s: float,
    ) -> Completion:
        """The reply, its text unchanged. With a schema it should be JSON, which is not validated here.

        The tokens of the reply are noted (`forgetless.ports.request_usage`).

        Gives up after `deadline_s` seconds, retries included. Raises LlmUnavailableError (429, 5xx, or no connection;
        with the Retry-After of the answer), ProviderAuthError (401, 403), LlmContextError (more tokens than the model
        reads), ProviderRequestError (other 4xx), LlmReplyError (no content) and TimeoutError (at the deadline).
        """

    def close(self) -> None:
        """Release connections."""
