"""Authentication: it comes before any route is looked up and any body is read, and refuses what it does not know."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from forgetless.api.caller import OPEN_PATHS, Caller, set_caller
from forgetless.api.routing import Runner
from forgetless.domain.errors import AuthenticationError

if TYPE_CHECKING:
    from forgetless.service.services import Services

__all__ = ["Authentication", "presented_key"]

_MISSING = "Authentication required. Provide a Bearer token or X-API-Key header."
_UNKNOWN_KEY = "Invalid API key."
_UNKNOWN_BEARER = "Invalid or expired token."


class Authentication:
    """ASGI layer that finds the caller of every request, or refuses it."""

    def __init__(self, app: ASGIApp, *, services: Callable[[], Services], run: Runner) -> None:
        self._app = app
        self._services = services
        self._run = run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            set_caller(scope, await self._caller(scope))
        await self._app(scope, receive, send)

    async def _caller(self, scope: Scope) -> Caller:
        if scope["path"] in OPEN_PATHS and scope["method"] in {"GET", "HEAD"}:
            return Caller(self._services, None)
        presented, refusal = presented_key(scope)
        if presented is None:
            raise AuthenticationError(refusal, missing=True)
        try:
            return await self._run(lambda: self._known(presented))
        except AuthenticationError:
            raise AuthenticationError(refusal) from None

    def _known(self, presented: str) -> Caller:
        services = self._services()
        return Caller(self._services, services.keys.authenticate(presented), rates=services.rates)


def presented_key(scope: Scope) -> tuple[str | None, str]:
    """The key in the headers and what to say when it is not known; Bearer wins over X-API-Key over Token."""
    headers = {name: value.decode("latin-1").strip() for name, value in scope["headers"] if name in _KEY_HEADERS}
    scheme, _, credentials = headers.get(b"authorization", "").partition(" ")
    credentials = credentials.strip()
    if scheme.lower() == "bearer" and credentials:
        return credentials, _UNKNOWN_BEARER
    if api_key := headers.get(b"x-api-key"):
        return api_key, _UNKNOWN_KEY
    if scheme.lower() == "token" and credentials:
        return credentials, _UNKNOWN_KEY
    return None, _MISSING


_KEY_HEADERS = frozenset({b"authorization", b"x-api-key"})
