"""How an LLM's context is shared out between instructions, what is known already, new messages and the reply."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_CONTEXT", "LEAST_CONTEXT", "LlmContext"]

#: The tokens of the context if no setting names them. Most hosted models read more.
DEFAULT_CONTEXT = 65_536
#: A context that is smaller has no room for the instructions of an extraction.
LEAST_CONTEXT = 2_048
#: The new messages of a call may have so many tokens, however long the instructions are.
_LEAST_MESSAGES = 256
#: The reply, and what is known already, each have a quarter of the context, and no more than this.
_MOST_REST = 8_192


@dataclass(frozen=True, slots=True)
class LlmContext:
    """So many tokens, as `estimated_tokens` counts them, may an LLM read and write in one call."""

    tokens: int = DEFAULT_CONTEXT

    @property
    def rest(self) -> int:
        """The room for the reply; and as much again for memories and earlier messages."""
        return min(self.tokens // 4, _MOST_REST)

    def messages(self, instructions: int) -> int:
        """The room for new messages beside instructions of so many tokens."""
        return max(self.tokens - 2 * self.rest - instructions, _LEAST_MESSAGES)

    def halved(self, asked: int) -> LlmContext | None:
        """What to try after the LLM refused a prompt of `asked` tokens as too long; None if nothing smaller is left."""
        if self.tokens <= LEAST_CONTEXT:
            return None
        # Of a context, two thirds are what makes a prompt of half the size.
        return LlmContext(max(min(self.tokens // 2, asked * 2 // 3), LEAST_CONTEXT))

    @classmethod
    def with_room_for(cls, messages: int, instructions: int) -> LlmContext:
        """The smallest context that has so many tokens for new messages beside the instructions."""
        needed = messages + instructions
        return cls(max(min(2 * needed, needed + 2 * _MOST_REST), LEAST_CONTEXT))
