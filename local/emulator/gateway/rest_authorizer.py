"""How REST APIs ask their Lambda authorizers: TOKEN and REQUEST events, and answers with a policy."""

from __future__ import annotations

import re
from typing import Any

import orjson

from local.emulator.gateway.authorizer import (
    Answer,
    AuthorizerFailedError,
    UnauthorizedError,
    arn_of,
    identity_of,
    parsed,
)
from local.emulator.invocation import InvokeResult
from local.emulator.specs import AuthorizerSpec


class RestDialect:
    """The authorizers of a REST API."""

    def identity(self, spec: AuthorizerSpec, event: dict[str, Any]) -> list[str]:
        """Return the values of the identity sources; a token must match the authorizer's expression."""
        values = identity_of(spec, event)
        if spec.pattern and not re.match(spec.pattern, values[0]):
            raise UnauthorizedError
        return values

    def arn(self, event: dict[str, Any], region: str) -> str:
        """Return the ARN of a request; the stage stands before its path."""
        return arn_of(event["requestContext"], event["httpMethod"], event["path"], region)

    def event(self, spec: AuthorizerSpec, event: dict[str, Any], identity: list[str], arn: str) -> dict[str, Any]:
        """Return the authorizer's event: the token alone, or the request without its body."""
        if spec.token:
            return {"type": "TOKEN", "methodArn": arn, "authorizationToken": identity[0]}
        common = {key: value for key, value in event.items() if key not in {"body", "isBase64Encoded"}}
        return {"type": "REQUEST", "methodArn": arn, **common}

    def answer(self, spec: AuthorizerSpec, result: InvokeResult) -> Answer:
        """Return the policy; an authorizer refuses with 401 by the error `Unauthorized` and nothing else."""
        del spec
        if result.error is not None and _message(result) == "Unauthorized":
            raise UnauthorizedError
        given = parsed(result)
        context, principal = given.get("context") or {}, given.get("principalId")
        if not isinstance(context, dict):
            raise AuthorizerFailedError
        shown: dict[str, Any] = {name: _scalar(value) for name, value in context.items() if value is not None}
        shown |= {"principalId": _scalar(principal), "integrationLatency": 0}
        if isinstance(given.get("usageIdentifierKey"), str):
            shown["usageIdentifierKey"] = given["usageIdentifierKey"]
        return Answer(shown, policy=given.get("policyDocument"))


def _message(result: InvokeResult) -> Any:
    try:
        error = orjson.loads(result.payload)
    except orjson.JSONDecodeError:
        return None
    return error.get("errorMessage") if isinstance(error, dict) else None


def _scalar(value: Any) -> str:
    """Return a value of the context as the event shows it, a text; lists and mappings are not allowed."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise AuthorizerFailedError
