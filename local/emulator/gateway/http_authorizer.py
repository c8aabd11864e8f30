"""How HTTP APIs ask their Lambda authorizers: events of format 2.0 and 1.0, simple answers and policies."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from local.emulator.gateway.authorizer import Answer, AuthorizerFailedError, arn_of, identity_of, parsed
from local.emulator.gateway.event import joined
from local.emulator.invocation import InvokeResult
from local.emulator.specs import AuthorizerSpec


class HttpDialect:
    """The authorizers of an HTTP API."""

    def identity(self, spec: AuthorizerSpec, event: dict[str, Any]) -> list[str]:
        """Return the values of the identity sources."""
        return identity_of(spec, event)

    def arn(self, event: dict[str, Any], region: str) -> str:
        """Return the ARN of a request, with the stage in its path as the path itself has it."""
        context = event["requestContext"]
        return arn_of(context, context["http"]["method"], context["http"]["path"], region)

    def event(self, spec: AuthorizerSpec, event: dict[str, Any], identity: list[str], arn: str) -> dict[str, Any]:
        """Return the authorizer's event, of format 2.0 or 1.0; the body is never in it."""
        common = {key: value for key, value in event.items() if key not in {"body", "isBase64Encoded", "version"}}
        if spec.payload_version == "2.0":
            return {"version": "2.0", "type": "REQUEST", "routeArn": arn, "identitySource": identity, **common}
        http = event["requestContext"]["http"]
        return {
            "version": "1.0",
            "type": "REQUEST",
            "methodArn": arn,
            "identitySource": ",".join(identity),
            "authorizationToken": ",".join(identity),
            "resource": http["path"],
            "path": http["path"],
            "httpMethod": http["method"],
            "headers": event["headers"],
            "queryStringParameters": joined(parse_qsl(event["rawQueryString"], keep_blank_values=True)),
            "pathParameters": event.get("pathParameters") or {},
            "stageVariables": event.get("stageVariables") or {},
            "requestContext": event["requestContext"],
        }

    def answer(self, spec: AuthorizerSpec, result: InvokeResult) -> Answer:
        """Return a simple response or a policy, whichever the authorizer is to give."""
        given = parsed(result)
        context = given.get("context") or {}
        if not spec.simple or spec.payload_version != "2.0":
            return Answer(context, policy=given.get("policyDocument"))
        if not isinstance(given.get("isAuthorized"), bool):
            raise AuthorizerFailedError
        return Answer(context, allowed=given["isAuthorized"])
