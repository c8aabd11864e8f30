"""An LLM without a model: a function from messages to the reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forgetless.ports.llm import ChatMessage, Completion

__all__ = ["FakeLlm", "LlmCall"]


@dataclass(frozen=True, slots=True)
class LlmCall:
    """What one completion was asked."""

    messages: tuple[ChatMessage, ...]
    schema_name: str | None
    deadline_s: float


class FakeLlm:
    """Answers with `reply(messages)`, which may raise; `replies` in a row when a sequence is given.

    `calls` holds every call.
    """

    def __init__(self, reply: Callable[[Sequence[ChatMessage]], str | Completion] | Sequence[str | Completion]) -> None:
        if callable(reply):
            self._reply = reply
        else:
            rest = iter(reply)
            self._reply = lambda _messages: next(rest)
        self.calls: list[LlmCall] = []
        self.closed = False

    def replies(self, *texts: str) -> None:
        """From now on, answer with these, the last one again and again."""
        rest = list(texts)
        self._reply = lambda _messages: rest.pop(0) if len(rest) > 1 else rest[0]

    def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema_name: str | None = None,
        schema: Mapping[str, Any] | None = None,
        deadline_s: float,
    ) -> Completion:
        self.calls.append(LlmCall(tuple(messages), schema_name, deadline_s))
        reply = self._reply(messages)
        return reply if isinstance(reply, Completion) else Completion(reply)

    def close(self) -> None:
        self.closed = True
