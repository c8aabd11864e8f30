"""What the SDK's OAuth endpoints ask: clients, codes and tokens, each of which carries itself, signed by the ledger."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    AuthorizeError,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    RegistrationError,
    TokenError,
)
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyUrl

from forgetless.api.mcp.oauth_redirects import OAuthRedirects
from forgetless.api.mcp.oauth_tokens import LIFE_S, Purpose, read, sign
from forgetless.api.routing import Runner
from forgetless.domain.errors import AuthenticationError
from forgetless.domain.keys import ApiKey

if TYPE_CHECKING:
    from forgetless.service.services import Services

__all__ = ["Login", "OAuthProvider"]

#: A client carries what it registered, so all of this travels in addresses.
_NAME_CHARS = 80
_MOST_REDIRECTS = 8
_REDIRECT_CHARS = 400
_STATE_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Login:
    """A request to log in, as the page carries it."""

    client_id: str
    client_name: str
    redirect_uri: str
    challenge: str
    state: str | None
    explicit: bool

    def answer(self, **fields: str | None) -> str:
        """Where the browser goes with the result."""
        found = {name: value for name, value in {**fields, "state": self.state}.items() if value is not None}
        return f"{self.redirect_uri}{'&' if '?' in self.redirect_uri else '?'}{urlencode(found)}"


class _Client(OAuthClientInformationFull):
    """A client. Scopes mean nothing here, because a token may do what its key may do; so every one is accepted."""

    def validate_scope(self, requested_scope: str | None) -> list[str] | None:
        return None if requested_scope is None else requested_scope.split()


class _Refresh(RefreshToken):
    """A refresh token with its grant."""

    grant: str
    number: int
    sealed: str


class _Code(AuthorizationCode):
    """A code with its grant and the sealed key."""

    grant: str
    sealed: str


class OAuthProvider(OAuthAuthorizationServerProvider[_Code, _Refresh, AccessToken]):
    """Clients and tokens of one ledger; every blocking call goes through `run`."""

    def __init__(
        self, services: Callable[[], Services], redirects: OAuthRedirects, run: Runner, address: str = ""
    ) -> None:
        self._address = address
        self._services = services
        self._redirects = redirects
        self._run = run

    def asked_from(self, address: str) -> OAuthProvider:
        """The provider for a request from this address: look-ups of keys that are no longer valid count for it."""
        return OAuthProvider(self._services, self._redirects, self._run, address)

    # Clients

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        """Turn the new client's id into one that carries the client, and its secret into one that follows from it."""
        addresses = [str(one) for one in client_info.redirect_uris or ()]
        if not 0 < len(addresses) <= _MOST_REDIRECTS or any(len(one) > _REDIRECT_CHARS for one in addresses):
            text = f"redirect_uris: give 1 to {_MOST_REDIRECTS}, each of at most {_REDIRECT_CHARS} characters"
            raise RegistrationError("invalid_redirect_uri", text)
        if refused := [one for one in addresses if not self._redirects.allows(one)]:
            text = f"redirect_uris: {refused[0]}: the operator can allow it by FORGETLESS_OAUTH_REDIRECTS"
            raise RegistrationError("invalid_redirect_uri", text)
        method = client_info.token_endpoint_auth_method
        client_info.client_name = _short(client_info.client_name)
        claims = {"name": client_info.client_name, "redirects": addresses, "method": method}
        key = await self._signing_key()
        client_info.client_id = sign(key, Purpose.CLIENT, claims, now_s=time.time())
        client_info.client_secret = None if method == "none" else _secret_of(key, client_info.client_id)

    async def get_client(self, client_id: str) -> _Client | None:
        """The client that the id carries; None for an id that is not ours, or whose addresses are refused now."""
        key = await self._signing_key()
        claims = read(key, Purpose.CLIENT, client_id, now_s=time.time())
        if claims is None or not all(map(self._redirects.allows, claims["redirects"])):
            return None
        secret = None if claims["method"] == "none" else _secret_of(key, client_id)
        return _Client(
            client_id=client_id,
            client_secret=secret,
            client_name=claims["name"],
            redirect_uris=[AnyUrl(one) for one in claims["redirects"]],
            token_endpoint_auth_method=claims["method"],
        )

    # The log-in

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        """The address of the log-in page; it carries the request."""
        if len(params.state or "") > _STATE_CHARS:
            raise AuthorizeError("invalid_request", f"state: at most {_STATE_CHARS} characters")
        claims = {
            "client": client.client_id,
            "redirect": str(params.redirect_uri),
            "challenge": params.code_challenge,
            "state": params.state,
            "explicit": params.redirect_uri_provided_explicitly,
        }
        request = sign(await self._signing_key(), Purpose.LOGIN, claims, now_s=time.time())
        return f"login?{urlencode({'request': request})}"

    async def login(self, request: str) -> Login | None:
        """The request that the log-in page carries; None if it is not ours or too old."""
        claims = read(await self._signing_key(), Purpose.LOGIN, request, now_s=time.time())
        client = None if claims is None else await self.get_client(claims["client"])
        if claims is None or client is None:
            return None
        name = client.client_name or "An MCP host"
        where, challenge = claims["redirect"], claims["challenge"]
        return Login(client.client_id, name, where, challenge, claims["state"], claims["explicit"])

    async def code(self, login: Login, key: ApiKey) -> str:
        """The code that the host exchanges for tokens of this key."""
        claims = {
            "client": login.client_id,
            "redirect": login.redirect_uri,
            "explicit": login.explicit,
            "challenge": login.challenge,
            "grant": secrets.token_urlsafe(16),
            "key": await self._run(lambda: self._services().grants.sealed(key)),
        }
        return sign(await self._signing_key(), Purpose.CODE, claims, now_s=time.time())

    # Codes and tokens

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> _Code | None:
        """The code, if it is ours and not too old; whose it is, the endpoint compares."""
        del client
        claims = read(await self._signing_key(), Purpose.CODE, authorization_code, now_s=time.time())
        if claims is None:
            return None
        return _Code(
            code=authorization_code,
            scopes=[],
            expires_at=claims["exp"],
            client_id=claims["client"],
            code_challenge=claims["challenge"],
            redirect_uri=AnyUrl(claims["redirect"]),
            redirect_uri_provided_explicitly=claims["explicit"],
            grant=claims["grant"],
            sealed=claims["key"],
        )

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: _Code
    ) -> OAuthToken:
        """The first tokens of a grant; raises TokenError for a code that was used before, which ends its grant."""
        code = authorization_code

        def begun() -> int | None:
            key = self._counted_key(code.sealed)
            return 1 if self._services().grants.begin(key, code.grant) else None

        return await self._tokens(client, code.grant, code.sealed, begun)

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> _Refresh | None:
        """The refresh token, if it is ours."""
        del client
        claims = read(await self._signing_key(), Purpose.REFRESH, refresh_token, now_s=time.time())
        if claims is None:
            return None
        return _Refresh(
            token=refresh_token,
            client_id=claims["client"],
            scopes=[],
            grant=claims["grant"],
            number=claims["number"],
            sealed=claims["key"],
        )

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: _Refresh, scopes: list[str]
    ) -> OAuthToken:
        """The next tokens of a grant; raises TokenError if it is over."""
        del scopes
        token = refresh_token

        def advanced() -> int | None:
            return self._services().grants.advance(self._counted_key(token.sealed), token.grant, token.number)

        return await self._tokens(client, token.grant, token.sealed, advanced)

    async def load_access_token(self, token: str) -> AccessToken | None:
        """Nothing: the SDK would ask for it at /mcp, where `key_hash` tells what a token stands for."""
        del token
        return None

    async def granted(self, client: OAuthClientInformationFull, token: str) -> _Refresh | None:
        """What a client revokes that gives this token, of either kind: its grant."""
        if (refresh := await self.load_refresh_token(client, token)) is not None:
            return refresh
        # The log-in lives on after the hour of an access token, and its client may know no other token any more.
        claims = read(await self._signing_key(), Purpose.ACCESS, token, now_s=None)
        if claims is None or "client" not in claims:  # an earlier version has given it out
            return None
        return _Refresh(
            token=token, client_id=claims["client"], scopes=[], grant=claims["grant"], number=0, sealed=claims["key"]
        )

    async def revoke_token(self, token: AccessToken | _Refresh) -> None:
        """End the grant of a token."""
        if isinstance(token, _Refresh):
            try:
                await self._run(lambda: self._services().grants.revoke(self._key(token.sealed), token.grant))
            except AuthenticationError:
                return  # the key is gone, and its grants with it

    def key_hash(self, presented: str) -> str | None:
        """The hash of the key that an access token stands for; None for everything else. It may read the ledger."""
        grants = self._services().grants
        claims = read(grants.signing_key(), Purpose.ACCESS, presented, now_s=time.time())
        return None if claims is None else grants.key_hash(claims["key"])

    async def _tokens(
        self, client: OAuthClientInformationFull, grant: str, sealed: str, number: Callable[[], int | None]
    ) -> OAuthToken:
        try:
            found = await self._run(number)
        except AuthenticationError:
            found = None
        if found is None:
            raise TokenError("invalid_grant", "This log-in is over: connect again.")
        key, now_s = await self._signing_key(), time.time()
        claims = {"key": sealed, "client": client.client_id, "grant": grant, "number": found}
        return OAuthToken(
            access_token=sign(
                key, Purpose.ACCESS, {"key": sealed, "grant": grant, "client": client.client_id}, now_s=now_s
            ),
            expires_in=LIFE_S[Purpose.ACCESS],
            refresh_token=sign(key, Purpose.REFRESH, claims, now_s=now_s),
        )

    def _key(self, sealed: str) -> ApiKey:
        """The key, if it is still valid; raises AuthenticationError."""
        services = self._services()
        return services.keys.known(services.grants.key_hash(sealed), address=self._address)

    def _counted_key(self, sealed: str) -> ApiKey:
        """The same; the request counts for its quota, and RateLimitedError is raised if that is used up."""
        key = self._key(sealed)
        self._services().meter.take_request(key)
        return key

    async def _signing_key(self) -> bytes:
        def key() -> bytes:
            return self._services().grants.signing_key()

        return await self._run(key)


def _secret_of(key: bytes, client_id: str) -> str:
    return hmac.new(key, f"secret\x00{client_id}".encode(), "sha256").hexdigest()


def _short(name: Any) -> str:
    """The client's name for people: printable, and short."""
    text = "".join(one if one.isprintable() else " " for one in str(name or ""))
    return " ".join(text.split())[:_NAME_CHARS]
