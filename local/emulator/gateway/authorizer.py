"""Lambda authorizers: identity sources, the cache of answers, and what an answer means for a request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from local.emulator.gateway.policy import PolicyError, effect_of
from local.emulator.invocation import Invoker, InvokeResult, ThrottledError
from local.emulator.specs import ACCOUNT_ID, AuthorizerSpec

#: Seconds that API Gateway waits for an authorizer.
TIME_LIMIT = 10.0
_CACHE_ENTRIES = 10_000


class UnauthorizedError(Exception):
    """An identity source is missing, or the authorizer of a REST API says so: 401."""


class ForbiddenError(Exception):
    """The authorizer refuses: 403; `explicit` tells that a statement denies."""

    def __init__(self, *, explicit: bool = False) -> None:
        super().__init__()
        self.explicit = explicit


class AuthorizerFailedError(Exception):
    """The authorizer failed, or its answer has no valid form: 500; the text is for the client, if there is one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of an authorizer: a decision or a policy, and the context that it adds to the event."""

    context: dict[str, Any] = field(default_factory=dict)
    allowed: bool | None = None
    policy: Any = None

    def check(self, arn: str) -> None:
        """Return if the answer lets a request through; a cached policy is read anew for each request.

        Raises:
            ForbiddenError, AuthorizerFailedError: the request goes no further.
        """
        if self.allowed is None:
            try:
                effect = effect_of(self.policy, arn)
            except PolicyError as error:
                raise AuthorizerFailedError from error
            if effect != "Allow":
                raise ForbiddenError(explicit=effect == "Deny")
        elif not self.allowed:
            raise ForbiddenError


class Dialect(Protocol):
    """How the authorizers of one kind of API are asked, and how they answer."""

    def identity(self, spec: AuthorizerSpec, event: dict[str, Any]) -> list[str]:
        """Return the values of the identity sources.

        Raises:
            UnauthorizedError: one is missing or has the wrong form.
        """

    def arn(self, event: dict[str, Any], region: str) -> str:
        """Return the ARN of a request."""

    def event(self, spec: AuthorizerSpec, event: dict[str, Any], identity: list[str], arn: str) -> dict[str, Any]:
        """Return the authorizer's event."""

    def answer(self, spec: AuthorizerSpec, result: InvokeResult) -> Answer:
        """Return what an authorizer's result says.

        Raises:
            UnauthorizedError, AuthorizerFailedError: the request goes no further.
        """


class Authorizers:
    """All authorizers of an API; `clock` gives seconds, and is used only for the age of cached answers."""

    def __init__(
        self,
        functions: Mapping[str, Invoker],
        region: str,
        dialect: Dialect,
        clock: Callable[[], float] = time.monotonic,
        time_limit: float = TIME_LIMIT,
    ) -> None:
        self._functions, self._region, self._clock, self._time_limit = functions, region, clock, time_limit
        self._dialect = dialect
        self._cache: dict[tuple[str, ...], tuple[float, Answer]] = {}

    async def check(self, spec: AuthorizerSpec, event: dict[str, Any]) -> dict[str, Any]:
        """Return the context that the authorizer adds to the event.

        Raises:
            UnauthorizedError, ForbiddenError, AuthorizerFailedError: the request goes no further.
        """
        identity = self._dialect.identity(spec, event)
        arn = self._dialect.arn(event, self._region)
        key = (spec.name, *identity)
        answer = self._cached(spec, key)
        if answer is None:
            answer = await self._ask(spec, event, identity, arn)
            self._keep(spec, key, answer)
        answer.check(arn)
        return answer.context

    def _cached(self, spec: AuthorizerSpec, key: tuple[str, ...]) -> Answer | None:
        until, answer = self._cache.get(key, (0.0, None))
        return answer if spec.ttl and until > self._clock() else None

    def _keep(self, spec: AuthorizerSpec, key: tuple[str, ...], answer: Answer) -> None:
        if spec.ttl:
            if len(self._cache) >= _CACHE_ENTRIES:
                self._cache.clear()
            self._cache[key] = (self._clock() + spec.ttl, answer)

    async def _ask(self, spec: AuthorizerSpec, event: dict[str, Any], identity: list[str], arn: str) -> Answer:
        payload = orjson.dumps(self._dialect.event(spec, event, identity, arn))
        try:
            async with asyncio.timeout(self._time_limit):
                result = await self._functions[spec.function].submit(payload)
        except (TimeoutError, ThrottledError) as error:
            raise AuthorizerFailedError from error
        except KeyError as error:
            raise AuthorizerFailedError(
                f"authorizer {spec.name}: its function is not here ({spec.function})"
            ) from error
        if result.not_run:
            raise AuthorizerFailedError(result.not_run)
        return self._dialect.answer(spec, result)


def arn_of(context: dict[str, Any], method: str, path: str, region: str) -> str:
    """Return the ARN of a request: API, stage, verb and path."""
    return f"arn:aws:execute-api:{region}:{ACCOUNT_ID}:{context['apiId']}/{context['stage']}/{method}{path}"


def source_value(source: tuple[str, str], event: dict[str, Any]) -> str | None:
    """Return the value of an identity source, or None; headers in any case, queries as they are."""
    kind, name = source
    value: Any
    if kind == "header":
        headers: dict[str, Any] = event["headers"]
        value = headers.get(name) or next((text for key, text in headers.items() if key.lower() == name), None)
    elif kind == "query":
        value = (event.get("queryStringParameters") or {}).get(name)
    elif kind == "stage":
        value = (event.get("stageVariables") or {}).get(name)
    else:
        value = event["requestContext"]
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    return value if isinstance(value, str) and value else None


def identity_of(spec: AuthorizerSpec, event: dict[str, Any]) -> list[str]:
    """Return the values of all identity sources.

    Raises:
        UnauthorizedError: one is missing or empty.
    """
    found = [source_value(source, event) for source in spec.sources]
    values = [value for value in found if value]
    if len(values) < len(found):
        raise UnauthorizedError
    return values


def parsed(result: InvokeResult) -> dict[str, Any]:
    """Return an authorizer's result as a mapping.

    Raises:
        AuthorizerFailedError: it failed, or answered something else.
    """
    if result.error is not None:
        raise AuthorizerFailedError
    try:
        answer = orjson.loads(result.payload)
    except orjson.JSONDecodeError as error:
        raise AuthorizerFailedError from error
    if not isinstance(answer, dict):
        raise AuthorizerFailedError
    return answer
