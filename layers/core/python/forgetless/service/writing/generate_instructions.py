"""Instructions: an LLM writes custom extraction instructions for a use case (mem0's generate-instructions)."""

from __future__ import annotations

from forgetless.domain.errors import InvalidRequestError, LlmUnavailableError
from forgetless.domain.limits import REQUEST_S
from forgetless.ports.clock import Clock
from forgetless.ports.llm import Llm
from forgetless.service.writing.extraction import generate_instructions

__all__ = ["InstructionService"]


class InstructionService:
    """One LLM call."""

    def __init__(self, *, llm: Llm | None, clock: Clock) -> None:
        self._llm = llm
        self._clock = clock

    def generate(self, use_case: str) -> tuple[str, str]:
        """(custom instructions, a message to test them with); raises InvalidRequestError without an LLM."""
        if self._llm is None:
            raise InvalidRequestError("No LLM is configured: set FORGETLESS_LLM_MODEL or OPENAI_BASE_URL.")
        try:
            return generate_instructions(self._llm, use_case, deadline_s=REQUEST_S, clock=self._clock)
        except TimeoutError:
            raise LlmUnavailableError(f"the LLM did not answer within {REQUEST_S:g} s") from None
