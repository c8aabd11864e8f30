"""Authentication: checks the key before any route is looked up or any body is read, and refuses unknown keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from forgetless.api.base_path import service_url
from forgetless.api.caller import HEALTH_PATH, MCP_PATH, OAUTH_PATHS, Caller, is_open_path, set_caller
from forgetless.api.routing import Runner, note_open_page
from forgetless.domain.errors import AuthenticationError, ForgetlessError
from forgetless.ports.trace import name_tenant

if TYPE_CHECKING:
    from forgetless.service.services import Services

__all__ = ["Authentication", "TokenReader", "presented_key"]

#: The hash of the key that a token stands for; None for everything that is no valid token.
TokenReader = Callable[[str], str | None]

_MISSING = "Authentication required. Provide a Bearer token or X-API-Key header."
_UNKNOWN_KEY = "Invalid API key."
_UNKNOWN_BEARER = "Invalid or expired token."


class Authentication:
    """ASGI layer that finds the caller of each request or refuses the request."""

    def __init__(
        self, app: ASGIApp, *, services: Callable[[], Services], run: Runner, tokens: TokenReader | None = None
    ) -> None:
        self._app = app
        self._services = services
        self._run = run
        #: Reads tokens of OAuth, which are valid at /mcp only; None where OAuth is not offered.
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            caller = await self._caller(scope)
            set_caller(scope, caller)
            if caller.key is not None:
                name_tenant(caller.key.tenant)
        await self._app(scope, receive, send)

    async def _caller(self, scope: Scope) -> Caller:
        note_open_page(without_key=False)
        if is_open_path(scope["path"]) and scope["method"] in {"GET", "HEAD"}:
            caller = await self._of_open_page(scope)
            note_open_page(without_key=caller.key is None)
            return caller
        if self._tokens is not None and scope["path"] in OAUTH_PATHS:
            return Caller(self._services, None)
        presented, refusal = presented_key(scope)
        if presented is None:
            raise AuthenticationError(refusal, missing=True, challenge=self._challenge(scope))
        try:
            return await self._run(lambda: self._known(presented, scope))
        except AuthenticationError:
            raise AuthenticationError(refusal, challenge=self._challenge(scope, 'error="invalid_token"')) from None

    def _challenge(self, scope: Scope, *more: str) -> str | None:
        """The WWW-Authenticate of a refusal at /mcp, from which a client learns where tokens are given (RFC 9728)."""
        if self._tokens is None or scope["path"] != MCP_PATH:
            return None
        metadata = f"{service_url(scope)}/.well-known/oauth-protected-resource/mcp"
        return "Bearer " + ", ".join([*more, f'resource_metadata="{metadata}"'])

    async def _of_open_page(self, scope: Scope) -> Caller:
        """A caller without a key, or the administrator whose key came with a question about health."""
        nobody = Caller(self._services, None)
        presented, _ = presented_key(scope)
        if scope["path"] != HEALTH_PATH or presented is None:
            return nobody
        try:
            caller = await self._run(lambda: self._known(presented, scope))
        except ForgetlessError:  # an unknown key, or a ledger that does not answer, which the answer is about
            return nobody
        return replace(caller, meter=None) if caller.operator else nobody

    def _known(self, presented: str, scope: Scope) -> Caller:
        services = self._services()
        # The peer's address; on Lambda, the one that the gateway saw.
        address = (scope.get("client") or ("",))[0]
        if self._tokens is not None and scope["path"] == MCP_PATH and (hash_ := self._tokens(presented)) is not None:
            key = services.keys.known(hash_, address=address)
        else:
            key = services.keys.authenticate(presented, address=address)
        return Caller(self._services, key, meter=services.meter, limits=services.limits)


def presented_key(scope: Scope) -> tuple[str | None, str]:
    """The key in the headers, and the error message if it is unknown.

    Bearer takes precedence over X-API-Key, which takes precedence over Token.
    """
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
