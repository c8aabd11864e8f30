"""POST /runtime/init/error: the function could not be initialised; its process ends after this."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.emulator.runtime_api.error import TYPE_HEADER
from local.emulator.runtime_api.messages import ACCEPTED, Reply, Request

if TYPE_CHECKING:
    from local.emulator.environments.environment import Environment


def handle(environment: Environment, request: Request) -> Reply:
    """Take the error of the initialisation."""
    environment.on_init_error(request.headers.get(TYPE_HEADER, ""), request.body)
    return ACCEPTED
