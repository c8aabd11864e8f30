"""The LLM port: one chat completion, whose answer is JSON according to a schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["ChatMessage", "Llm"]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a completion. Its role is system, user or assistant."""

    role: str
    content: str


class Llm(Protocol):
    """Any OpenAI-compatible chat model."""

    def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema_name: str | None = None,
        schema: Mapping[str, Any] | None = None,
        deadline_s: float,
    ) -> str:
        """The text of the reply, unchanged. With a schema it should be JSON, which is not validated here.

        The tokens of the reply are noted (`forgetless.ports.request_usage`).

        Gives up after `deadline_s` seconds, retries included. Raises LlmUnavailableError (429, 5xx, or no connection;
        with the Retry-After of the answer), ProviderAuthError (401, 403), LlmContextError (more tokens than the model
        reads), ProviderRequestError (other 4xx), LlmReplyError (no content) and TimeoutError (at the deadline).
        """

    def close(self) -> None:
        """Release connections."""
