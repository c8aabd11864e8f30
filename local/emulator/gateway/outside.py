"""Routes that ask for Cognito, JWT or IAM: who asks can be verified by AWS or an issuer alone, not on this machine."""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from local.emulator.gateway.authorizer import UnauthorizedError, source_value
from local.emulator.specs import ACCOUNT_ID, ApiSpec, OutsideAuthSpec

#: What a signature of IAM names: the access key.
_CREDENTIAL = re.compile(r"^AWS4-\S+ .*?Credential=([^/,\s]+)/")
#: Claims that are times, which Cognito's authorizer of REST APIs shows as text.
_TIMES = {"exp", "iat"}
#: The first second of the year 10000: what lies beyond is no time.
_LAST_SECOND = 253_402_300_800
_KINDS = {"cognito": "a token of Cognito", "jwt": "a JWT", "iam": "a signature of IAM"}


class NotVerifiedError(Exception):
    """The request may be right, but nothing here can tell: 501; the text names the options that let it through."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What the caller of the emulator decided: put unverified claims into the event, or let requests through."""

    tokens: bool = False
    open: bool = False


def outside_warnings(apis: Iterable[ApiSpec], trust: Trust) -> tuple[str, ...]:
    """Return a line for each API that has such routes, which says what they answer."""
    warnings = []
    for api in apis:
        asking = (route for route in api.routes if isinstance(route.authorizer, OutsideAuthSpec))
        routes = [route for route in asking if route.mock is None]
        if routes:
            how = "passes unread" if trust.open else "is answered 501: give --trust-tokens or --open-routes"
            if trust.tokens:
                how = "is believed unverified"
            names = sorted({route.authorizer.name for route in routes if isinstance(route.authorizer, OutsideAuthSpec)})
            warnings.append(f"{api.name}: a token to routes that ask for {', '.join(names)} ({len(routes)}) {how}")
    return tuple(warnings)


def check_outside(spec: OutsideAuthSpec, event: dict[str, Any], trust: Trust) -> Any:
    """Return the claims of a token, or the access key of a signature; None when requests pass unread.

    Raises:
        UnauthorizedError: there is no token, or none that can be read.
        NotVerifiedError: no option lets it through.
    """
    given = source_value(spec.source, event)
    if not given:
        raise UnauthorizedError
    if trust.tokens:
        claims = _access_key(given) if spec.kind == "iam" else claims_of(given)
        if claims is not None:
            return claims
        if not trust.open:
            raise UnauthorizedError
    if trust.open:
        return None
    raise NotVerifiedError(
        f"This route asks for {_KINDS[spec.kind]} (authorizer {spec.name}), which the emulator cannot verify. "
        "Start it with --trust-tokens to believe what the token says, or with --open-routes to let every token through."
    )


def claims_of(token: str) -> dict[str, Any] | None:
    """Return the claims of a JWT, not verified, or None when the text is none; `Bearer` may precede it."""
    parts = token.removeprefix("Bearer ").removeprefix("bearer ").strip().split(".")
    if len(parts) != 3:
        return None
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return None
    return claims if isinstance(claims, dict) else None


def _access_key(signature: str) -> str | None:
    found = _CREDENTIAL.match(signature)
    return found[1] if found else None


def http_context(spec: OutsideAuthSpec, found: Any) -> dict[str, Any] | None:
    """Return what an HTTP API puts into `requestContext.authorizer`."""
    if found is None:
        return None
    if spec.kind == "iam":
        return {
            "iam": {
                "accessKey": found, "accountId": ACCOUNT_ID, "callerId": None, "cognitoIdentity": None,
                "principalOrgId": None, "userArn": None, "userId": None,
            }
        }  # fmt: skip
    scope = found.get("scope")
    return {
        "jwt": {
            "claims": {name: _text(value) for name, value in found.items()},
            "scopes": scope.split() if isinstance(scope, str) else None,
        }
    }


def rest_context(spec: OutsideAuthSpec, found: Any, context: dict[str, Any]) -> None:
    """Put what was found into the request context of a REST API's event."""
    if found is None:
        return
    if spec.kind == "iam":
        context["identity"] |= {"accessKey": found, "accountId": ACCOUNT_ID}
        return
    context["authorizer"] = {"claims": {name: _rest_text(name, value) for name, value in found.items()}}


def _rest_text(name: str, value: Any) -> str:
    if name in _TIMES and isinstance(value, int) and 0 <= value < _LAST_SECOND:
        return time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(value))
    if isinstance(value, list):
        return ",".join(map(str, value))
    return _text(value)


def _text(value: Any) -> str:
    """Return a claim as API Gateway shows it: always a text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{' '.join(map(str, value))}]"
    return value if isinstance(value, str) else orjson.dumps(value).decode()
