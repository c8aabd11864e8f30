"""Custom instructions written by the LLM (the contract's endpoint 13)."""

from __future__ import annotations

from starlette.responses import Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.json_response import json_response
from forgetless.api.routing import Route
from forgetless.api.selfhosted.wire import InstructionsBody
from forgetless.domain.errors import InvalidRequestError

__all__ = ["ROUTES"]


def generate_instructions(caller: CurrentCaller, body: InstructionsBody) -> Response:
    """Generate instructions for a use case, and a message to test them with."""
    use_case = body.use_case.strip()
    if not use_case:
        raise InvalidRequestError("use_case must not be empty.")
    caller.check_llm_tokens()
    instructions, test_message = caller.services.instructions.generate(caller.tenant, use_case)
    return json_response({"custom_instructions": instructions, "test_message": test_message})


ROUTES = (Route("POST", "/generate-instructions", generate_instructions),)
