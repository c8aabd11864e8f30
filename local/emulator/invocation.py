"""An invocation of a function: what it is, what it results in, and how callers start one."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import orjson

#: Seconds before the second and the third attempt of an asynchronous invocation.
RETRY_SECONDS = (60.0, 120.0)

Sleep = Callable[[float], Awaitable[None]]


class ThrottledError(Exception):
    """No environment may take the invocation: reserved concurrency is used up, or the wait was too long."""


@dataclass(frozen=True, slots=True)
class InvokeResult:
    """The answer of a function; `error` is None, or the error's type when the invocation failed.

    `not_run` says why the function cannot run on this machine. Unlike other errors, this one is told to the client.
    """

    payload: bytes
    error: str | None = None
    not_run: str = ""


def error_result(kind: str, message: str) -> InvokeResult:
    """Return the result of an invocation that the platform, not the function, ended."""
    return InvokeResult(orjson.dumps({"errorType": kind, "errorMessage": message}), error=kind)


def not_run_result(function: str, problem: str) -> InvokeResult:
    """Return the result of every invocation of a function that cannot run on this machine."""
    text = f"{function} is not run here: {problem}"
    return replace(error_result("Emulator.NotRun", text), not_run=text)


def new_request_id() -> str:
    """Return a request id as Lambda forms them."""
    return str(uuid.UUID(bytes=os.urandom(16), version=4))


def new_trace_id() -> str:
    """Return a trace header as API Gateway forms them."""
    return f"Root=1-{int(time.time()):08x}-{os.urandom(12).hex()}"


@dataclass(slots=True, eq=False)
class Invocation:
    """A waiting or running invocation; times are of `perf_counter`, in seconds."""

    payload: bytes
    future: asyncio.Future[InvokeResult]
    queued_at: float
    trace_id: str = ""
    client_context: str = ""
    request_id: str = field(default_factory=new_request_id)
    started_at: float = 0.0
    deadline_ms: int = 0
    limited: bool = False
    returns: int = 0
    timer: asyncio.TimerHandle | None = None

    def finish(self, result: InvokeResult) -> None:
        """Hand the result to whoever still waits for it; later results are dropped."""
        if not self.future.done():
            self.future.set_result(result)

    def refuse(self, reason: str) -> None:
        """Tell whoever still waits that no environment took the invocation."""
        if not self.future.done():
            self.future.set_exception(ThrottledError(reason))


class Invoker(Protocol):
    """One function, ready to be invoked: what the gateway and the triggers need."""

    def submit(self, payload: bytes, *, trace_id: str = "", client_context: str = "") -> asyncio.Future[InvokeResult]:
        """Return the future result; raises ThrottledError when no environment may take it."""


async def invoke_async(
    function: Invoker, payload: bytes, log: Callable[[str], None], sleep: Sleep = asyncio.sleep
) -> bool:
    """Invoke as Lambda does for asynchronous callers: twice more after errors; return whether it succeeded."""
    for delay in (*RETRY_SECONDS, None):
        try:
            result = await function.submit(payload)
            if result.error is None:
                return True
            if result.not_run:
                log(f"ASYNC invocation given up: {result.not_run}")
                return False
            reason = result.error
        except ThrottledError as error:
            reason = str(error)
        if delay is None:
            log(f"ASYNC invocation given up: {reason}")
        else:
            log(f"ASYNC invocation failed, again in {delay:g} s: {reason}")
            await sleep(delay)
    return False
