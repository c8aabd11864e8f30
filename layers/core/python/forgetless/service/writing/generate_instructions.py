"""Instructions: an LLM writes custom extraction instructions for a use case (mem0's generate-instructions)."""

from __future__ import annotations

from forgetless.domain.errors import InvalidRequestError, LlmUnavailableError
from forgetless.domain.limits import REQUEST_S
from forgetless.ports.clock import Clock
from forgetless.ports.llm import Llm
from forgetless.service.llm_waits import LlmWaits
from forgetless.service.writing.extraction import generate_instructions

__all__ = ["InstructionService"]


class InstructionService:
    """Generates instructions with one LLM call, which a second one may repair."""

    def __init__(self, *, llm: Llm | None, clock: Clock, waits: LlmWaits) -> None:
        self._waits = waits
        self._llm = llm
        self._clock = clock

    def generate(self, tenant: str, use_case: str) -> tuple[str, str]:
        """Custom instructions for the use case, and a message to test them with.

        Raises InvalidRequestError if no LLM is configured, LlmUnavailableError if it is too slow or too many requests
        of the tenant wait for it, and the errors of the LLM.
        """
        if self._llm is None:
            raise InvalidRequestError("No LLM is configured: set FORGETLESS_LLM_MODEL or OPENAI_BASE_URL.")
        try:
            with self._waits.needed(tenant):
                return generate_instructions(self._llm, use_case, deadline_s=REQUEST_S, clock=self._clock)
        except TimeoutError:
            raise LlmUnavailableError(f"the LLM did not answer within {REQUEST_S:g} s") from None
