"""Where endpoints run: the one place that decides between the event loop and a pool of threads.

A Lambda environment serves one request at a time, so blocking its event loop harms nobody and saves a thread for
each request. Under uvicorn the same endpoints run in a bounded pool.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import anyio
import anyio.to_thread
from starlette.responses import Response

__all__ = ["Route", "Runner", "endpoint_on", "pool", "run_inline"]

T = TypeVar("T")


class Runner(Protocol):
    """Runs a blocking call for a coroutine."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]:
        """The call's result, or what it raises."""


@dataclass(frozen=True, slots=True)
class Route:
    """One line of a table of routes; endpoints are plain functions that return a response."""

    method: str
    path: str
    endpoint: Callable[..., Response]


async def run_inline(call: Callable[[], T], /) -> T:
    """Run it here, on the event loop."""
    return call()


def pool(threads: int) -> Runner:
    """A runner with at most `threads` calls at once; more wait for their turn."""
    limiter = anyio.CapacityLimiter(threads)

    async def run_in_thread(call: Callable[[], T], /) -> T:
        return await anyio.to_thread.run_sync(call, limiter=limiter)

    return run_in_thread


def endpoint_on(run: Runner, endpoint: Callable[..., Response]) -> Callable[..., Awaitable[Response]]:
    """The endpoint as FastAPI wants it, with its own parameters, run by `run`."""

    @functools.wraps(endpoint)
    async def serve(**arguments: Any) -> Response:
        return await run(functools.partial(endpoint, **arguments))

    return serve
