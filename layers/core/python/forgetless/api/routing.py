"""A route as our tables of routes state it, and where its endpoint runs: on the event loop or in a pool of threads.

A Lambda environment serves one request at a time, so blocking its event loop harms nobody and saves a thread for
each request. Under uvicorn the same endpoints run in a bounded pool.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import anyio
import anyio.to_thread
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from forgetless.domain.keys import Role

__all__ = ["Route", "Runner", "endpoint_on", "pool", "run_inline"]

T = TypeVar("T")

_CONVERTOR = re.compile(r":\w+(?=\})")


class _IdConvertor(Convertor[str]):
    """An identifier as a part of a path, `{name:id}`: anything but nothing.

    Behind a gateway, `%2F` and a slash have become the same before we see them, so both belong to the identifier.
    """

    regex = "(?s:.+)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", _IdConvertor())


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
    #: The role that a key needs; None: what the method says, to read for GET, to write for all else.
    needs: Role | None = None
    #: Whether an answer may be kept under an Idempotency-Key; not so where it holds a secret.
    kept: bool = True

    @property
    def role(self) -> Role:
        """The role that a key needs."""
        return self.needs or (Role.READ if self.method == "GET" else Role.WRITE)

    @property
    def shown(self) -> str:
        """The path as people and logs read it: `/memories/{memory_id}`."""
        return _CONVERTOR.sub("", self.path)


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
