"""Lambda authorizers: identity sources, the cache of decisions, and what an answer means."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson

from local.emulator.gateway.event import joined
from local.emulator.invocation import Invoker, ThrottledError
from local.emulator.specs import ACCOUNT_ID, AuthorizerSpec

#: Seconds that API Gateway waits for an authorizer.
TIME_LIMIT = 10.0
_CACHE_ENTRIES = 10_000


class UnauthorizedError(Exception):
    """An identity source is missing: 401, and the authorizer is not asked."""


class ForbiddenError(Exception):
    """The authorizer refuses: 403."""


class AuthorizerFailedError(Exception):
    """The authorizer failed, or its answer has no valid form: 500; the text is for the client, if there is one."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision of an authorizer, and the context that it adds to the event."""

    allowed: bool
    context: dict[str, Any]


class Authorizers:
    """All authorizers of an API; `clock` gives seconds, and is used only for the age of cached decisions."""

    def __init__(
        self,
        functions: Mapping[str, Invoker],
        region: str,
        clock: Callable[[], float] = time.monotonic,
        time_limit: float = TIME_LIMIT,
    ) -> None:
        self._functions, self._region, self._clock, self._time_limit = functions, region, clock, time_limit
        self._cache: dict[tuple[str, ...], tuple[float, Decision]] = {}

    async def check(self, spec: AuthorizerSpec, event: dict[str, Any]) -> dict[str, Any]:
        """Return the context for `requestContext.authorizer.lambda`.

        Raises:
            UnauthorizedError, ForbiddenError, AuthorizerFailedError: the request goes no further.
        """
        identity = [identity_value(source, event) for source in spec.sources]
        if not all(identity):
            raise UnauthorizedError
        key = (spec.name, *(value or "" for value in identity))
        decision = self._cached(spec, key)
        if decision is None:
            decision = await self._ask(spec, event, [value for value in identity if value])
            self._keep(spec, key, decision)
        if not decision.allowed:
            raise ForbiddenError
        return decision.context

    def _cached(self, spec: AuthorizerSpec, key: tuple[str, ...]) -> Decision | None:
        until, decision = self._cache.get(key, (0.0, None))
        return decision if spec.ttl and until > self._clock() else None

    def _keep(self, spec: AuthorizerSpec, key: tuple[str, ...], decision: Decision) -> None:
        if spec.ttl:
            if len(self._cache) >= _CACHE_ENTRIES:
                self._cache.clear()
            self._cache[key] = (self._clock() + spec.ttl, decision)

    async def _ask(self, spec: AuthorizerSpec, event: dict[str, Any], identity: list[str]) -> Decision:
        arn = route_arn(event, self._region)
        payload = orjson.dumps(authorizer_event(spec, event, identity, arn))
        try:
            async with asyncio.timeout(self._time_limit):
                result = await self._functions[spec.function].submit(payload)
        except (TimeoutError, ThrottledError) as error:
            raise AuthorizerFailedError from error
        except KeyError as error:
            raise AuthorizerFailedError(f"authorizer {spec.name}: there is no function {spec.function} here") from error
        if result.error is not None:
            raise AuthorizerFailedError(result.not_run)
        return decision_of(spec, result.payload, arn)


def identity_value(source: tuple[str, str], event: dict[str, Any]) -> str | None:
    """Return the value of an identity source, or None; headers in lower case, queries as they are."""
    kind, name = source
    if kind == "header":
        value = event["headers"].get(name)
    elif kind == "query":
        value = event.get("queryStringParameters", {}).get(name)
    elif kind == "context":
        value = event["requestContext"]
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    else:
        value = None
    return value if isinstance(value, str) and value else None


def route_arn(event: dict[str, Any], region: str) -> str:
    """Return the ARN of a request: API, stage, verb and path."""
    context = event["requestContext"]
    place = f"{context['apiId']}/{context['stage']}/{context['http']['method']}"
    return f"arn:aws:execute-api:{region}:{ACCOUNT_ID}:{place}{context['http']['path']}"


def authorizer_event(spec: AuthorizerSpec, event: dict[str, Any], identity: list[str], arn: str) -> dict[str, Any]:
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
        "stageVariables": {},
        "requestContext": event["requestContext"],
    }


def decision_of(spec: AuthorizerSpec, payload: bytes, arn: str) -> Decision:
    """Return what an authorizer's answer means.

    Raises:
        AuthorizerFailedError: neither a simple response nor a policy, whichever the authorizer is to give.
    """
    try:
        answer = orjson.loads(payload)
        if spec.simple and spec.payload_version == "2.0":
            allowed = answer["isAuthorized"]
        else:
            allowed = _policy_allows(answer["policyDocument"]["Statement"], arn)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise AuthorizerFailedError from error
    if not isinstance(allowed, bool):
        raise AuthorizerFailedError
    return Decision(allowed, answer.get("context") or {})


def _policy_allows(statements: Any, arn: str) -> bool:
    listed = statements if isinstance(statements, list) else [statements]
    effects = {item["Effect"] for item in listed if _covers(item.get("Resource", "*"), arn)}
    return "Allow" in effects and "Deny" not in effects


def _covers(resource: Any, arn: str) -> bool:
    patterns = resource if isinstance(resource, list) else [resource]
    return any(_matches(str(pattern), arn) for pattern in patterns)


def _matches(pattern: str, text: str) -> bool:
    """Match `*` alone: brackets and question marks of a path are meant as they stand."""
    first, *rest = pattern.split("*")
    if not text.startswith(first) or (not rest and text != first):
        return False
    position = len(first)
    for part in rest[:-1]:
        position = text.find(part, position)
        if position < 0:
            return False
        position += len(part)
    return not rest or (text.endswith(rest[-1]) and len(text) - len(rest[-1]) >= position)
