"""Counts requests, adds and searches for quotas and usage, and refuses what a quota does not allow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forgetless.api.caller import get_caller
from forgetless.api.routing import Runner
from forgetless.domain.errors import CostlyFilterError
from forgetless.domain.keys import ApiKey
from forgetless.domain.usage import UsageKind
from forgetless.ports.request_effects import current_request_effects
from forgetless.ports.request_usage import RequestUsage, noting_usage
from forgetless.service.access.usage_meter import Taken, UsageMeter

__all__ = ["Counted", "CountedRequests", "counted", "flush_beside"]

T = TypeVar("T")

#: The name in the state of a request of the flush that runs beside it.
_FLUSH = "usage_flush"


class CountedRequests:
    """ASGI layer after authentication: counts the requests of each key, and what they have used when they end."""

    def __init__(self, app: ASGIApp, *, run: Runner) -> None:
        self._app = app
        self._run = run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = get_caller(scope) if scope["type"] == "http" else None
        if caller is None or caller.key is None or caller.meter is None:
            await self._app(scope, receive, send)
            return
        meter = caller.meter
        await taken(self._run, meter, caller.key, UsageKind.REQUESTS)
        status = 0

        async def send_noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        with noting_usage() as used:
            try:
                await self._app(scope, receive, send_noted)
            finally:
                done = scope["method"] not in {"GET", "HEAD"} and status < 400
                _note(meter, caller.key, used, changed=done or current_request_effects().changed)
                flush_beside(scope)
                await _ended(scope["state"].get(_FLUSH))


class Counted:
    """ASGI layer around an endpoint, inside its Idempotency-Key: counts the adds or the searches that succeed.

    A search that is refused after the work, because its filter costs too much, counts as well.
    """

    def __init__(self, app: ASGIApp, *, kind: UsageKind, run: Runner) -> None:
        self._app = app
        self._kind = kind
        self._run = run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = get_caller(scope)
        if caller.key is None or caller.meter is None:
            await self._app(scope, receive, send)
            return
        one = await taken(self._run, caller.meter, caller.key, self._kind)
        flush_beside(scope)
        done = False

        async def send_noted(message: Message) -> None:
            nonlocal done
            done = message.get("status", 200 if done else 500) < 400
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except CostlyFilterError:
            done = True
            raise
        finally:
            caller.meter.settle(one, done=done)


async def counted(run: Runner, scope: Scope, kind: UsageKind | None, call: Callable[[], T]) -> T:
    """The result of a call, which counts as one use of this kind if it succeeds or is refused after the work."""
    caller = get_caller(scope)
    if kind is None or caller.key is None or caller.meter is None:
        flush_beside(scope)
        return await run(call)
    one = await taken(run, caller.meter, caller.key, kind)
    flush_beside(scope)
    done = False
    try:
        result = await run(call)
        done = True
    except CostlyFilterError:
        done = True
        raise
    finally:
        caller.meter.settle(one, done=done)
    return result


async def taken(run: Runner, meter: UsageMeter, key: ApiKey, kind: UsageKind) -> Taken:
    """Count one use; raises RateLimitedError or StoredQuotaError. It waits only before a refusal or for a flush."""
    at_once = meter.take_at_once(key, kind)
    return await run(partial(meter.take, key, kind)) if at_once is None else at_once


def flush_beside(scope: Scope) -> None:
    """Begin a flush beside this request, if one is due; the request ends after it."""
    caller = get_caller(scope)
    if caller.meter is not None and scope["state"].get(_FLUSH) is None:
        scope["state"][_FLUSH] = caller.meter.begin_flush()


def _note(meter: UsageMeter, key: ApiKey, used: RequestUsage, *, changed: bool) -> None:
    if used.llm_tokens or used.counted_tokens:
        meter.note_tokens(key, waiting=used.llm_tokens, counted=used.counted_tokens)
    if used.stored:
        meter.note_stored(key, used.stored)
    elif changed:
        meter.forget_stored(key)


async def _ended(flush: Future[Any] | None) -> None:
    """Wait for the flush: Lambda would go on with it in the next invocation."""
    if flush is not None:
        await asyncio.wrap_future(flush)
