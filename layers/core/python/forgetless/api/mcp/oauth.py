"""OAuth for MCP hosts that can send no key of their own: metadata, registration, log-in page and tokens.

The authorization server of RFC 6749 and 7636 (PKCE), with RFC 7591 (registration), 7009 (revocation), 8414 and 9728
(metadata), is the SDK's. A person enters a Forgetless key once; the host gets tokens that act for this key at /mcp.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from mcp.server.auth.handlers.authorize import AuthorizationHandler
from mcp.server.auth.handlers.register import RegistrationHandler
from mcp.server.auth.handlers.token import TokenHandler
from mcp.server.auth.middleware.client_auth import AuthenticationError as UnknownClientError
from mcp.server.auth.middleware.client_auth import ClientAuthenticator
from mcp.server.auth.settings import ClientRegistrationOptions
from mcp.shared.auth import OAuthClientMetadata
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route as HttpRoute

from forgetless.api.base_path import service_url
from forgetless.api.body_limit import BodyLimit
from forgetless.api.caller import MCP_NEEDS, MCP_ROUTE, OAUTH_PATHS, Caller, set_caller
from forgetless.api.errors import in_one_line, status_of
from forgetless.api.json_response import json_response
from forgetless.api.mcp.login_page import login_page, refusal_page
from forgetless.api.mcp.oauth_forms import MOST_FORM_BYTES, MOST_REGISTRATION_BYTES, Endpoint, with_form
from forgetless.api.mcp.oauth_provider import Login, OAuthProvider
from forgetless.api.mcp.oauth_redirects import OAuthRedirects
from forgetless.api.mcp.oauth_tokens import looks_signed
from forgetless.api.routing import Runner
from forgetless.domain.errors import AuthenticationError, RateLimitedError, TooManyGuessesError
from forgetless.domain.keys import ApiKey, Role

if TYPE_CHECKING:
    from forgetless.service.services import Services

__all__ = ["OAuth"]

_TOO_OLD = "It has waited for more than ten minutes, or its address is not complete. Connect again from the host."
_REGISTRATION = ClientRegistrationOptions(enabled=True)
_METHODS = ("none", "client_secret_post", "client_secret_basic")


class OAuth:
    """The OAuth endpoints of one application, and what its tokens stand for."""

    def __init__(self, services: Callable[[], Services], *, redirects: Sequence[str], run: Runner) -> None:
        self._services = services
        self._run = run
        self._provider = OAuthProvider(services, OAuthRedirects(redirects), run)

    def key_hash(self, presented: str) -> str | None:
        """The hash of the key that a token stands for; None if it is no valid token."""
        return self._provider.key_hash(presented) if looks_signed(presented) else None

    def routes(self) -> list[HttpRoute]:
        """All endpoints."""
        pages = {
            "/oauth/authorize": _HttpRoute("/oauth/authorize", self._authorize, methods=["GET"]),
            "/oauth/register": _HttpRoute(
                "/oauth/register", self._register, methods=["POST"], most=MOST_REGISTRATION_BYTES
            ),
            "/oauth/token": _HttpRoute("/oauth/token", with_form(self._token), methods=["POST"]),
            "/oauth/revoke": _HttpRoute("/oauth/revoke", with_form(self._revoke), methods=["POST"]),
            "/oauth/login": _HttpRoute("/oauth/login", with_form(self._login), methods=["GET", "POST"]),
        }
        for path in OAUTH_PATHS - pages.keys():
            metadata = _resource if "protected-resource" in path else _server
            pages[path] = _HttpRoute(path, metadata, methods=["GET"])
        return list(pages.values())

    async def _register(self, request: Request) -> Response:
        """The SDK's endpoint, which would answer with every error of a body, of which there may be thousands."""
        try:
            OAuthClientMetadata.model_validate_json(await request.body())
        except ValidationError as error:
            body = {"error": "invalid_client_metadata", "error_description": in_one_line(error, "body")}
            return json_response(body, status=400)
        answer: Response = await RegistrationHandler(self._provider, _REGISTRATION).handle(request)
        return answer

    async def _authorize(self, request: Request) -> Response:
        """The SDK's endpoint, which takes everything but GET for a form, and whose errors do not say who answers."""
        asked = Request({**request.scope, "method": "GET"}, request.receive)
        answer: Response = await AuthorizationHandler(self._provider).handle(asked)
        where = answer.headers.get("location", "login?")
        if not where.startswith("login?"):
            answer.headers["location"] = f"{where}&{urlencode({'iss': service_url(request.scope)})}"  # RFC 9207
        return answer

    async def _token(self, request: Request) -> Response:
        provider = self._provider.asked_from(_address(request))
        answer: Response = await TokenHandler(provider, ClientAuthenticator(provider)).handle(request)
        return answer

    async def _revoke(self, request: Request) -> Response:
        """RFC 7009. The SDK's own endpoint refuses clients without a secret."""
        provider = self._provider.asked_from(_address(request))
        try:
            client = await ClientAuthenticator(provider).authenticate_request(request)
        except UnknownClientError as error:
            return json_response({"error": "invalid_client", "error_description": error.message}, status=401)
        token = await provider.granted(client, str((await request.form()).get("token", "")))
        if token is not None and token.client_id == client.client_id:
            await provider.revoke_token(token)
        return json_response({})

    async def _login(self, request: Request) -> Response:
        posted = request.method == "POST"
        fields = await request.form() if posted else request.query_params
        carried = str(fields.get("request", ""))
        login = await self._provider.login(carried)
        if login is None:
            return refusal_page(_TOO_OLD)
        if not posted:
            return _page(login, carried, request)
        try:
            presented = str(fields.get("key", "")).strip()
            key = await self._run(lambda: self._admitted(presented, _address(request)))
        except AuthenticationError as error:
            wrong = "This key is not known here, or is no longer valid."
            return _page(login, carried, request, wrong=wrong, status=status_of(error))
        except (TooManyGuessesError, RateLimitedError) as error:
            page = _page(login, carried, request, wrong=error.message, status=status_of(error))
            page.headers["Retry-After"] = str(error.retry_after)
            return page
        # The access log and the audit list say whose key has let the host in.
        set_caller(request.scope, Caller(self._services, key))
        request.scope["state"][MCP_NEEDS] = Role.WRITE
        code = await self._provider.code(login, key)
        return RedirectResponse(login.answer(code=code, iss=service_url(request.scope)), status_code=303)

    def _admitted(self, presented: str, address: str) -> ApiKey:
        """The key, whose quota of requests the log-in counts for."""
        services = self._services()
        key = services.keys.authenticate(presented, address=address)
        services.meter.take_request(key)
        return key


class _HttpRoute(HttpRoute):
    """A route whose body is limited, and whose path stands in the access log."""

    def __init__(self, path: str, endpoint: Endpoint, *, methods: list[str], most: int = MOST_FORM_BYTES) -> None:
        super().__init__(path, _noted(endpoint), methods=methods, include_in_schema=False)
        self.app = BodyLimit(self.app, most=most)


def _noted(endpoint: Endpoint) -> Endpoint:
    """The endpoint; its path stands in the access log."""

    async def serve(request: Request) -> Response:
        request.scope["state"][MCP_ROUTE] = request.scope["path"]
        return await endpoint(request)

    return serve


def _page(login: Login, carried: str, request: Request, *, wrong: str = "", status: int = 200) -> Response:
    cancel = login.answer(error="access_denied", iss=service_url(request.scope))
    return login_page(login, carried, cancel=cancel, wrong=wrong, status=status)


async def _resource(request: Request) -> Response:
    """RFC 9728: what /mcp is, and who gives tokens for it."""
    base = service_url(request.scope)
    body = {
        "resource": f"{base}/mcp",
        "authorization_servers": [base],
        "bearer_methods_supported": ["header"],
        "resource_name": "Forgetless",
    }
    return json_response(body)


async def _server(request: Request) -> Response:
    """RFC 8414: where the endpoints are."""
    base = service_url(request.scope)
    body: dict[str, Any] = {
        "issuer": base,
        "authorization_endpoint": f"{base}/oauth/authorize",
        "token_endpoint": f"{base}/oauth/token",
        "registration_endpoint": f"{base}/oauth/register",
        "revocation_endpoint": f"{base}/oauth/revoke",
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": list(_METHODS),
        "revocation_endpoint_auth_methods_supported": list(_METHODS),
        "authorization_response_iss_parameter_supported": True,
    }
    return json_response(body)


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""
