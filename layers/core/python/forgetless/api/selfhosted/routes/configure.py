"""The effective settings (the contract's endpoints 10 to 12): shown, never changed over HTTP."""

from __future__ import annotations

from starlette.responses import Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.json_response import json_response
from forgetless.api.routing import Route
from forgetless.domain.errors import ForbiddenError
from forgetless.domain.keys import Role

__all__ = ["ROUTES"]

#: LLM and embedder are reached by OpenAI's contract, whoever serves it.
_PROVIDERS = {"llm": ["openai"], "embedder": ["openai"]}


def show_configuration(caller: CurrentCaller) -> Response:
    """The settings in force, without secrets."""
    return json_response(caller.services.describe())


def show_providers() -> Response:
    """The contracts by which an LLM and an embedder are reached."""
    return json_response(_PROVIDERS)


def refuse_configuration() -> Response:
    """Always 403: every function of a deployment must have the same settings, so they come from the environment."""
    raise ForbiddenError(
        "Settings come from the environment (FORGETLESS_… variables) and cannot be changed over HTTP; "
        "set them where the service is started or deployed."
    )


ROUTES = (
    Route("GET", "/configure", show_configuration),
    Route("GET", "/configure/providers", show_providers),
    Route("POST", "/configure", refuse_configuration, needs=Role.READ),
)
