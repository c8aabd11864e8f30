"""The effective settings (the contract's endpoints 10 to 12): they can be read, but not changed over HTTP."""

from __future__ import annotations

from starlette.responses import Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.json_response import json_response
from forgetless.api.routing import Route
from forgetless.domain.errors import ForbiddenError
from forgetless.domain.keys import Role
from forgetless.domain.tenants import OPERATOR

__all__ = ["ROUTES"]

#: LLM and embedder are called through OpenAI's API, whichever product serves it.
_PROVIDERS = {"llm": ["openai"], "embedder": ["openai"]}


def show_configuration(caller: CurrentCaller) -> Response:
    """The effective settings, without secrets. They are those of the whole deployment, not of one tenant."""
    if not caller.operator:
        raise ForbiddenError(f"Only administrators of the tenant {OPERATOR!r} may see the deployment's settings.")
    return json_response(caller.services.describe())


def show_providers() -> Response:
    """The APIs through which an LLM and an embedder are called."""
    return json_response(_PROVIDERS)


def refuse_configuration() -> Response:
    """Always 403: all functions of a deployment need the same settings, so these come from the environment."""
    raise ForbiddenError(
        "Settings come from the environment (FORGETLESS_… variables) and cannot be changed over HTTP; "
        "set them where the service is started or deployed."
    )


ROUTES = (
    Route("GET", "/configure", show_configuration, needs=Role.ADMIN),
    Route("GET", "/configure/providers", show_providers),
    Route("POST", "/configure", refuse_configuration, needs=Role.READ),
)
