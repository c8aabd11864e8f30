"""The LLM port: one chat completion that answers JSON by a schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["ChatMessage", "Llm"]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a completion: role system, user or assistant."""

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
        """The reply's text, as it came; with a schema it should be JSON (not validated here).

        Gives up `deadline_s` seconds from now at the latest, retries included. Raises LlmUnavailableError (429, 5xx,
        no connection; with its Retry-After), ProviderAuthError and ProviderRequestError (other 4xx), LlmReplyError
        (no content), TimeoutError (the deadline).
        """

    def close(self) -> None:
        """Release connections."""
